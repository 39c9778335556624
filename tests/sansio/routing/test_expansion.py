"""Names in requests: aliases, routes with a wildcard, the keys of a provider, and the affinity of calls."""

from __future__ import annotations

import collections
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.routing.line_dialect import LineProvider
from tests.sansio.routing.small_worlds import GOOD, World
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import BudgetExceeded, NotFound, ProviderNotRegistered
from turnout.http import Headers, HttpRequest
from turnout.messages import Message
from turnout.providers.keys import KeyedProvider
from turnout.routing import Budget
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.call.options import CallOptions
from turnout.routing.policy.routes import Choice, Measured, Route
from turnout.routing.policy.settings import Limit, Policy
from turnout.routing.policy.strategies import order_by_affinity
from turnout.routing.replay import replay
from turnout.routing.router import RouterCore
from turnout.simulation import Script

NAMES = ["a/m", "b/m", "c/m", "d/m"]


def refusing(status: int = 429) -> Script:
    return Script(status=status)


def keyed(name: str, *keys: str) -> KeyedProvider:
    return KeyedProvider(name, tuple(LineProvider(f"{name}#{key}") for key in keys), LineProvider(name))


def keyed_world(*scripts: list[Script], **policy: Any) -> World:
    """Return a world with one provider `p` that has a key for each list of scripts."""
    world = World(**policy)
    keys = [str(number) for number in range(1, len(scripts) + 1)]
    world.core.register(keyed("p", *keys))
    world.left = {f"p#{key}.test": list(mine) for key, mine in zip(keys, scripts, strict=True)}
    return world


def asked(world: World, name: str, **options: Any) -> list[str]:
    before = len(world.who)
    outcome = world.run(Stream(ChatRequest(name, "x")), **options)
    assert outcome.error is None, outcome.error
    return world.who[before:]


# -- aliases and wildcards --------------------------------------------------------------------------------------------


def test_an_alias_stands_for_a_model_or_a_route() -> None:
    world = World([GOOD], [GOOD])
    world.core.add_route(Route("fast", ["p1/m"]))
    world.core.add_alias("quick", "fast")
    world.core.add_alias("old/model", "p0/m")
    world.core.add_alias("older/model", "old/model")
    assert asked(world, "route/quick") == ["p1"]
    assert asked(world, "old/model") == asked(world, "older/model") == ["p0"]


def test_the_settings_of_the_request_are_over_those_of_the_alias() -> None:
    core = RouterCore()
    core.add_alias("x/y", ModelConfig("p", "m", temperature=0.5, max_tokens=9))
    named = core._registry.resolve(ModelConfig("x", "y", temperature=0.0))
    assert (named.provider, named.temperature, named.max_tokens) == ("p", 0.0, 9)


def test_an_alias_cannot_name_itself_or_take_a_name() -> None:
    core = RouterCore()
    core.add_alias("a/m", "b/m")
    with pytest.raises(ValueError, match="names itself"):
        core.add_alias("b/m", "a/m")
    with pytest.raises(ValueError, match="is taken"):
        core.add_alias("a/m", "c/m")
    core.add_route(Route("fast", ["a/m"]))
    with pytest.raises(ValueError, match="is taken"):
        core.add_alias("fast", "c/m")


def test_a_route_with_a_wildcard_passes_the_matched_text_to_its_choices() -> None:
    world = World([GOOD], [GOOD])
    world.core.add_route(Route("gpt-*", ["p0/big-*", "p1/small"], "round-robin"))
    outcome = world.run(Stream(ChatRequest("route/gpt-5", "x")))
    assert outcome.call.trace.entries[0].order == ("p0/big-5", "p1/small")  # type: ignore[union-attr]
    world.core.add_route(Route("gpt-5", ["p1/exact"]))
    assert world.run(Stream(ChatRequest("route/gpt-5", "x"))).call.model == ModelConfig("p1", "exact")
    with pytest.raises(ValueError, match=r"only a route with '\*' in its name can"):
        Route("plain", ["p0/big-*"])


# -- several keys -----------------------------------------------------------------------------------------------------


def test_the_keys_of_a_provider_take_turns_and_the_response_has_the_name_of_the_provider() -> None:
    world = keyed_world([GOOD], [GOOD])
    assert [asked(world, "p/m") for _ in range(4)] == [["p#1"], ["p#2"], ["p#1"], ["p#2"]]
    assert world.simulation.outcomes[-1].call.model == ModelConfig("p", "m")
    assert [health.candidate for health in world.core.health(0.0)] == ["p#1/m", "p#2/m"]


def test_another_key_is_tried_after_a_failure_of_one() -> None:
    world = keyed_world([Script(status=401)], [GOOD])
    assert asked(world, "p/m") == ["p#1", "p#2"]
    assert [asked(world, "p/m") for _ in range(3)] == [["p#2"]] * 3, "the key that failed cools down"


def test_one_key_can_be_named() -> None:
    world = keyed_world([GOOD], [GOOD])
    assert asked(world, "p#2/m") == ["p#2"]
    assert world.simulation.outcomes[-1].call.model == ModelConfig("p", "m")


def test_a_limit_of_the_provider_holds_for_each_key() -> None:
    core = RouterCore(Policy(limits={"p": Limit(max_concurrency=1), "p#2": Limit(max_concurrency=5)}))
    core.register(keyed("p", "1", "2", "3"))
    states = [core._registry.state_of_model(ModelConfig(f"p#{key}", "m")) for key in "123"]
    assert [state.limiters[1].slots for state in states] == [1, 5, 1]


def test_rules_and_prices_of_the_provider_hold_for_each_key() -> None:
    world = keyed_world([Script(status=500)], [GOOD], rules={"p:server": "raise"})
    assert world.run(Stream(ChatRequest("p/m", "x"))).error is not None
    assert world.who == ["p#1"]


# -- affinity ---------------------------------------------------------------------------------------------------------


@given(st.text(), st.lists(st.sampled_from(NAMES), min_size=1, unique=True), st.sampled_from(NAMES))
def test_only_the_texts_of_a_removed_candidate_move(text: str, names: list[str], gone: str) -> None:
    order = [names[index] for index in order_by_affinity(text, names, [1.0] * len(names))]
    assert sorted(order) == sorted(names)
    left = [name for name in names if name != gone]
    after = [left[index] for index in order_by_affinity(text, left, [1.0] * len(left))]
    assert after == [name for name in order if name != gone]


def test_a_candidate_gets_the_share_of_its_weight() -> None:
    first = collections.Counter(order_by_affinity(f"user-{n}", NAMES, [1.0, 3.0, 0.0, 1.0])[0] for n in range(4000))
    assert 2200 < first[1] < 2600
    assert first[2] == 0


def test_calls_with_an_affinity_stay_on_one_candidate_until_it_fails() -> None:
    world = World([GOOD], [GOOD], [GOOD])
    world.core.add_route(Route("r", ["p0/m", "p1/m", "p2/m"], "round-robin"))
    (first,) = asked(world, "route/r", affinity="user-7")
    assert [asked(world, "route/r", affinity="user-7") for _ in range(5)] == [[first]] * 5
    world.left[f"{first}.test"] = [Script(status=401)]
    moved = asked(world, "route/r", affinity="user-7")
    assert moved[0] == first
    assert [asked(world, "route/r", affinity="user-7") for _ in range(3)] == [moved[1:]] * 3


def test_an_affinity_does_not_change_an_order_that_is_fixed() -> None:
    world = World([GOOD], [GOOD])
    world.core.add_route(Route("r", ["p0/m", "p1/m"]))
    assert {asked(world, "route/r", affinity=f"user-{n}")[0] for n in range(20)} == {"p0"}


def test_the_beginning_of_the_conversation_can_be_the_affinity() -> None:
    world = keyed_world([GOOD], [GOOD], [GOOD])

    def first_key(*messages: Message) -> str:
        before = len(world.who)
        world.run(Stream(ChatRequest("p/m", list(messages))), affinity=True)
        return world.who[before]

    system = Message.system("You are brief.")
    for n in range(5):
        question = Message.user(f"question {n}")
        keys = {first_key(system, question), first_key(system, question, Message.assistant("a"), Message.user("more"))}
        assert len(keys) == 1
    assert len({first_key(system, Message.user(f"other {n}")) for n in range(30)}) == 3


# -- strategies and layers of policies --------------------------------------------------------------------------------


def test_a_strategy_of_the_user_reads_the_metadata_of_the_request() -> None:
    def by_team(choices: Any) -> list[int]:
        return [1] if choices[0].metadata.get("team") == "b" else [0]

    world = World([GOOD], [GOOD])
    world.core.add_route(Route("r", ["p0/m", "p1/m"], by_team))
    for team, provider in (("a", "p0"), ("b", "p1")):
        world.run(Stream(ChatRequest("route/r", "x", metadata={"team": team})))
        assert world.who[-1] == provider


def test_an_unknown_route_is_an_error_beside_keys_and_aliases() -> None:
    core = RouterCore(rng=random.Random(1))
    core.register(keyed("p", "1", "2"))
    call = core.start(Chat(ChatRequest("route/x", "x")), 0.0)
    assert isinstance(call.next_command(0.0).error, ProviderNotRegistered)  # type: ignore[union-attr]


@pytest.mark.parametrize(("asked", "meant"), [("p0/*", "p0/m"), ("p1/gpt-*", "p1/gpt-5"), ("p1/o*", "openai/gpt-4o")])
def test_a_pattern_is_no_model_of_a_request(asked: str, meant: str) -> None:
    world = World([GOOD], [GOOD])
    world.run()
    world.core.add_route(Route("fast", ["p1/gpt-5", "p0/m"]))
    for request in (ChatRequest(asked, "x"), ChatRequest("p0/m", "x", fallbacks=[asked])):
        error = world.run(Chat(request)).error
        assert isinstance(error, ProviderNotRegistered)
        assert f"{asked}: a request names one model, such as {meant}" in str(error)
    assert len(world.asked) == 1


def test_a_model_that_never_answered_is_not_proposed() -> None:
    world = World([refusing(404)])
    assert isinstance(world.run().error, NotFound)
    assert "such as openai/gpt-4o-mini;" in str(world.run(Chat(ChatRequest("p0/*", "x"))).error)


def test_a_route_that_extends_another_states_only_what_differs() -> None:
    fast = Route("fast", ["p0/a", "p1/b"], "weighted", policy=Policy(max_retries=0, timeout=5.0))
    patient = fast.extended("patient", policy=Policy(timeout=90.0))
    assert patient == Route("patient", ["p0/a", "p1/b"], "weighted", policy=Policy(max_retries=0, timeout=90.0))
    other = patient.extended("other", ["p1/c"], "ordered")
    assert other == Route("other", ["p1/c"], "ordered", policy=patient.policy)
    with pytest.raises(ValueError, match="at least one choice"):
        fast.extended("none", [])
    with pytest.raises(ValueError, match="strategy"):
        fast.extended("odd", strategy="fastest")  # type: ignore[arg-type]


def test_measured_facts_have_no_labels_by_default() -> None:
    assert Measured(Choice("a/m")).metadata == {}


# -- rules, fallbacks and policies of single models -------------------------------------------------------------------


def test_the_retries_of_a_class_are_counted_apart() -> None:
    rules = {"server": {"max_retries": 1}, "overloaded": {"max_retries": 3}}
    world = World([Script(status=500)], [GOOD], rules=rules, max_retries=9, backoff_initial=0.0)
    assert world.run().error is None
    assert world.who == ["p0", "p0", "p1"]


def test_a_failure_class_may_have_its_own_fallbacks() -> None:
    world = World([Script(status=451)], [GOOD], [GOOD], fallbacks={"content-filter": ["p2/m"]})
    outcome = world.run(Stream(ChatRequest("p0/m", "x", fallbacks=["p1/m"])))
    assert world.who == ["p0", "p2"]
    assert replay(outcome.call.trace.to_dict()) == ()
    assert "the policy has other models for this failure" in outcome.call.trace.explain()


def test_the_fallbacks_of_a_class_are_used_for_that_class_alone() -> None:
    world = World([Script(status=401)], [GOOD], [GOOD], fallbacks={"content-filter": ["p2/m"]})
    world.run(Stream(ChatRequest("p0/m", "x", fallbacks=["p1/m"])))
    assert world.who == ["p0", "p1"]


def test_a_failed_fallback_of_a_class_is_not_tried_again() -> None:
    world = World([Script(status=451)], [Script(status=451)], [GOOD], fallbacks={"content-filter": ["p1/m", "p0/m"]})
    outcome = world.run(Stream(ChatRequest("p0/m", "x", fallbacks=["p2/m"])))
    assert world.who == ["p0", "p1"]
    assert outcome.error is not None
    assert replay(outcome.call.trace.to_dict()) == ()


def test_the_fallbacks_of_a_class_may_be_a_route() -> None:
    world = World([Script(status=451)], [GOOD], [GOOD], fallbacks={"content-filter": ["route/safe"]})
    world.core.add_route(Route("safe", ["p2/m", "p1/m"]))
    world.run(Stream(ChatRequest("p0/m", "x")))
    assert world.who == ["p0", "p2"]


def test_a_model_of_a_route_and_a_fallback_route_have_their_own_settings() -> None:
    world = World([Script(status=500)], [Script(status=500)], [GOOD], max_retries=0, backoff_initial=0.0)
    world.core.add_route(Route("first", [Choice("p0/m", policy=Policy(max_retries=2))]))
    world.core.add_route(Route("second", ["p1/m", "p2/m"], policy=Policy(max_retries=1)))
    outcome = world.run(Stream(ChatRequest("route/first", "x", fallbacks=["route/second"])))
    assert world.who == ["p0", "p0", "p0", "p1", "p1", "p2"]
    assert replay(outcome.call.trace.to_dict()) == ()
    world.run(Stream(ChatRequest("route/first", "x")), policy=Policy(max_retries=0))
    assert world.who[6:] == ["p0"]


# -- a key for one call -----------------------------------------------------------------------------------------------


class ShopProvider(LineProvider):
    """A provider whose requests show their key in the name of the host."""

    key = ""

    def with_key(self, key: str) -> ShopProvider:
        other = ShopProvider(self.name)
        other.key = f"-{key}"
        return other

    def _request(self, path: str, body: bytes = b"") -> HttpRequest:
        return HttpRequest("POST", f"https://{self.name}{self.key}.test/{path}", Headers(()), body)


@pytest.fixture
def shop() -> World:
    world = World(limits={"p0": Limit(max_concurrency=1)})
    world.core.register(ShopProvider("p0"))
    world.left = {"p0.test": [GOOD], "p0-sk-user.test": [GOOD]}
    return world


def test_a_call_may_have_its_own_key(shop: World) -> None:
    assert asked(shop, "p0/m", api_keys={"p0": "sk-user"}) == ["p0-sk-user"]
    assert asked(shop, "p0/m") == ["p0"]


def test_the_limits_of_one_key_are_not_those_of_others(shop: World) -> None:
    shop.left["p0-sk-user.test"] = [Script(status=401)]
    assert shop.run(Stream(ChatRequest("p0/m", "x")), api_keys={"p0": "sk-user"}).error is not None
    assert shop.core.health(0.0)[0].available_in == 0.0
    assert asked(shop, "p0/m") == ["p0"]


def test_a_budget_does_not_count_what_a_user_s_own_key_pays(shop: World) -> None:
    shop.core.update(Policy(budgets=[Budget(1, per="day")]), 0.0)
    assert asked(shop, "p0/m", api_keys={"p0": "sk-user"}) == ["p0-sk-user"]
    assert isinstance(shop.run(Stream(ChatRequest("p0/m", "x"))).error, BudgetExceeded)


def test_an_outage_is_shared_by_all_keys(shop: World) -> None:
    shop.left["p0-sk-user.test"] = [Script(status=500)]
    for _ in range(2):
        shop.run(Stream(ChatRequest("p0/m", "x")), api_keys={"p0": "sk-user"}, policy=Policy(max_retries=5))
    assert shop.core.health(shop.simulation.now)[0].state == "open"


def test_a_key_for_an_unknown_provider_is_an_error() -> None:
    core = RouterCore()
    core.register(LineProvider("p"))
    with pytest.raises(ValueError, match="api_keys: no provider named 'pp' is registered; did you mean p"):
        core.start(Chat(ChatRequest("p/m", "x")), 0.0, None, CallOptions(api_keys={"pp": "sk-user"}))
    call = core.start(Chat(ChatRequest("p/m", "x")), 0.0, None, CallOptions(api_keys={"p": "sk-user"}))
    assert "takes no key for one call" in str(call.next_command(0.0).error)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "keys", [["sk-user"], {"p": ""}, {"p": 3}, {3: "sk-user"}, {"p": "os.environ/KEY"}, {"p": "a\nb"}]
)
def test_wrong_keys_of_a_call_are_refused(keys: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="api_keys") as caught:
        CallOptions(api_keys=keys)
    assert "sk-user" not in str(caught.value)
