"""Numbers as JSON holds them."""

import base64
import json
import math

import numpy as np
import pytest

from pages.watch.course import MAX_POINTS, Course
from pages.watch.packing import largest, pack, plain


def test_numbers_have_five_digits_and_what_is_none_is_null() -> None:
    values = [0.0, -1.2345678, 123456.7, 1e-30, -9.87654321e-7, 1e300, math.nan, math.inf, -math.inf]
    expected = [0.0, -1.2346, 123460.0, 1e-30, -9.8765e-7, 1e300, None, None, None]
    assert plain(values) == expected
    found = plain(np.array(values))
    assert found[:6] == pytest.approx(expected[:6], rel=1e-12)
    assert found[6:] == [None] * 3
    assert plain(np.array([[1.00001, 2.5], [3.0, 4.0]])) == [[1.0, 2.5], [3.0, 4.0]]
    assert json.loads(json.dumps(plain({"a": (1, True, None, "x", np.float32(0.1))}), allow_nan=False)) == {
        "a": [1, True, None, "x", 0.1]
    }


def test_bytes_stand_for_the_values_around_the_center() -> None:
    packed = pack(np.array([[0.0, 0.5, 1.0], [2.0, -9.0, np.nan]]), scale=0.5, center=0.5)
    assert list(base64.b64decode(packed["bytes"])) == [1, 128, 255, 255, 1, 0]
    assert (packed["height"], packed["width"], packed["scale"], packed["center"]) == (2, 3, 0.5, 0.5)


def test_nothing_has_a_scale_nevertheless() -> None:
    assert list(base64.b64decode(pack(np.zeros((1, 2)), 0.0)["bytes"])) == [128, 128]
    assert largest(np.array([np.nan])) == 0.0
    assert largest(np.array([1.0, -3.0, np.inf])) == 3.0


def test_a_long_course_is_a_few_hundred_means() -> None:
    course = Course()
    for step in range(1, 100_001):
        course.add(step, 2.0 * step)
    course.add(7, math.nan)
    points = course.points()
    assert MAX_POINTS <= len(points) <= 2 * MAX_POINTS
    assert np.allclose(points[:, 1], 2 * points[:, 0])
    assert (np.diff(points[:, 0]) > 0).all()
    assert points[-1, 0] > 99_000
    assert len(Course().points()) == 0
