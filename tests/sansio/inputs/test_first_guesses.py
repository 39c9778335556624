"""First guesses of users of other libraries: each is refused with the spelling that works here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydantic
import pytest

import turnout
import turnout_io
from turnout import ChatRequest, ChatResponse, Message, ModelConfig, Tool
from turnout.errors import DeadlineExceeded, NotFound
from turnout.inputs.requests import chat_request
from turnout.routing import Budget, Limit, Policy, Timeouts
from turnout.routing.call.options import CallOptions
from turnout.typed.function import function_tool
from turnout_io.sync import Router

MODEL = "openai/gpt-4o-mini"
REPLY = ChatResponse(message=Message.assistant("Because."), model=ModelConfig.parse(MODEL))
ROUTER: Any = Router()
LATE: Any = DeadlineExceeded("late")
DICTS: Any = [{"type": "text", "text": "x"}]
TEXTS: Any = ["hi"]
ANSWERS: Any = [REPLY]
ERROR: Any = NotFound("no such model", provider="openai", status=404)


class Weather(pydantic.BaseModel):
    """Get the weather."""

    city: str


class Unclosed:
    def open(self, request: Any, timeouts: Any) -> Any: ...


def keyword(name: str, value: Any = 1) -> Callable[[], Any]:
    return lambda: chat_request("chat", (MODEL, "hi"), {name: value})


@pytest.mark.parametrize(
    ("guess", "advice"),
    [
        (lambda: turnout_io.Router, "from turnout_io.sync import Router"),
        (lambda: turnout_io.AsyncRouter, "from turnout_io.asyncio import Router"),
        (lambda: turnout_io.MemoryCache, "from turnout_io.caching import MemoryCache"),
        (lambda: turnout_io.TraceRecorder, "from turnout_io.recorder import TraceRecorder"),
        (keyword("mock_response"), "turnout_io.testing.ScriptedTransport"),
        (keyword("retry_policy"), "policy=Policy(rules={…})"),
        (keyword("context_window_fallbacks"), "policy=Policy(fallbacks={'context-length': […]})"),
        (keyword("content_policy_fallbacks"), "policy=Policy(fallbacks={'content-filter': […]})"),
        (keyword("drop_params"), "create('openai', unsupported='drop')"),
        (keyword("api_version"), "create("),
        (lambda: ChatRequest(MODEL, "hi", logprobs=True), "the number of alternatives: write logprobs=0"),
        (lambda: CallOptions(policy={"max_retries": 1}), "write Policy(max_retries=…)"),  # type: ignore[arg-type]
        (lambda: Policy(retries=1), "max_retries"),  # type: ignore[call-arg]
        (lambda: Policy(num_retries=1), "max_retries"),  # type: ignore[call-arg]
        (lambda: Policy(request_timeout=1), "timeout"),  # type: ignore[call-arg]
        (lambda: ERROR.response, "error.status and error.message"),
        (lambda: ERROR.llm_provider, "error.provider"),
        (lambda: ERROR.attempts, "error.trace.attempts"),
        (lambda: LATE.status_code, "error.status"),
        (lambda: ChatRequest(MODEL, TEXTS), "ChatRequest.messages[0] must be a Message"),
        (lambda: ChatRequest(MODEL, ANSWERS), "write reply.message"),
        (lambda: Message("user", DICTS), "Message.from_dict"),
        (lambda: ChatRequest(MODEL, "hi", tools=[Weather]), "the class Weather is not a tool"),
        (lambda: Tool.of(Weather), "the class Weather is not a tool: write a function"),
        (lambda: function_tool(Weather), "the class Weather is not a tool"),
        (keyword("response_format", list[Weather]), "write ResponseFormat.of(list["),
        (
            keyword("response_format", Weather(city="Oslo")),
            "write the class Weather, not a value",
        ),
        (keyword("fallbacks", [{"model": MODEL}]), "not dict: write the text, or ModelConfig("),
        (lambda: Limit(10), "write Limit(max_concurrency=…)"),  # type: ignore[call-arg]
        (lambda: Timeouts(10), "write Timeouts(connect=…)"),  # type: ignore[call-arg]
        (lambda: Budget(1, "day"), "takes amount without a name, and all others by name"),  # type: ignore[call-arg]
        (lambda: Policy(prices={MODEL: (0.15, 0.6)}), "not tuple: write Price(0.15, 0.60)"),
        (lambda: ROUTER.add_deployment, "router.add_route(Route("),
        (lambda: ROUTER.trace, "reply.trace"),
        (lambda: Router(transport=Unclosed()), "it has no method `close`"),  # type: ignore[arg-type]
    ],
)
def test_the_error_names_what_works(guess: Callable[[], Any], advice: str) -> None:
    with pytest.raises((TypeError, AttributeError, ValueError, ImportError)) as caught:
        guess()
    assert advice in str(caught.value)


def test_what_the_hints_name_exists() -> None:
    from turnout_io.caching import MemoryCache
    from turnout_io.recorder import TraceRecorder

    assert (ERROR.status, ERROR.provider, ERROR.message) == (404, "openai", "no such model")
    assert isinstance(ERROR.trace.attempts, int)
    assert (MemoryCache.__name__, TraceRecorder.__name__) == ("MemoryCache", "TraceRecorder")
    assert ChatRequest(MODEL, "hi", logprobs=0).model.logprobs == 0


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("drop_params", "create('openai', unsupported='drop')"),
        ("api_key", "create('openai', api_key='…')"),
        ("set_verbose", "TURNOUT_LOG=debug"),
        ("num_retries", "max_retries of a Policy"),
        ("success_callback", "on_trace=…"),
        ("cache", "write Router(…, cache=…)"),
        ("anything", "a router has providers, policy"),
    ],
)
def test_a_setting_of_the_module_is_refused(name: str, advice: str) -> None:
    with pytest.raises(AttributeError, match=f"turnout has no setting '{name}'") as caught:
        setattr(turnout, name, True)
    assert advice in str(caught.value)
    assert name not in vars(turnout)
