"""The order in which a route's choices are tried, and the moving estimates that it goes by."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ModelConfig
from turnout.routing.policy.routes import STRATEGIES, Choice, Measured, Route
from turnout.routing.policy.strategies import order_choices
from turnout.routing.state.learnt.latency import Latency, PeakEwma

MEASURED = st.lists(
    st.builds(
        Measured,
        st.builds(
            Choice,
            st.just(ModelConfig("p", "m")),
            weight=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
            tier=st.integers(0, 2),
        ),
        in_flight=st.integers(0, 5),
        latency=st.sampled_from([0.0, 0.5, 2.0]),
        price=st.sampled_from([None, 0.1, 2.0]),
    ),
    min_size=1,
    max_size=8,
)


def simple(**fields: list[float]) -> list[Measured]:
    size = len(next(iter(fields.values())))
    weights = fields.pop("weight", [1.0] * size)
    return [
        Measured(Choice(ModelConfig("p", "m"), weight=weight), **{key: values[place] for key, values in fields.items()})  # type: ignore[arg-type]  # numbers all
        for place, weight in enumerate(weights)
    ]


@given(st.sampled_from(STRATEGIES), MEASURED, st.integers(0, 100), st.integers())
def test_every_choice_comes_once_and_lower_levels_first(
    strategy: str, measured: list[Measured], turn: int, seed: int
) -> None:
    order = order_choices(strategy, measured, turn, random.Random(seed))  # type: ignore[arg-type]  # one of the literals
    assert sorted(order) == list(range(len(measured)))
    levels = [measured[place].choice.tier for place in order]
    assert levels == sorted(levels)
    assert order == order_choices(strategy, measured, turn, random.Random(seed))  # type: ignore[arg-type]


def test_weights_are_shares() -> None:
    measured = simple(weight=[3.0, 1.0, 0.0])
    rng = random.Random(1)
    firsts = Counter(order_choices("weighted", measured, 0, rng)[0] for _ in range(4000))
    assert firsts[2] == 0
    assert 0.70 < firsts[0] / 4000 < 0.80


@pytest.mark.parametrize("unit", [1e-310, 1e-300, 1e-8, 1e8, 1e300])
def test_weights_are_shares_whatever_their_unit(unit: float) -> None:
    measured = simple(weight=[3.0 * unit, unit])
    rng = random.Random(1)
    firsts = Counter(order_choices("weighted", measured, 0, rng)[0] for _ in range(4000))
    assert 0.70 < firsts[0] / 4000 < 0.80


def test_those_of_no_weight_come_last_in_no_fixed_order() -> None:
    measured = simple(weight=[0.0, 0.0, 1.0])
    rng = random.Random(1)
    orders = Counter(tuple(order_choices("weighted", measured, 0, rng)) for _ in range(1000))
    assert set(orders) == {(2, 0, 1), (2, 1, 0)}
    assert min(orders.values()) > 400


def test_turns_go_round() -> None:
    measured = simple(in_flight=[0, 0, 0])
    rng = random.Random(1)
    orders = [order_choices("round-robin", measured, turn, rng) for turn in range(60)]
    assert [order[0] for order in orders] == [0, 1, 2] * 20
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert {tuple(order[1:]) for order in orders if order[0] == 0} == {(1, 2), (2, 1)}, "the rest comes in any order"


def test_the_least_busy_and_the_cheapest_come_first_and_ties_are_shared() -> None:
    rng = random.Random(1)
    assert order_choices("least-busy", simple(in_flight=[4, 0, 2]), 0, rng) == [1, 2, 0]
    firsts = Counter(order_choices("least-busy", simple(in_flight=[0, 0, 7]), 0, rng)[0] for _ in range(200))
    assert set(firsts) == {0, 1}
    prices = [Measured(Choice(ModelConfig("p", "m")), price=price) for price in (2.0, None, 0.5)]
    assert order_choices("cheapest", prices, 0, rng) == [2, 0, 1]


def test_the_slowest_is_never_first_of_two_choices() -> None:
    measured = simple(latency=[1.0, 9.0, 0.1])
    rng = random.Random(1)
    firsts = Counter(order_choices("lowest-latency", measured, 0, rng)[0] for _ in range(300))
    assert firsts[1] == 0
    assert firsts[2] > firsts[0] > 0, "two choices spread what the best would draw to itself"


def test_a_function_of_the_user_s_own() -> None:
    measured = simple(in_flight=[1, 2, 3])
    rng = random.Random(1)
    assert order_choices(lambda given: [2], measured, 0, rng) == [2, 0, 1]
    assert order_choices(lambda given: iter([1, 0]), measured, 0, rng) == [1, 0, 2]
    with pytest.raises(TypeError, match="returned None; it must return places"):
        order_choices(lambda given: None, measured, 0, rng)  # type: ignore[arg-type, return-value]  # what is tested
    with pytest.raises(ValueError, match="no place among its 3 choices"):
        order_choices(lambda given: [7], measured, 0, rng)


def test_routes_say_what_is_wrong_with_them() -> None:
    model = ModelConfig("openai", "gpt-4o-mini")
    assert Route("fast", [model]).choices == (Choice(model),)
    with pytest.raises(ValueError, match="at least one choice"):
        Route("fast", [])
    with pytest.raises(ValueError, match="a route cannot be in a route"):
        Route("fast", [ModelConfig.route("other")])
    with pytest.raises(ValueError, match=r"Route\.strategy must be one of"):
        Route("fast", [model], "fastest")  # type: ignore[arg-type]  # as a user may write


@given(st.lists(st.tuples(st.floats(0.001, 100), st.floats(0, 60)), min_size=1))
def test_an_estimate_jumps_up_comes_down_and_stays_within_what_was_seen(samples: list[tuple[float, float]]) -> None:
    estimate, now = PeakEwma(), 0.0
    for sample, passes in samples:
        now += passes
        before = estimate.value
        estimate.add(sample, now)
        assert estimate.value is not None
        if before is None or sample > before:
            assert estimate.value == sample
        else:
            assert sample - 1e-9 <= estimate.value <= before + 1e-9
            assert estimate.value - sample <= (before - sample) * 0.9 + 1e-9, "however fast samples come, it moves"


def test_an_unknown_candidate_is_tried_before_it_is_judged() -> None:
    latency = Latency()
    assert latency.load_score(0, 0.0) == 0.0
    assert latency.load_score(3, 0.0) == 3.0
    latency.record_first_content(0.5, 0.0)
    latency.record_response(2.0, 100, 2.5)
    assert latency.load_score(0, 0.0) == pytest.approx(0.5 + 200 * 0.02)
    assert latency.load_score(1, 0.0) == 2 * latency.load_score(0, 0.0)
    assert latency.quantile(0.95) is None
    for number in range(1, 101):
        latency.record_first_content(number / 100, 3.0)
    assert latency.quantile(0.95) == pytest.approx(0.95)
    assert latency.quantile(0.5) == pytest.approx(0.5)


def test_a_user_s_function_may_give_the_whole_numbers_of_other_libraries() -> None:
    class Int64:
        def __init__(self, value: int) -> None:
            self.value = value

        def __index__(self) -> int:
            return self.value

    order: Any = [Int64(2), Int64(0)]  # as an untyped library gives them
    assert order_choices(lambda _: order, simple(weight=[1.0, 1.0, 1.0]), 0, random.Random(1)) == [2, 0, 1]


def test_a_user_s_function_may_go_on_for_ever() -> None:
    measured = simple(weight=[1.0, 1.0, 1.0])
    assert order_choices(lambda _: itertools.cycle([1, 2, 0]), measured, 0, random.Random(1)) == [1, 2, 0]
