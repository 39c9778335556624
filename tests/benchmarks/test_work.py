"""The Python work of a call and of a chunk stays below a bound: counted bytecodes, which no other load changes."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest

from benchmarks.work import count_work

# The bytecodes of CPython 3.11, 5 % above those counted last. Raise a bound only for something that every call needs,
# and lower it after the work has become less.
BOUNDS: Mapping[str, float] = {
    "a call": 12_600,
    "a call after a fallback": 24_750,
    "a call with 100 candidates": 11_940,
    "an embedding of 100 texts": 17_200,
    "a call while 2,000 wait": 12_000,
    "a chunk in a burst": 87,
    "a chunk in its own read": 850,
    "a call, asyncio": 12_820,
    "a chunk in a burst, asyncio": 87,
    "a call, trio": 12_900,
    "a chunk in a burst, trio": 88,
    "a call over socket": 11_780,
    "a fallback over socket": 22_940,
    "a call over requests": 12_000,
    "a fallback over requests": 23_520,
    "a call over trio": 12_200,
    "a fallback over trio": 26_030,
    "a call over asyncio": 12_170,
    "a fallback over asyncio": 25_880,
}


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions of Python have other bytecodes")
def test_a_call_and_a_chunk_cost_no_more_work_than_before() -> None:
    counted = count_work()
    assert counted.keys() == BOUNDS.keys()
    dearer = {work: (count, BOUNDS[work]) for work, count in counted.items() if count > BOUNDS[work]}
    assert not dearer, "more bytecodes than the bound"
    loose = {work: (count, BOUNDS[work]) for work, count in counted.items() if 1.15 * count < BOUNDS[work]}
    assert not loose, "so few bytecodes that the bound would not notice 10 % more: lower it"
