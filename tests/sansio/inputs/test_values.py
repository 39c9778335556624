"""Values that do not fit: the error names the field and what it accepts, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import ChatRequest, EmbeddingRequest, Message, ModelConfig, RerankRequest
from turnout.messages import Role
from turnout.routing import Route
from turnout.routing.call.options import CallOptions

MODEL = "openai/gpt-4o-mini"
OTHER = ModelConfig("azure", "gpt-4o-mini")
REQUESTS: list[Callable[..., Any]] = [
    lambda **fields: ChatRequest(MODEL, "hi", **fields),
    lambda **fields: ChatRequest(MODEL, "hi", temperature=1, **fields),
    lambda **fields: EmbeddingRequest(MODEL, "hi", family="m", **fields),
    lambda **fields: RerankRequest(MODEL, "hi", ["a"], **fields),
]


@pytest.mark.parametrize("make", REQUESTS)
@pytest.mark.parametrize("one", [str(OTHER), OTHER])
def test_one_fallback_needs_no_list(make: Callable[..., Any], one: Any) -> None:
    assert make(fallbacks=one) == make(fallbacks=[OTHER])


@pytest.mark.parametrize("make", REQUESTS)
@pytest.mark.parametrize("value", [5, b"a/b", {"a/b": 1}])
def test_fallbacks_that_are_no_list_are_named(make: Callable[..., Any], value: Any) -> None:
    with pytest.raises(TypeError, match=r"fallbacks must be a list of models, such as \['openai/gpt-4o-mini'\], not "):
        make(fallbacks=value)


@pytest.mark.parametrize("value", [b"hi", 7, {"content": "hi"}, None])
def test_messages_that_are_no_list_are_named(value: Any) -> None:
    with pytest.raises(TypeError, match=r"ChatRequest.messages must be a text or a list of messages, not "):
        ChatRequest(MODEL, value)


@pytest.mark.parametrize("value", ["", [], ()])
def test_an_empty_conversation_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"ChatRequest\.messages must hold at least one message"):
        ChatRequest(MODEL, value)


@pytest.mark.slow
@given(st.text().filter(lambda word: word not in set(Role)))
def test_a_role_that_is_none_is_answered_with_all_roles(word: str) -> None:
    with pytest.raises(ValueError, match=r"Message\.role must be one of system, developer, user, assistant, tool, not"):
        Message(word, "hi")


@pytest.mark.parametrize("value", [MODEL, OTHER, 5, b"a/b", {"a/b": 1}])
def test_choices_that_are_no_list_are_named(value: Any) -> None:
    with pytest.raises(TypeError, match=r"Route\.choices must be a list of models, such as "):
        Route("fast", value)


def test_the_name_of_a_route_is_written_without_its_prefix() -> None:
    with pytest.raises(ValueError, match=r"Route\.name must be 'fast', not 'route/fast'"):
        Route("route/fast", [MODEL])


@pytest.mark.parametrize("name", ["timeout", "total_timeout"])
@given(seconds=st.floats(max_value=0, allow_nan=False) | st.integers(max_value=0))
def test_a_time_that_has_passed_is_refused(name: str, seconds: float) -> None:
    fields: dict[str, Any] = {name: seconds}
    with pytest.raises(ValueError, match=f"{name} must be more than 0"):
        CallOptions(**fields)
