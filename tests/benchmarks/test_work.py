"""The Python work of a call and of a chunk stays below a bound: counted bytecodes, which no other load changes."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest

from benchmarks.work import count_work

# The bytecodes of CPython 3.11, 4 % above those counted last. Raise a bound only for something that every call needs,
# and lower it after the work has become less.
BOUNDS: Mapping[str, float] = {
    "a call": 11_500,
    "a call after a fallback": 23_950,
    "a call with 100 candidates": 10_950,
    "a chunk in a burst": 163,
    "a chunk in its own read": 1_130,
    "a call, asyncio": 11_720,
    "a chunk in a burst, asyncio": 164,
    "a call, trio": 11_780,
    "a chunk in a burst, trio": 164,
    "a call over socket": 10_740,
    "a fallback over socket": 22_260,
    "a call over requests": 10_980,
    "a fallback over requests": 22_860,
    "a call over trio": 11_040,
    "a fallback over trio": 25_220,
    "a call over asyncio": 11_070,
    "a fallback over asyncio": 25_140,
}


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions of Python have other bytecodes")
def test_a_call_and_a_chunk_cost_no_more_work_than_before() -> None:
    counted = count_work()
    assert counted.keys() == BOUNDS.keys()
    dearer = {work: (count, BOUNDS[work]) for work, count in counted.items() if count > BOUNDS[work]}
    assert not dearer, "more bytecodes than the bound"
    loose = {work: (count, BOUNDS[work]) for work, count in counted.items() if 1.15 * count < BOUNDS[work]}
    assert not loose, "so few bytecodes that the bound would not notice 10 % more: lower it"
