"""Policies that state only what differs: call over model over route over router."""

from __future__ import annotations

import copy
import pickle
import types
from collections import UserDict
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.routing.small_worlds import DOWN, GOOD, World
from turnout.chat import ChatRequest, ModelConfig
from turnout.failures import FailureClass
from turnout.prices import Price, by_model
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.call.options import CallOptions
from turnout.routing.policy.classify import RULES, Action, Rule
from turnout.routing.policy.layers import PolicyLayers
from turnout.routing.policy.routes import Choice, Route
from turnout.routing.policy.settings import Limit, Policy, Timeouts
from turnout.routing.router import RouterCore

KEYS = st.sampled_from(["a/m", "b/m", "m"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "timeout": st.sampled_from([1.0, 60.0, 5.0]),
    "max_retries": st.integers(0, 4),
    "retry_mode": st.sampled_from(["always", "only_if_unsent"]),
    "max_cost": st.sampled_from([None, 0.5]),
    "prices": st.dictionaries(KEYS, st.sampled_from([Price(1, 2), Price(3, 4)])),
    "context_windows": st.dictionaries(KEYS, st.integers(1, 9)),
    "rules": st.dictionaries(st.sampled_from(["server", "a:server"]), st.sampled_from(["retry", "raise"])),
}
STATED = st.fixed_dictionaries({}, optional=FIELDS)


@given(STATED, STATED)
def test_each_field_comes_from_the_narrowest_policy_that_states_it(
    narrow: dict[str, Any], wide: dict[str, Any]
) -> None:
    policy = Policy(**narrow).over(Policy(**wide))
    for name in FIELDS:
        given, outer = narrow.get(name), wide.get(name)
        if isinstance(given, dict) and isinstance(outer, dict):
            both: dict[str, Any] = {name: {**outer, **given}}
            expected = getattr(Policy(**both), name)
        else:
            expected = getattr(Policy(**narrow), name) if name in narrow else getattr(Policy(**wide), name)
        assert getattr(policy, name) == expected
    assert policy.stated == narrow.keys() | wide.keys()


@given(STATED)
def test_a_copy_states_the_same(fields: dict[str, Any]) -> None:
    policy = Policy(**fields)
    for made in (pickle.loads(pickle.dumps(policy)), copy.copy(policy), copy.deepcopy(policy)):
        assert made == policy
        assert made.stated == policy.stated == fields.keys()


def test_a_default_can_be_stated_over_another_value() -> None:
    assert Policy(max_retries=2).over(Policy(max_retries=0)).max_retries == 2
    assert Policy().over(Policy(max_retries=0)).max_retries == 0


def test_an_evolved_policy_states_what_differs_from_the_defaults() -> None:
    evolved = attrs.evolve(Policy(timeout=5.0, max_concurrency=3), max_retries=1)
    assert evolved.stated == {"timeout", "max_concurrency", "max_retries"}


def test_timeouts_are_merged_by_timer() -> None:
    policy = Policy(timeouts=Timeouts(connect=1.0)).over(Policy(timeouts=Timeouts(first_token=9.0, connect=3.0)))
    assert policy.timeouts == Timeouts(connect=1.0, first_token=9.0)


def test_a_price_list_that_is_no_dict_is_kept_below_the_narrower_prices() -> None:
    class Listed(dict[str, Price]):
        pass

    wide = Policy(prices=types.MappingProxyType(Listed({"a/m": Price(1, 1), "a/n": Price(2, 2)})))
    policy = Policy(prices={"a/m": Price(9, 9)}).over(wide)
    assert by_model(policy.prices, ModelConfig("a", "m")) == Price(9, 9)
    assert by_model(policy.prices, ModelConfig("a", "n")) == Price(2, 2)


def test_the_settings_of_a_router_are_refused_elsewhere() -> None:
    core = RouterCore(Policy(max_concurrency=3))
    with pytest.raises(ValueError, match=r"only a router can have limits; give it as Router\(policy=Policy\(limits="):
        core.start(
            Chat(ChatRequest("p/m", "x")), 0.0, None, CallOptions(policy=Policy(limits={"p": Limit(max_concurrency=1)}))
        )
    with pytest.raises(ValueError, match="route 'x': only a router can have breaker"):
        core.add_route(Route("x", ["p/m"], policy=Policy(breaker=None)))
    with pytest.raises(ValueError, match="route 'x': p/m: only a router can have max_pending"):
        core.add_route(Route("x", [Choice("p/m", policy=Policy(max_pending=3))]))
    core.start(Chat(ChatRequest("p/m", "x")), 0.0, None, CallOptions(policy=attrs.evolve(core.policy, timeout=1.0)))


def test_a_route_is_no_provider() -> None:
    with pytest.raises(TypeError, match=r"'x' is a route: write router.add_route\("):
        RouterCore(Policy()).register(cast("Any", Route("x", ["p/m"])))


def test_a_call_states_only_what_differs_from_its_route_and_its_router() -> None:
    world = World([DOWN], [GOOD], max_retries=0, timeout=50.0)
    world.core.add_route(Route("careful", ["p0/m", "p1/m"], policy=Policy(max_retries=2, timeout=30.0)))
    outcome = world.run(Stream(ChatRequest("route/careful", "x")), policy=Policy(backoff_initial=0.0))
    assert world.who == ["p0", "p0", "p0", "p1"]
    assert outcome.call.trace.deadline == 30.0


@pytest.mark.parametrize(
    ("options", "model", "seconds"),
    [
        ({}, {}, 50.0),
        ({}, {"timeout": 7.0}, 7.0),
        ({"policy": Policy(timeout=90.0)}, {"timeout": 7.0}, 90.0),
        ({"policy": Policy(max_retries=0)}, {"timeout": 7.0}, 7.0),
        ({"policy": Policy(timeout=90.0), "timeout": 99.0}, {"timeout": 7.0}, 99.0),
        ({"timeout": 99.0, "total_timeout": 80.0}, {}, 80.0),
    ],
)
def test_the_narrowest_timeout_replaces_the_others(
    options: dict[str, Any], model: dict[str, Any], seconds: float
) -> None:
    world = World([GOOD], timeout=50.0)
    outcome = world.run(Stream(ChatRequest(ModelConfig("p0", "m", **model), "x")), **options)
    assert outcome.call.trace.deadline == seconds


def test_merged_policies_are_remembered_by_their_parts() -> None:
    layers = PolicyLayers(Policy(timeout=9.0))
    call, route = Policy(max_retries=1), Policy(timeout=4.0)
    assert layers.over_router() is layers.over_router(None) is layers.router
    assert layers.over_router(call, route) is layers.over_router(call, route)
    assert layers.over_router(call, route) == Policy(max_retries=1, timeout=4.0)
    assert layers.over_router(route, call) is not layers.over_router(call, route)
    for number in range(1000):
        assert layers.over_router(Policy(max_attempts=number + 1)).max_attempts == number + 1


def test_a_rule_states_what_differs_from_the_default_of_its_class() -> None:
    policy = Policy(
        rules={"rate-limit": {"max_retries": 1, "cooldown": 15}, "a:server": "raise", "quota": Rule("retry")}
    )
    assert policy.rule(FailureClass.RATE_LIMIT, "a") == Rule(Action.RETRY, cooldown=15, max_retries=1)
    assert policy.rule(FailureClass.SERVER, "a") == Rule(Action.RAISE, health=True)
    assert policy.rule(FailureClass.SERVER, "a#2") == Rule(Action.RAISE, health=True)
    assert policy.rule(FailureClass.SERVER, "b") == RULES[FailureClass.SERVER]
    assert policy.rule(FailureClass.QUOTA, "b") == Rule(Action.RETRY)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rules": {"rate-limits": "retry"}}, "'rate-limits' is not a failure class; did you mean rate-limit?"),
        ({"rules": {"server": "retri"}}, "'retri' is not an action; did you mean retry?"),
        ({"rules": {"server": {"max_retry": 1}}}, "a rule has no 'max_retry'; did you mean max_retries?"),
        ({"rules": {"server": {"max_retries": -1}}}, "Policy.rules['server']: Rule.max_retries must be at least 0"),
        ({"rules": {"server": {"cooldown": "15s"}}}, "Rule.cooldown must be a number"),
        ({"rules": ["server"]}, "Policy.rules must be a mapping, not list"),
        ({"fallbacks": {"context": ["a/b"]}}, "Policy.fallbacks: 'context' is not a failure class"),
        ({"fallbacks": {"a:quota": ["a/b"]}}, "write the failure class alone, as 'quota'"),
        ({"fallbacks": {"quota": []}}, "Policy.fallbacks['quota'] names no model"),
        ({"fallbacks": {"quota": [3]}}, "Policy.fallbacks['quota'] must name models, not int"),
        ({"fallbacks": {"quota": ["gpt"]}}, "a model is written provider/model"),
        ({"context_windows": {"a/b": 0}}, "Policy.context_windows['a/b'] must be at least 1 token"),
        ({"context_windows": {"a/b": 1.5}}, "Policy.context_windows['a/b'] must be an int"),
        ({"context_windows": UserDict({"a/b": "8k"})}, "Policy.context_windows['a/b'] must be an int"),
        ({"prices": {"a/b": 3}}, "Policy.prices['a/b'] must be a Price"),
        ({"limits": {3: Limit()}}, "Policy.limits must have names as keys, not int"),
        ({"limits": {"a": 3}}, "Policy.limits['a'] must be a Limit"),
    ],
)
def test_a_wrong_table_is_refused_where_it_is_given(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        Policy(**fields)
    assert message in str(caught.value)


def test_entries_with_a_wildcard_hold_for_every_model_that_matches() -> None:
    prices = Policy(
        prices={
            "openai/*": Price(1, 1),
            "openai/gpt-5*": Price(5, 5),
            "openai/gpt-5-mini": Price(2, 2),
            "*-free": Price(0, 0),
        }
    ).prices
    found = {
        name: by_model(prices, ModelConfig.parse(name))
        for name in ("openai/gpt-4", "openai/gpt-5", "openai/gpt-5-mini")
    }
    assert [price.prompt for price in found.values() if price is not None] == [1, 5, 2]
    assert by_model(prices, ModelConfig("groq", "llama-free")) == Price(0, 0)
    assert by_model(prices, ModelConfig("groq", "llama")) is None
