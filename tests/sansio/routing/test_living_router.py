"""Routers that change while they run, and the check of names in a policy."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from tests.sansio.routing.line_dialect import LineProvider
from tests.sansio.routing.small_worlds import GOOD, World
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import ProviderNotRegistered
from turnout.prices import Price
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.policy.names import check_names
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Limit, Policy
from turnout.routing.router import RouterCore
from turnout.simulation import Script

NAMES = ["openai", "groq", "groq#1", "groq#2"]


@pytest.mark.parametrize(
    "fields",
    [
        {"limits": {"openai": Limit(), "openai/gpt-5": Limit(), "groq#2": Limit(), "openai/*": Limit(), "*": Limit()}},
        {"rules": {"server": "raise", "openai:server": "raise", "groq#1:server": "raise"}},
        {"prices": {"gpt-5": Price(1, 1), "openai/*": Price(1, 1), "meta-llama/llama-4-scout": Price(1, 1)}},
        {"context_windows": {"openai/gpt-5": 9, "*-mini": 9}},
    ],
)
def test_names_that_match_are_accepted(fields: dict[str, Any]) -> None:
    check_names(Policy(**fields), NAMES, ["mistral"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"limits": {"opnai": Limit()}},
            "Policy.limits: 'opnai' matches no provider of this router; did",
        ),
        ({"limits": {"mistral/*": Limit()}}, "Policy.limits: 'mistral/*' matches no provider"),
        ({"limits": {"gpt-5": Limit()}}, "Policy.limits: 'gpt-5' matches no provider"),
        (
            {"rules": {"grok:server": "raise"}},
            "Policy.rules: 'grok:server' matches no provider",
        ),
        (
            {"prices": {"opnai/gpt-5": Price(1, 1)}},
            "Policy.prices: 'opnai/gpt-5' matches no provider",
        ),
        ({"prices": {"mistral/large": Price(1, 1)}}, "Policy.prices: 'mistral/large' matches no provider"),
        (
            {"prices": {"openai": Price(1, 1)}},
            "Policy.prices: 'openai' is a provider; write openai/* for",
        ),
        ({"context_windows": {"gro/x": 9}}, "Policy.context_windows: 'gro/x' matches no provider"),
    ],
)
def test_names_that_match_nothing_are_errors_with_a_suggestion(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="Policy") as caught:
        check_names(Policy(**fields), NAMES, ["mistral"])
    assert message in str(caught.value)


def test_a_misspelled_provider_of_a_route_is_an_error() -> None:
    core = RouterCore(Policy())
    route = Route("r", ["opnai/m", "openai/m"])
    core.check_route(route)  # there may be providers later
    core.add_route(route)
    core.register(LineProvider("openai"))
    message = "route 'r': 'opnai/m' matches no provider of this router; did you mean openai?"
    with pytest.raises(ValueError, match=re.escape(message)):
        core.check_route(route)
    with pytest.raises(ValueError, match=re.escape(message)):
        core.start(Chat(ChatRequest("route/r", "x")), 0.0)
    core.check_route(Route("other", ["groq/m"]))  # it may be registered later
    core.add_alias("opnai/m", "openai/m")
    core.check_route(route)


def test_a_router_without_providers_checks_the_names_at_its_first_call() -> None:
    core = RouterCore(Policy(limits={"pp": Limit(max_concurrency=1)}))
    core.register(LineProvider("p"))
    with pytest.raises(ValueError, match="'pp' matches no provider of this router; did you mean p"):
        core.start(Chat(ChatRequest("p/m", "x")), 0.0)


def test_a_new_policy_holds_for_new_calls() -> None:
    world = World([Script(status=500)], [GOOD], max_retries=3, backoff_initial=0.0)
    world.run()
    assert world.who == ["p0"] * 4 + ["p1"]
    world.core.update(attrs.evolve(world.core.policy, max_retries=0), world.simulation.now)
    world.simulation.now += 600
    world.run()
    assert world.who[5:] == ["p0", "p1"]


def test_a_wrong_new_policy_changes_nothing() -> None:
    world = World([GOOD])
    before = world.core.policy
    with pytest.raises(ValueError, match="matches no provider"):
        world.core.update(Policy(limits={"zz": Limit(max_concurrency=1)}), 0.0)
    assert world.core.policy is before


def test_what_was_taken_counts_against_a_new_limit() -> None:
    world = World([GOOD], limits={"p0": Limit(requests_per_minute=5)}, when_at_capacity="reject")
    for _ in range(3):
        assert world.run().error is None
    world.core.update(attrs.evolve(world.core.policy, limits={"p0": Limit(requests_per_minute=3)}), 0.0)
    assert world.run().error is not None
    world.core.update(attrs.evolve(world.core.policy, limits={}), 0.0)
    assert world.run().error is None


def test_a_waiting_call_starts_when_a_limit_is_raised() -> None:
    world = World([Script(end="silent")], limits={"p0": Limit(max_concurrency=1)}, timeout=30.0)
    for _ in range(2):
        world.simulation.call(Stream(world.request()))
    wider = attrs.evolve(world.core.policy, limits={"p0": Limit(max_concurrency=2)})
    world.simulation.at(3.0, lambda: world.core.update(wider, 3.0))
    world.simulation.run()
    assert [now for _, now in world.asked] == [0.0, 3.0]


def test_a_replaced_provider_keeps_its_state_and_serves_the_calls_that_wait() -> None:
    world = World([Script(end="silent")], limits={"p0": Limit(max_concurrency=1)}, timeout=30.0)
    for _ in range(2):
        world.simulation.call(Stream(world.request()))
    replacement = LineProvider("p0")
    world.simulation.at(3.0, lambda: world.core.register(replacement, replace=True))
    world.simulation.run(until=4.0)
    assert world.core.scheduler.in_flight == 1, "the attempt in flight still counts"
    world.simulation.run()
    assert len(world.asked) == 1 or world.asked[1][0] == "p0"
    assert world.core.scheduler.in_flight == 0


def test_a_removed_provider_gets_no_further_attempts() -> None:
    world = World([GOOD], [GOOD])
    world.core.unregister("p0")
    with pytest.raises(ValueError, match="no provider named 'p0' is registered"):
        world.core.unregister("p0")
    outcome = world.run(Stream(ChatRequest(ModelConfig("p0", "m"), "x")))
    assert isinstance(outcome.error, ProviderNotRegistered)


def test_a_route_can_be_removed() -> None:
    world = World([GOOD])
    world.core.add_route(Route("r", ["p0/m"]))
    world.core.remove_route("r")
    assert isinstance(world.run(Stream(ChatRequest("route/r", "x"))).error, ProviderNotRegistered)
    with pytest.raises(ValueError, match="there is no route named 'r'"):
        world.core.remove_route("r")
