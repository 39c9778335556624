"""What makes no sense is refused where it is given, by the name of what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.sansio.routing.line_dialect import LineProvider
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.routing import BreakerPolicy, Choice, Hedge, Limit, Policy, Route, Timeouts
from turnout.routing.call.operations import Chat, Embed
from turnout.routing.call.options import CallOptions
from turnout.routing.router import RouterCore

MODEL: Any = ModelConfig("p", "m")
RULES: tuple[Any, ...] = (Policy, Timeouts, BreakerPolicy, Hedge, Limit)
FIELDS = [(kind, field) for kind in RULES for field in attrs.fields(kind)]


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=[f"{kind.__name__}.{field.name}" for kind, field in FIELDS])
def test_no_field_takes_something_else_or_nothing(kind: Any, field: attrs.Attribute[Any]) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        kind(**{field.name: object()})
    if field.default is not None and field.name != "breaker":  # None is a policy without one
        with pytest.raises((TypeError, ValueError, AttributeError)):
            kind(**{field.name: None})


NONSENSE: list[tuple[str, Callable[..., object], dict[str, Any]]] = [
    ("Policy.limits['groq'] must be a Limit, not int", Policy, {"limits": {"groq": 5}}),
    ("Policy.prices['m'] must be a Price, not float", Policy, {"prices": {"m": 0.15}}),
    ("Policy.context_windows['m'] must be an int, not str", Policy, {"context_windows": {"m": "128k"}}),
    ("Policy.prices must have names as keys, not ModelConfig", Policy, {"prices": {MODEL: 1}}),
    ("Policy.hedge must be a Hedge, not bool", Policy, {"hedge": True}),
    ("Policy.timeout must be a number, not None", Policy, {"timeout": None}),
    ("Route.policy must be a Policy, not dict", Route, {"name": "x", "choices": ["p/m"], "policy": {}}),
    ("Choice.weight must be a number, not None", Choice, {"model": "p/m", "weight": None}),
    ("a model is written provider/model", Route, {"name": "x", "choices": ["gpt-4o"]}),
    ("Chat.request must be a ChatRequest, not str", Chat, {"request": "hello"}),
    ("Embed.request must be an EmbeddingRequest, not list", Embed, {"request": ["hello"]}),
]


@pytest.mark.parametrize(("told", "make", "given"), NONSENSE, ids=[told for told, _, _ in NONSENSE])
def test_what_is_wrong_is_named(told: str, make: Callable[..., object], given: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make(**given)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["timeout", "total_timeout"])
@pytest.mark.parametrize("seconds", ["30", True, math.nan])
def test_a_time_that_is_none_is_refused_before_anything_begins(name: str, seconds: Any) -> None:
    core = RouterCore()
    with pytest.raises((TypeError, ValueError), match=f"{name} must be a number of seconds"):
        core.start(Chat(ChatRequest("p/m", "x")), 0.0, None, CallOptions(**{name: seconds}))
    assert not core.scheduler.in_flight


class _Half:
    name = "half"
    capabilities: frozenset[str] = frozenset()


def test_what_a_router_is_made_of_is_looked_at_when_it_comes() -> None:
    core: Any = RouterCore()
    with pytest.raises(TypeError, match=r"a router takes providers, not str: write turnout\.providers\.create"):
        core.register("openai")
    with pytest.raises(TypeError, match="_Half is not a provider: it has no missing_env"):
        core.register(_Half())
    with pytest.raises(ValueError, match="the name of a provider must not hold '/', as 'a/b' does"):
        core.register(LineProvider("a/b"))
    with pytest.raises(TypeError, match="takes a Route, not str"):
        core.add_route("fast")
    wrong: Any = {"policy": {"timeout": 3}}
    with pytest.raises(TypeError, match="policy must be a Policy, not dict"):
        core.start(Embed(EmbeddingRequest("p/m", "x")), 0.0, None, CallOptions(**wrong))


def test_models_of_a_route_may_be_text() -> None:
    assert Route("x", ["p/m", Choice("p/n", weight=2)]).choices == (
        Choice(MODEL),
        Choice(ModelConfig("p", "n"), weight=2),
    )


def test_a_loop_of_one_s_own_may_repeat_a_report_that_was_wrong() -> None:
    core = RouterCore()
    core.register(LineProvider("p"))
    begin: Any = core.start
    for wrong in ("hello", ChatRequest("p/m", "x")):
        with pytest.raises(TypeError, match=r"start takes an operation, not \w+: write Chat\(request\)"):
            begin(wrong, 0.0)
    call: Any = core.start(Chat(ChatRequest("p/m", "x")), 0.0)
    attempt = call.next_command(0.0).attempt
    with pytest.raises(TypeError, match="receive_head takes the status as an int, not str"):
        call.receive_head(attempt, "200", {}, 0.1)
    with pytest.raises(TypeError, match=r"receive_failure takes an error of Turnout, .* not OSError: gone"):
        call.receive_failure(attempt, OSError("gone"), 0.1)
    assert call.receive_head(attempt, 200, [], 0.1) == ()
