"""Calls and imports as in other libraries: each is refused with the way that works here, and shows no key."""

from __future__ import annotations

import importlib
import json
import operator
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import turnout.errors
import turnout.providers
import turnout_io.asyncio
import turnout_io.sync
from turnout import ChatRequest, ChatResponse, Image, Message, ModelConfig, Tool, Usage
from turnout._utils.names import whole_name
from turnout.config.settings import SettingsError
from turnout.inputs.requests import chat_request
from turnout.providers import CATALOG, create
from turnout.routing import Choice, Policy, Route
from turnout.trace import Trace
from turnout.trace.entries import Answered
from turnout_io.sync import Router
from turnout_io.testing import ScriptedTransport

MODEL = "openai/gpt-4o-mini"
KEY = "sk-proj-0123456789abcdef"
CREATE: Any = create
ROUTER: Any = Router()
ROUTERS: Any = Router
REPLY: Any = ChatResponse(message=Message.assistant("Because."), model=ModelConfig.parse(MODEL))
REQUEST: Any = ChatRequest(MODEL, "hi")
USAGE: Any = Usage(prompt_tokens=1)
TRACE: Any = Trace("chat", (MODEL,), entries=[Answered(at=0.5, candidate=MODEL)])
MESSAGE: Any = Message


@pytest.mark.parametrize(
    ("guess", "advice"),
    [
        (
            lambda: ROUTER.add_route("fast", [MODEL]),
            "router.add_route() takes other arguments: write router.add_route(",
        ),
        (lambda: ROUTER.add_route(name="fast", models=[MODEL]), "unexpected keyword argument 'name': write router.add"),
        (lambda: ROUTER.add_route({"fast": [MODEL]}), "a router takes a Route, not dict: write Route('fast'"),
        (lambda: ROUTERS.from_env("x.env"), "Router.from_env(dotenv="),
        (lambda: ROUTERS.from_env(dotenv={"OPENAI_API_KEY": KEY}), "write environ=…"),
        (lambda: ROUTERS.from_env(environ={}, env_file="x.env"), "Router.from_env(dotenv="),
        (lambda: ROUTERS.from_env(environ={}, openai_api_key=KEY), "environ={'OPENAI_API_KEY': '…'}"),
        (lambda: ROUTERS.from_env(environ={}, providers=["openai"]), "write Router([…])"),
        (lambda: ROUTERS.from_env(environ={}, debug=True), "TURNOUT_LOG=debug"),
        (lambda: ROUTERS.from_config({"routes": {}}), "the path of a file, not dict"),
        (lambda: ROUTERS(KEY), "Router takes a list of providers, not str"),
        (lambda: ROUTERS({"openai": KEY}), "a router takes providers, not str: write turnout.providers.create("),
        (
            lambda: ROUTER.register({"openai": KEY}),
            "a router takes providers, not dict: write turnout.providers.create(",
        ),
        (lambda: ROUTER.register("openai", KEY), "router.register() takes other arguments: write router.register("),
        (lambda: ROUTER.unregister(create("openai", api_key=KEY)), "the name of a provider, such as 'openai'"),
        (lambda: ROUTER.update(timeout=3), "write router.update(attrs.evolve(router.policy, timeout=20))"),
        (lambda: ROUTERS(policy={"timeout": 3}), "policy must be a Policy, not dict: write Policy(timeout=…)"),
        (lambda: ROUTERS(policy=Policy), "policy must be a Policy, not the class Policy"),
        (lambda: ROUTER.run(MODEL, "hi", tools=print), "write tools=[function]"),
        (lambda: ROUTER.run(MODEL, "hi", tools={"print": print}), "write tools=[function]"),
        (lambda: ROUTER.cool_down(MODEL), "write router.cool_down('openai/gpt-4o-mini', 30)"),
        (lambda: ROUTER.explain_plan(MODEL), "write router.explain_plan(ChatRequest("),
        (lambda: CREATE("openai", KEY), "create() takes other arguments: write create('openai', api_key='…')"),
        (lambda: CREATE(provider="openai", api_key=KEY), "write create('openai', api_key='…')"),
        (lambda: CREATE(KEY), "no such provider is in the catalog; known are openai, "),
        (lambda: CREATE("opnai"), "no provider named 'opnai' is in the catalog; did you mean create('openai', …)?"),
        (lambda: MESSAGE.user("look", image="https://x/y.png"), "write Message.user('…'), or"),
        (lambda: MESSAGE(role="user", text="hi"), "Message has no 'text': write content='…'"),
        (lambda: Message.from_dict({"role": "user", "text": "hi"}), "does not know: text: write content='…'"),
        (lambda: ModelConfig(provider="openai", name="gpt-5"), "write ModelConfig('openai', 'gpt-4o-mini')"),  # type: ignore[call-arg]
        (lambda: ModelConfig("openai", "gpt-5", temprature=1), "did you mean temperature?"),  # type: ignore[call-arg]
        (lambda: Route("fast", models=[MODEL]), "Route has no 'models': write choices=[…]"),  # type: ignore[call-arg]
        (lambda: Choice(MODEL, wieght=2), "did you mean weight?"),  # type: ignore[call-arg]
        (lambda: Tool("f", input_schema={}), "write parameters={…}"),  # type: ignore[call-arg]
        (lambda: Image(path="yard.jpg"), "write Image.from_path('yard.jpg')"),  # type: ignore[call-arg]
        (lambda: chat_request("chat", (MODEL,), {"user_prompt": "hi"}), "write messages='…'"),
        (lambda: chat_request("chat", (MODEL, "hi"), {"json_mode": True}), "ResponseFormat.json()"),
        (lambda: chat_request("chat", (MODEL, "hi"), {"fallback_models": []}), "write fallbacks="),
    ],
)
def test_a_call_as_elsewhere_names_the_call_here_and_no_key(guess: Callable[[], Any], advice: str) -> None:
    with pytest.raises((TypeError, ValueError, SettingsError)) as refused:
        guess()
    assert advice in str(refused.value)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("call", [CREATE, ROUTER.register])
def test_arguments_that_do_not_fit_are_in_no_local_variable(call: Any) -> None:
    with pytest.raises(TypeError) as refused:
        call("openai", KEY)
    shown = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    ours = [frame for frame in shown.stack if frame.filename != __file__]
    assert ours
    assert KEY not in "".join(str(frame.locals) for frame in ours)


def test_an_error_of_the_function_itself_is_unchanged() -> None:
    with pytest.raises(TypeError) as refused:
        ROUTER.register(None)
    assert str(refused.value).startswith("a router takes providers, not NoneType")


@pytest.mark.parametrize(
    ("owner", "name", "advice"),
    [
        (REPLY, "candidates", "reply.text"),
        (REPLY, "strip", "reply.text"),
        (REPLY, "tokens", "reply.usage.total_tokens"),
        (REPLY, "as_dict", "reply.to_dict()"),
        (REPLY, "latency", "reply.trace.entries[-1].at"),
        (REPLY, "status_code", "error.status"),
        (REPLY, "_hidden_params", "reply.usage.cost"),
        (USAGE, "prompt_token_count", "usage.prompt_tokens"),
        (TRACE, "to_json", "json.dumps(trace.to_dict())"),
        (TRACE, "show", "print(trace.explain())"),
        (TRACE, "events", "trace.entries"),
        (TRACE, "explian", "did you mean 'explain'?"),
        (ROUTER.chat, "completions.create", "router.chat("),
        (ROUTER.chat, "create", "router.chat("),
        (ROUTER.models, "list", "write router.models('openai')"),
        (REQUEST, "copy", "attrs.evolve(request, messages=…)"),
        (REQUEST, "to_dict", "attrs.asdict(request)"),
        (ROUTER, "moderate", "no other API of a provider"),
        (ROUTER, "settings", "router.policy"),
        (ROUTER, "frobnicate", "; it has add_alias, add_route, "),
        (REPLY, "frobnicate", "; it has audio, citations, "),
    ],
)
def test_an_attribute_as_elsewhere_names_ours_or_all(owner: Any, name: str, advice: str) -> None:
    with pytest.raises(AttributeError) as refused:
        operator.attrgetter(name)(owner)()
    assert advice in str(refused.value)


def test_all_attributes_that_are_named_exist() -> None:
    for owner in (REPLY, USAGE, TRACE, ROUTER):
        with pytest.raises(AttributeError) as refused:
            owner.frobnicate  # noqa: B018 - the access is the test
        for name in str(refused.value).partition("; it has ")[2].split(", "):
            assert hasattr(owner, name), name


def test_protocols_of_python_get_the_plain_error() -> None:
    for owner in (REPLY, TRACE, ROUTER):
        with pytest.raises(AttributeError, match=r"has no attribute '__array__'$"):
            owner.__array__  # noqa: B018 - the access is the test


def test_a_trace_is_printed_as_its_explanation_and_shown_as_an_object() -> None:
    assert str(TRACE) == TRACE.explain() == f"chat over {MODEL}\n   0.500 s  answered by {MODEL}"
    assert repr(TRACE).startswith("Trace(operation='chat'")
    assert json.dumps(TRACE.to_dict())
    with pytest.raises(TypeError, match=r"write trace\.to_dict\(\), or iterate over trace\.entries"):
        TRACE["attempts"]


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        ("turnout.errors", "TimeoutError", "from turnout.errors import DeadlineExceeded, TimedOut"),
        ("turnout.errors", "HTTPStatusError", "from turnout import ProviderError"),
        ("turnout.errors", "RateLimit", "did you mean RateLimited? from turnout.errors import RateLimited"),
        ("turnout.errors", "ContextWindowExceeded", "from turnout.errors import ContextLengthExceeded"),
        ("turnout_io.sync", "AsyncRouter", "write from turnout_io.asyncio import Router"),
        ("turnout_io.asyncio", "AsyncRouter", "write from turnout_io.asyncio import Router"),
        ("turnout_io.trio", "Message", "from turnout import Message"),
        ("turnout.routing", "Router", "from turnout_io.sync import Router"),
        ("turnout.types", "Message", "from turnout import Message"),
        ("turnout.providers", "OpenAI", "write create('openai', api_key='…')"),
        ("turnout.providers", "groq", "write create('groq', api_key='…')"),
    ],
)
def test_an_import_from_the_wrong_module_names_the_right_one(module: str, name: str, advice: str) -> None:
    with pytest.raises(ImportError) as refused:
        exec(f"from {module} import {name}")
    assert advice in str(refused.value)
    assert not hasattr(importlib.import_module(module), "frobnicate")


def test_hints_hide_no_module() -> None:
    for module in ("turnout.providers.anthropic", "turnout.providers.gemini", "turnout.routing.policy"):
        parent, _, name = module.rpartition(".")
        scope: dict[str, Any] = {}
        exec(f"from {parent} import {name}", scope)
        assert scope[name].__name__ == module


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("gpt-5-mini", MODEL.replace("gpt-4o-mini", "gpt-5-mini")),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("openai:gpt-5", "openai/gpt-5"),
        ("google-gla:gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("mistral:7b", "ollama/mistral:7b"),
        ("ft:gpt-4o:acme", "openai/ft:gpt-4o:acme"),
        ("my-model", None),
    ],
)
def test_a_model_without_its_provider_is_named_with_it(written: str, meant: str | None) -> None:
    assert whole_name(written) == meant
    with pytest.raises(ValueError, match="a model is written provider/model") as refused:
        ChatRequest(written, "hi")
    assert (f"did you mean {meant!r}" in str(refused.value)) == (meant is not None)
    assert meant is None or meant.partition("/")[0] in CATALOG


def test_the_name_of_a_provider_in_capitals_is_named_in_small_letters() -> None:
    provider = create("openai", api_key=KEY, base_url="http://127.0.0.1:1")
    with (
        Router([provider], transport=ScriptedTransport()) as router,
        pytest.raises(turnout.errors.ProviderNotRegistered, match=r"did you mean openai/gpt-4o-mini\?"),
    ):
        router.chat("OpenAI/gpt-4o-mini", "hi")


def test_the_pieces_of_a_text_are_iterated_over() -> None:
    stream: Any = turnout_io.sync.Router().stream(MODEL, "hi")
    with pytest.raises(TypeError, match=r"stream\.text is no method: iterate over it"):
        stream.text()
    later: Any = turnout_io.asyncio.Router().stream(MODEL, "hi")
    with pytest.raises(TypeError, match=r"write `async for text in stream\.text`"):
        iter(later.text)
    with pytest.raises(TypeError, match=r"is not awaited: write `async for"):
        later.text.__await__()
