"""What is freed is kept: the system is not asked for it again."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import torch
from runtime.process import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no glibc")
x = torch.ones(1_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(1000):
    (x + 1) * 2  # 4 MB each, or a thousand pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", STEPS, way], capture_output=True, text=True)
    if "no glibc" in done.stderr:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_pages_are_asked_for_once() -> None:
    assert page_faults("keep") < 20_000  # else 80,000 and more
