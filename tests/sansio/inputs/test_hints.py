"""Hints for keywords that a call, a request or a router does not have: each names a spelling that works."""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import attrs
import pytest

import turnout
import turnout_io.asyncio
import turnout_io.sync
from turnout import ChatRequest, End, Event, FinishReason, ModelConfig, Token
from turnout._utils.hints.keywords import POLICY_OF_CALL, POLICY_OF_ROUTER, unknown_router_argument
from turnout.config.settings import Settings, SettingsError
from turnout.errors import (
    AllAttemptsFailed,
    AllRateLimited,
    ConnectFailed,
    ContentFiltered,
    ContextLengthExceeded,
    DeadlineExceeded,
    Disconnected,
    InvalidRequest,
    MissingCredentials,
    NotFound,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    ServerError,
    TimedOut,
    TurnoutError,
)
from turnout.inputs import keywords
from turnout.inputs.requests import chat_request, embedding_request
from turnout.routing import BreakerPolicy, Hedge, Limit, Policy, Price, Timeouts
from turnout.routing.policy.settings import ROUTER_ONLY
from turnout.routing.tool_loop import ToolRun

MODEL = "openai/gpt-4o-mini"


def refusal(method: str, name: str, value: Any = 1) -> str | None:
    """Return the text of the error for a keyword; None if the method has it."""
    try:
        if method == "embed":
            embedding_request((MODEL, "hi"), {name: value})
        else:
            chat_request(method, (MODEL, "hi"), {name: value})
    except TypeError as error:
        return str(error)
    return None


def test_the_names_of_policy_fields_are_complete() -> None:
    assert {field.name for field in attrs.fields(Policy)} == POLICY_OF_CALL | POLICY_OF_ROUTER
    assert set(ROUTER_ONLY) == POLICY_OF_ROUTER


@pytest.mark.parametrize("name", sorted((POLICY_OF_CALL | POLICY_OF_ROUTER) - {"timeout", "fallbacks"}))
@pytest.mark.parametrize("method", ["chat", "embed"])
def test_a_field_of_a_policy_is_never_taken_for_a_field_of_the_provider(method: str, name: str) -> None:
    message = refusal(method, name) or ""
    assert f"policy=Policy({name}=…)" in message
    assert ("Router(…, policy" in message) == (name in ROUTER_ONLY)
    with pytest.raises(TypeError, match=f"Policy\\({name}=…"):
        ChatRequest(MODEL, "hi", **{name: 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "name", "advice"),
    [
        ("run", "max_steps", r"router.run(…, max_rounds=…)"),
        ("run", "max_round", "did you mean 'max_rounds'?"),
        ("chat", "max_rounds", r"router.run(…, max_rounds=…)"),
        ("chat", "on_trace", "Router(on_trace=…)"),
        ("chat", "dotenv", "Router.from_env(dotenv=…)"),
        ("chat", "total_timeout", "write timeout=…; only router.stream() has total_timeout"),
        ("stream", "total_timeot", "did you mean 'total_timeout'?"),
        ("stream", "collect", "router.chat(…, collect=…)"),
        ("chat", "max_attempt", "did you mean policy=Policy(max_attempts=…)"),
        ("chat", "callbacks", "on_trace="),
        ("chat", "proxies", "transport="),
        *((method, "deadline", "total_timeout=…") for method in ("chat", "stream")),
        ("stream", "deadline", "write timeout=…"),
        ("stream", "first_token_timeout", "policy=Policy(timeouts=Timeouts(first_token=…))"),
        ("stream", "token_timeout", "policy=Policy(timeouts=Timeouts(first_token=…, between_tokens=…))"),
        ("chat", "connect_timeout", "policy=Policy(timeouts=Timeouts(connect=…))"),
        ("chat", "frobnicate", "if it is a field of one provider's API"),
    ],
)
def test_the_hint_names_what_works(method: str, name: str, advice: str) -> None:
    message = refusal(method, name) or ""
    assert advice in message
    assert "max_tokens" not in message


def test_a_hint_never_repeats_the_name_that_was_refused() -> None:
    for method in ("chat", "stream", "run", "count_tokens", "embed"):
        for name in ("total_timeout", "collect", "max_rounds", "approve"):
            assert f"did you mean {name!r}" not in (refusal(method, name) or "")


def test_an_option_of_a_call_is_not_a_field_of_a_request() -> None:
    with pytest.raises(TypeError, match=r"write router.chat\(…, affinity=…\)"):
        ChatRequest(MODEL, "hi", affinity="a")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("callbacks", "on_trace"),
        ("max_connections", "max_concurrency"),
        ("max_connections", "transport="),
        ("proxy", "transport="),
        ("proxies", "transport="),
        ("verify", "transport="),
        ("http_client", "transport="),
        ("stream_timeout", "timeouts=Timeouts(first_token=…)"),
        ("rpm", "limits={'openai': Limit(requests_per_minute=…)} of a Policy"),
        ("tpm", "limits={'openai': Limit(tokens_per_minute=…)} of a Policy"),
        ("cooldown_time", "breaker=BreakerPolicy(break_duration=…) of a Policy"),
        ("allowed_fails", "breaker=BreakerPolicy(consecutive_failures=…) of a Policy"),
        ("max_budget", "budgets=[Budget(…, per='day')]"),
        ("total_timeout", "router.stream(…, total_timeout=…)"),
        ("api_key", "turnout.providers.create('openai', api_key="),
    ],
)
def test_a_keyword_of_other_libraries_has_its_place_here(name: str, advice: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({}, {}).policy(**{name: "sk-secret"})
    assert advice in str(caught.value)
    assert advice in str(unknown_router_argument(name))
    assert "sk-secret" not in str(caught.value)


def test_from_env_suggests_its_own_arguments_too() -> None:
    with pytest.raises(SettingsError, match="did you mean on_trace"):
        Settings.from_mapping({}, {}).policy(on_traces=print)


@pytest.mark.parametrize("name", ["max_cost", "dotenv", "limits"])
def test_a_router_names_where_an_argument_belongs(name: str) -> None:
    assert f"Router.from_env({name}=…)" in str(unknown_router_argument(name))


@pytest.mark.parametrize(
    ("make", "name", "advice"),
    [
        (Limit, "rpm", "requests_per_minute"),
        (Limit, "max_concurency", "did you mean max_concurrency?"),
        (Price, "input", "prompt=…"),
        (Timeouts, "read", "between_tokens"),
        (BreakerPolicy, "allowed_fails", "consecutive_failures"),
        (Hedge, "delays", "did you mean delay?"),
        (Policy, "max_attempt", "did you mean max_attempts?"),
    ],
)
def test_a_class_of_settings_names_the_right_field(make: Callable[..., object], name: str, advice: str) -> None:
    with pytest.raises(TypeError) as caught:
        make(**{name: 1})
    assert f"{make.__name__} has no {name!r}" in str(caught.value)
    assert advice in str(caught.value)


@pytest.mark.parametrize("name", ["RateLimitError", "Limit", "AsyncOpenAI", "Route", "APIError"])
def test_a_name_of_the_package_that_is_elsewhere_is_named(name: str) -> None:
    with pytest.raises(ImportError, match=r"from (turnout|turnout_io)(\.\w+)? import"):
        exec(f"from turnout import {name}")
    with pytest.raises(AttributeError, match=r"from (turnout|turnout_io)(\.\w+)? import"):
        getattr(turnout, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("turnout", "Router"),
        ("turnout", "StreamFailed"),
        ("turnout", "RateLimited"),
        ("turnout_io", "Router"),
        ("turnout.errors", "RateLimitError"),
        ("turnout.routing", "Router"),
        ("turnout.providers", "OpenAI"),
        ("turnout_io.sync", "AsyncRouter"),
        ("turnout_io.transports", "Router"),
    ],
)
def test_a_name_that_is_elsewhere_is_no_attribute(module: str, name: str) -> None:
    """As `hasattr`, a default of `getattr` and `mock.patch` need it. An import statement keeps the better text."""
    found = importlib.import_module(module)
    assert not hasattr(found, name)
    assert getattr(found, name, None) is None
    with pytest.raises(ImportError, match=rf"{module} has no '{name}': "):
        exec(f"from {module} import {name}")
    with pytest.raises(AttributeError, match=rf"{module} has no '{name}': "):
        getattr(found, name)


def test_a_test_can_patch_a_class_that_is_elsewhere() -> None:
    for module in ("turnout", "turnout_io"):
        with mock.patch(f"{module}.Router", "patched", create=True):
            assert importlib.import_module(module).Router == "patched"
        assert not hasattr(importlib.import_module(module), "Router")


@pytest.mark.parametrize("event", [Token("hi"), End(finish_reason=FinishReason.STOP)])
@pytest.mark.parametrize("name", ["choices", "text", "content"])
def test_an_event_names_where_its_text_is(event: Event, name: str) -> None:
    with pytest.raises(AttributeError, match=r"event\.delta of a Token; stream\.text"):
        getattr(event, name)
    assert not hasattr(event, "frobnicate")


@pytest.mark.parametrize(
    ("kind", "name", "advice"),
    [
        ("Image", "from_url", "write Image('https://…')"),
        ("Image", "from_file", "write Image.from_path('yard.jpg')"),
        ("Image", "open", "write Image.from_path('yard.jpg')"),
        ("Image", "from_base64", "write Image(data=base64.b64decode(…), media_type='image/png')"),
        ("File", "from_url", "write File(url='https://…')"),
        ("File", "from_bytes", "write File(data=…, media_type='application/pdf')"),
        ("Audio", "from_file", "write Audio.from_path('call.wav')"),
        ("Tool", "from_function", "write Tool.of(function)"),
        ("Message", "human", "write Message.user('…')"),
        ("Message", "ai", "write Message.assistant('…')"),
    ],
)
def test_a_class_method_of_another_library_names_ours(kind: str, name: str, advice: str) -> None:
    with pytest.raises(AttributeError) as refused:
        getattr(getattr(turnout, kind), name)
    assert str(refused.value).endswith(f": {advice}")


def test_hints_of_a_class_change_nothing_else() -> None:
    assert not hasattr(turnout.Image, "from_url")
    image = turnout.Image("https://x/y.png")
    assert copy.deepcopy(image) == image == pickle.loads(pickle.dumps(image))
    assert "from_url" not in image.to_dict()
    assert not hasattr(turnout.Message.user("hi"), "human")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("RateLimited", "from turnout.errors import RateLimited"),
        ("Restarted", None),
        ("UserMessage", "write Message.user('…')"),
        ("SystemMessage", "write Message.system('…')"),
        ("tool", "write Tool.of(function)"),
        ("MemoryCache", "from turnout_io.caching import MemoryCache"),
        ("api_key", "OPENAI_API_KEY"),
        ("set_verbose", "TURNOUT_LOG=debug"),
        ("completion_cost", "reply.usage.cost"),
        ("token_counter", "write router.count_tokens(…)"),
        ("AzureOpenAI", "write turnout.providers.create('azure', api_key='…')"),
        ("sync", "from turnout_io.sync import Router"),
        ("asyncio", "from turnout_io.asyncio import Router"),
        ("exceptions", "from turnout.errors import TurnoutError"),
        ("testing", "from turnout_io.testing import ScriptedTransport"),
    ],
)
def test_names_of_the_root(name: str, advice: str | None) -> None:
    if advice is None:
        assert hasattr(turnout, name)
        return
    with pytest.raises(AttributeError, match=re.escape(advice)):
        getattr(turnout, name)


@pytest.mark.parametrize("name", ["chat", "responses"])
def test_a_module_that_people_call_is_named_and_can_still_be_imported(name: str) -> None:
    """`from turnout import chat` imports the module if the look-up raises AttributeError, and fails after others."""
    with pytest.raises(AttributeError, match=r"from turnout_io\.sync import Router; Router\.from_env\(\)\.chat"):
        turnout.__getattr__(name)
    assert importlib.import_module(f"turnout.{name}").__all__


def test_errors_of_other_libraries_are_named_in_the_module_of_errors_too() -> None:
    with pytest.raises(AttributeError, match=r"from turnout\.errors import RateLimited"):
        importlib.import_module("turnout.errors").RateLimitError  # noqa: B018 - the access is the test
    assert not hasattr(importlib.import_module("turnout.errors"), "nothing")


@pytest.mark.parametrize(
    ("name", "failures"),
    [
        ("APIError", [TimedOut(), ServerError(), DeadlineExceeded(), RemoteProtocolError(), AllAttemptsFailed()]),
        ("OpenAIError", [TimedOut(), MissingCredentials(), ServerError()]),
        ("HTTPError", [ConnectFailed(), NotFound()]),
        ("APIStatusError", [ServerError(), RateLimited(), NotFound()]),
        ("APITimeoutError", [TimedOut(), DeadlineExceeded()]),
        ("Timeout", [TimedOut(), DeadlineExceeded()]),
        ("TimeoutError", [TimedOut(), DeadlineExceeded()]),
        ("APIConnectionError", [TimedOut(), ConnectFailed(), Disconnected(), DeadlineExceeded()]),
        ("APIResponseValidationError", [RemoteProtocolError()]),
        ("RateLimitError", [RateLimited(), AllRateLimited(), QuotaExceeded()]),
        ("BadRequestError", [InvalidRequest(), ContextLengthExceeded(), ContentFiltered()]),
        ("InternalServerError", [ServerError(), Overloaded()]),
    ],
)
def test_the_classes_of_a_hint_catch_what_the_class_of_the_other_library_catches(
    name: str, failures: list[TurnoutError]
) -> None:
    for module in ("turnout", "turnout.errors"):
        with pytest.raises(AttributeError) as refused:
            getattr(importlib.import_module(module), name)
        found = re.search(r"from (turnout[\w.]*) import (\w+(?:, [A-Z]\w+)*)", str(refused.value))
        assert found is not None
        classes = tuple(getattr(importlib.import_module(found[1]), each) for each in found[2].split(", "))
        assert all(isinstance(failure, classes) for failure in failures)
        assert "it is in turnout.errors" not in str(refused.value)


@pytest.mark.parametrize("name", ["trace", "model", "finish_reason", "message", "tool_calls"])
def test_what_a_run_does_not_have_is_named_on_its_answers(name: str) -> None:
    run = ToolRun(rounds=(), messages=())
    with pytest.raises(AttributeError, match=rf"run\.(rounds\[0\]\.)?response\.{name}"):
        getattr(run, name)
    assert pickle.loads(pickle.dumps(run)) == run


@pytest.mark.parametrize("router", [turnout_io.sync.Router, turnout_io.asyncio.Router])
def test_help_of_chat_lists_every_keyword(router: Any) -> None:
    listed = set(re.findall(r"`(\w+)`", router.chat.__doc__))
    assert listed >= {*keywords.MODEL, *keywords.REQUEST, *keywords.CALL}


@pytest.mark.parametrize("name", ["causes", "exceptions", "failures"])
def test_the_failures_of_all_attempts_are_named(name: str) -> None:
    with pytest.raises(AttributeError, match=r"they are error\.errors"):
        getattr(AllAttemptsFailed(), name)
    assert pickle.loads(pickle.dumps(AllAttemptsFailed("no", errors=(NotFound("x"),)))).errors


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"messages": [("user", "hi")]},
            "ChatRequest.messages[0] must be a Message, or a dict such as {'role': 'user'",
        ),
        ({"messages": ["hi"]}, "ChatRequest.messages[0] must be a Message, or a dict"),
        ({"messages": "hi", "tools": ["look"]}, "ChatRequest.tools[0] must be a Tool, a function or a dict, not str"),
        ({"messages": "hi", "tools": {"look": len}}, "ChatRequest.tools must be a list of tools, not dict"),
        ({"messages": "hi", "response_format": "json"}, "write ResponseFormat.json()"),
        ({"messages": "hi", "response_format": dict}, "write ResponseFormat.json()"),
    ],
)
def test_a_value_of_another_form_is_refused_with_the_right_one(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as refused:
        ChatRequest(MODEL, **given)
    assert message in str(refused.value)


def test_an_answer_without_a_class_or_with_a_number() -> None:
    reply = turnout.ChatResponse(message=turnout.Message.assistant("{}"), model=ModelConfig("openai", "gpt-4o-mini"))
    with pytest.raises(TypeError, match="needs the class of the value"):
        reply.parsed()
    with pytest.raises(TypeError, match="ChatResponse has fields such as message, model, finish_reason, and no item 0"):
        reply[0]
    for name in ("provider", "headers", "raw_response"):
        with pytest.raises(AttributeError, match="reply"):
            getattr(reply, name)


def test_the_version_is_known() -> None:
    assert turnout.__version__ == importlib.metadata.version("turnout")


@pytest.mark.parametrize("name", ["fallbacks", "model_list", "routes", "routing_strategy"])
def test_what_belongs_to_a_route_is_named_in_every_place(name: str) -> None:
    with pytest.raises((SettingsError, TypeError)) as refused:
        Settings.from_mapping({}, {}).policy(**{name: ["groq/llama"]})
    texts = (str(unknown_router_argument(name)), str(refused.value))
    for text in texts:
        assert "router.add_route(Route('fast'," in text
    if name == "model_list":
        assert all("calls then name it 'route/fast'" in text for text in texts)


@pytest.mark.parametrize("value", [["groq/llama"], "groq/llama", {MODEL: ["groq/llama"]}])
def test_fallbacks_for_every_failure_name_the_call_and_the_route(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        Policy(fallbacks=value)
    assert "router.chat(…, fallbacks=['groq/…'])" in str(refused.value)
    assert "router.chat('route/fast', …)" in str(refused.value)


@pytest.mark.parametrize(
    "expression",
    [
        "import turnout; turnout.providers.create('openai', api_key='k')",
        "import turnout; turnout.routing.Policy(); turnout.errors.RateLimited",
        "import turnout_io; turnout_io.sync.Router; turnout_io.caching.MemoryCache",
        "import sys, turnout; assert 'turnout.providers' not in sys.modules",
    ],
)
def test_a_module_that_a_hint_names_is_found_by_its_name(expression: str) -> None:
    subprocess.run([sys.executable, "-c", expression], check=True)


def request(*given: Any, **settings: Any) -> ChatRequest:
    """Return a request that type checkers do not look at."""
    return ChatRequest(*given, **settings)


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: request([MODEL, MODEL], "hi"), "fallbacks=['groq/…'], or one as fallbacks='groq/…'"),
        (lambda: request([MODEL], "hi", temperature=0), "fallbacks=['groq/…']"),
        (lambda: request(MODEL, "hi", metadata="u1"), "metadata must be a mapping such as {'user': 'u1'}, not str"),
        (lambda: embedding_request((MODEL, "hi"), {"metadata": "u1"}), "metadata must be a mapping such as"),
        (lambda: chat_request("chat", (MODEL, "hi"), {"text_format": dict}), "write response_format=…"),
        (lambda: chat_request("chat", (MODEL, "hi"), {"images": ["x"]}), "Image.from_path('yard.jpg')"),
    ],
)
def test_a_value_in_a_wrong_place_names_the_right_one(call: Callable[[], object], advice: str) -> None:
    with pytest.raises(TypeError) as refused:
        call()
    assert advice in str(refused.value)


def test_names_of_other_libraries_on_answers_and_errors() -> None:
    reply = turnout.ChatResponse(message=turnout.Message.assistant("{}"), model=ModelConfig("openai", "gpt-4o-mini"))
    with pytest.raises(TypeError, match=r"needs a class, not a str: write reply.parsed\(City\)"):
        reply.parsed("City")  # type: ignore[arg-type]  # the mistake that is tested
    error = turnout.ProviderError("no", status=429)
    with pytest.raises(AttributeError, match=r"error\.status;"):
        error.status_code  # type: ignore[attr-defined]  # noqa: B018 - the access is the test
    with pytest.raises(AttributeError, match=r"error\.trace\.candidates"):
        error.model  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(error, "status_code")
    assert pickle.loads(pickle.dumps(error)).status == 429
