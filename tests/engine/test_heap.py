"""Freed memory stays with the process, unless its user has said otherwise."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from sam2rl_tracker.engine import heap

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")
pytestmark = pytest.mark.skipif(not GLIBC, reason="for the GNU C library only")
VARIABLES = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
STEPS = f"""
import resource, runpy
keep_freed_memory = runpy.run_path({heap.__file__!r})["keep_freed_memory"]

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [b"." * (1 << 20) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults()
first = page_faults()
asked = keep_freed_memory()
page_faults()
print(first, asked, page_faults())
"""


def steps(**variables: str) -> tuple[int, bool, int]:
    """In a process of its own: page faults of a step that takes what the one before has freed, before and after."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-c", STEPS]
    printed = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=True).stdout
    before, asked, after = printed.split()
    return int(before), asked == "True", int(after)


def test_freed_memory_is_taken_again() -> None:
    before, asked, after = steps()
    assert asked
    assert before > 1000, "the C library keeps memory by itself"
    assert after < 10


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072")],
)
def test_the_librarys_own_variables_stand(name: str, value: str) -> None:
    _, asked, after = steps(**{name: value})
    assert not asked
    assert after > 1000


def test_what_is_kept_can_be_given_back() -> None:
    """Some 64 MB in blocks that are not mapped on their own, freed behind one that is in use."""
    script = f"""
import runpy, psutil
functions = runpy.run_path({heap.__file__!r})
functions["keep_freed_memory"]()
blocks = [b"." * (1 << 20) for _ in range(64)]
held = psutil.Process().memory_info().rss
del blocks
kept = psutil.Process().memory_info().rss
functions["give_freed_memory_back"]()
print(held - kept, held - psutil.Process().memory_info().rss)
"""
    given = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    kept, back = subprocess.run(
        [sys.executable, "-c", script], env=given, capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(kept) < 16 << 20
    assert int(back) > 48 << 20
