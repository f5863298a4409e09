"""Numbers in closing tables."""

import pytest

from runtime.tables import number


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (0.5, "0.500000"), (2.4e-9, "2.4e-09"), (9.00716616128212e27, "9.00717e+27")],
)
def test_a_number_is_short_and_keeps_its_digits(value: float, text: str) -> None:
    assert number(value) == text
