"""The fast lane leaves out what exists, and draws fewer examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SLOW, draw_less

TESTS = Path(__file__).parent


@pytest.mark.parametrize("place", sorted(SLOW))
def test_what_the_fast_lane_leaves_out_exists(place: str) -> None:
    assert (TESTS / place).exists()


@pytest.mark.parametrize(("examples", "drawn"), [(300, 30), (100, 10), (20, 10), (5, 5)])
def test_a_property_test_draws_a_tenth_of_its_examples_in_the_fast_lane(examples: int, drawn: int) -> None:
    seen: list[int] = []

    @settings(max_examples=examples, database=None)
    @given(st.integers(0, 1 << 40))
    def holds(number: int) -> None:
        seen.append(number)

    draw_less(holds)
    holds()
    assert len(seen) == drawn
