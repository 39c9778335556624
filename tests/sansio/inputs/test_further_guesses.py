"""More first guesses, with a row for each kind: values of another type, forms of other libraries, wrong members."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterable, Callable
from typing import Any

import pydantic
import pytest

import turnout
import turnout.routing
from turnout import ChatRequest, ChatResponse, Image, Message, ModelConfig, ResponseFormat, Tool
from turnout._utils.names import Elsewhere
from turnout.errors import AllAttemptsFailed
from turnout.inputs.requests import chat_request, embedding_request
from turnout.providers import create
from turnout.providers.schemas.subset import SchemaSubset
from turnout.routing import Hedge, Limit, Policy, Route, Timeouts
from turnout.routing.call.options import CallOptions
from turnout.routing.tool_loop import ToolRun
from turnout.types.models import ModelInfo
from turnout_io.sync import ChatStream, Router

MODEL = "openai/gpt-4o-mini"
EMBEDDING = "openai/text-embedding-3-small"


class Weather(pydantic.BaseModel):
    city: str


def weather(city: str) -> str:
    return city


REPLY: Any = ChatResponse(message=Message.assistant("Because."), model=ModelConfig.parse(MODEL))
ROUTER: Any = Router()
STREAM: Any = ROUTER.stream(MODEL, "hi")
RUN: Any = ToolRun(rounds=(), messages=())
MAKE: Any = {each.__name__: each for each in (ChatRequest, Hedge, Limit, Message, ModelConfig, Policy, Route, Tool)}
FORMAT: Any = ResponseFormat
SUBSET: Any = SchemaSubset


def policy(**fields: Any) -> Callable[[], Any]:
    return lambda: Policy(**fields)


def part(**fields: Any) -> Callable[[], Any]:
    return lambda: Message.from_dict({"role": "user", "content": [fields]})


def name(module: str, wanted: str) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(module), wanted)


def provider(entry: str, **settings: Any) -> Callable[[], Any]:
    return lambda: create(entry, **settings)


ROWS: list[tuple[Callable[[], Any], str]] = [
    # a value in place of an object of a class
    (policy(timeouts={}), "Policy.timeouts must be a Timeouts, not dict: write Timeouts(first_token=30)"),
    (policy(hedge=0.05), "Policy.hedge must be a Hedge, not float: write Hedge(delay=0.5)"),
    (policy(breaker={"allowed_fails": 3}), "not dict: write BreakerPolicy(consecutive_failures=5)"),
    (policy(breaker=False), "not bool: write BreakerPolicy("),
    (policy(limits={"openai": 5}), "Policy.limits['openai'] must be a Limit, not int: write Limit("),
    (policy(limits=Limit(max_concurrency=3)), "such as {'openai/gpt-4o-mini': Limit(requests_per_minute=60)}"),
    (policy(prices=[1]), "must be a mapping such as {'openai/gpt-4o-mini': Price(0.15, 0.60)}, not list"),
    (lambda: MAKE["Route"]("fast", [(MODEL, 2)]), "not tuple: write Choice('openai/gpt-4o-mini', weight=2)"),
    (lambda: MAKE["ChatRequest"](MODEL, "hi", tools=[weather], tool_choice=weather), "the name of the tool, or 'auto'"),
    (lambda: CallOptions(timeout=(3, 20)), "policy=Policy(timeouts=Timeouts("),  # type: ignore[arg-type]
    (lambda: CallOptions(timeout=Timeouts()), "policy=Policy(timeouts=Timeouts("),  # type: ignore[arg-type]
    (lambda: MAKE["Hedge"](after=0.05), "Hedge has no 'after': write delay=…, in seconds"),
    (lambda: MAKE["Tool"]("w", parameters=Weather), "Weather.model_json_schema()"),
    (lambda: MAKE["ModelConfig"]("gpt-4o-mini"), "write ModelConfig.parse('openai/gpt-4o-mini')"),
    (lambda: MAKE["ModelConfig"]("openai"), "write ModelConfig.parse('openai/gpt-4o-mini')"),
    # messages of other libraries
    (part(type="input_text", text="hi"), "write {'type': 'text', 'text': '…'}"),
    (part(type="input_image", image_url="https://x/y.png"), "write {'type': 'image_url'"),
    (part(type="tool_result", tool_use_id="a", content="x"), "Message.tool(call, '…')"),
    (part(type="tool_use", id="a", name="f", input={}), "tool_calls of the message"),
    (part(type="document", source={}), "File.from_path('plan.pdf')"),
    (part(type="image", source={"type": "base64"}), "media_type='image/png'"),
    (lambda: Message.from_dict({"role": "user", "parts": [{"text": "hi"}]}), "write content='…'"),
    (lambda: Message.from_dict({"role": "model", "content": "hi"}), "not 'model': write 'assistant'"),
    (lambda: Message("human", "hi"), "not 'human': write 'user'"),
    (lambda: Message("USER", "hi"), "write 'user'"),
    (lambda: Message("hi"), "a text of the user is Message.user(…)"),
    (lambda: MAKE["Message"]({"role": "user"}), "write Message.from_dict({…})"),
    # members of other libraries
    (lambda: list(REPLY), "the text is reply.text; router.stream(…) gives it in pieces"),
    (lambda: REPLY[0], "the text is reply.text"),
    (lambda: REPLY.retries, "reply.trace.attempts"),
    (lambda: REPLY.cost_usd, "reply.usage.cost"),
    (lambda: REPLY.usage.total, "it is usage.total_tokens"),
    (lambda: RUN.output, "write run.text"),
    (lambda: RUN.final_output, "write run.text"),
    (lambda: RUN.all_messages, "the conversation is run.messages"),
    (lambda: RUN.nothing, "it has explain, "),
    (lambda: ModelInfo("m", "openai").name, "it is model.id"),  # type: ignore[attr-defined]
    (lambda: ROUTER.client, "write router.chat("),
    (lambda: ROUTER.beta, "write router.chat("),
    (lambda: ROUTER.aio, "write router.chat("),
    (lambda: ROUTER.generate_content, "write router.chat("),
    (lambda: ROUTER.embed_query, "write router.embed("),
    (lambda: ROUTER.with_fallbacks, "router.chat(…, fallbacks="),
    (lambda: ROUTER.with_retry, "max_retries"),
    (lambda: ROUTER.default_model, "given to each call"),
    (lambda: STREAM.text[:5], "write stream.collect().text"),
    (lambda: FORMAT({"city": "string"}), "put 'city' under 'properties'"),
    (lambda: FORMAT({"city": {"type": "string"}}), "ResponseFormat.of(City)"),
    (lambda: SUBSET(keywords="type"), "SchemaSubset.keywords must be a set of texts such as {'type'}, not 'type'"),
    (lambda: SUBSET(keywords=["type"], references="deep"), "SchemaSubset.references must be recursive, flat or inline"),
    (lambda: SUBSET(keywords=["type"], enums=["text"]), "SchemaSubset.enums: there is no type 'text'; known are array"),
    (lambda: SUBSET(keywords=["type"], depth=0), "SchemaSubset.depth must be at least 1, not 0"),
    (lambda: SUBSET(keywords=["type"], closed=1), "SchemaSubset.closed must be True or False"),
    (lambda: SUBSET(keywords=["type"], min_items=["a"]), "SchemaSubset.min_items must be a set of numbers"),
    (lambda: SUBSET(keyword=["type"]), "SchemaSubset has no 'keyword'; did you mean keywords?"),
    (lambda: FORMAT.json_schema, "write ResponseFormat({…})"),
    (lambda: FORMAT.from_pydantic, "write ResponseFormat.of(City)"),
    (lambda: FORMAT(type="json_object"), "ResponseFormat has no 'type': write ResponseFormat.json()"),
    (lambda: getattr(Tool, "from_pydantic"), "write Tool.of(function)"),  # noqa: B009 - for type checkers
    # names that are elsewhere
    *((name(module, "RedisCache"), "from turnout_io.caching import MemoryCache") for module in (
        "turnout", "turnout_io", "turnout_io.caching", "turnout_io.sync",
    )),
    (name("turnout_io.caching", "InMemoryCache"), "from turnout_io.caching import MemoryCache"),
    (name("turnout_io.shared", "RedisStore"), "from turnout_io.shared import Valkey"),
    (name("turnout_io.testing", "MockTransport"), "from turnout_io.testing import ScriptedTransport"),
    (name("turnout_io", "OpenAI"), "from turnout_io.sync import Router"),
    (name("turnout_io.metrics", "PrometheusMetrics"), "from turnout_io.metrics import Metrics"),
    (name("turnout.messages", "HumanMessage"), "write Message.user('…')"),
    (name("turnout.events", "Chunk"), "from turnout import Token"),
    (name("turnout.chat", "ChatCompletion"), "from turnout import ChatResponse"),
    (name("turnout.routing", "Fallback"), "fallbacks=['groq/…']"),
    # settings of a provider
    (provider("openai", api_key="Bearer sk-1"), "api_key must be the key alone"),
    (provider("bedrock", region_name="us-east-1"), "write region='…'"),
    (provider("gemini", vertexai=True), "write vertex=True"),
    (provider("gemini", project="p"), "vertex_project=…"),
    (provider("azure", api_key="k", azure_deployment="d"), "the deployment is the model: 'azure/…'"),
    (provider("openai", default_query={}), "base_url"),
]  # fmt: skip


@pytest.mark.parametrize(("guess", "advice"), ROWS)
def test_the_error_names_what_works(guess: Callable[[], Any], advice: str) -> None:
    with pytest.raises((TypeError, AttributeError, ValueError, ImportError)) as caught:
        guess()
    assert advice in str(caught.value)
    assert "sk-1" not in str(caught.value)


def test_right_values_are_taken() -> None:
    assert SUBSET(keywords=["type"], min_items={0, 1}).min_items == {0, 1}
    for schema in (
        {},
        {"type": "object"},
        {"title": "x"},
        {"$ref": "#/$defs/x", "$defs": {}},
        {"enum": ["a"]},
        {"$anchor": "x"},
        {"contains": {"type": "string"}},
        {"format": "string"},
        {"minimum": 1},
    ):
        assert ResponseFormat(schema).schema == schema


def test_the_model_may_be_named_and_the_rest_given_in_order() -> None:
    assert chat_request("chat", ("hi",), {"model": MODEL}).messages[0].text == "hi"
    assert embedding_request((["a"],), {"model": EMBEDDING}).input == ("a",)
    with pytest.raises(TypeError, match="got 'messages' twice"):
        chat_request("chat", ("hi",), {"model": MODEL, "messages": "hello"})
    with pytest.raises(TypeError, match="got 'model' twice"):
        chat_request("chat", (MODEL, "hi"), {"model": MODEL})


ADVISED = [Image, turnout.Audio, turnout.File, Tool, turnout.ToolCall, Message, ChatRequest, ResponseFormat,
           turnout.TurnoutError, AllAttemptsFailed, Router]  # fmt: skip


@pytest.mark.parametrize("kind", ADVISED, ids=lambda kind: kind.__name__)
def test_dir_lists_members_and_no_hints(kind: type) -> None:
    hints = {each for base in kind.__mro__ for each, value in vars(base).items() if isinstance(value, Elsewhere)}
    assert hints
    assert not hints & set(dir(kind))
    assert all(hasattr(kind, each) for each in dir(kind) if each[0] != "_")


def test_dir_of_an_object_lists_no_hints() -> None:
    assert {"from_path", "url"} <= set(dir(Image("https://x/y.png")))
    assert "from_url" not in dir(Image("https://x/y.png"))
    assert "status_code" not in dir(turnout.TurnoutError("x"))


@pytest.mark.parametrize(("kind", "value"), [("Router", ROUTER), ("ChatStream", STREAM)])
def test_async_with_over_blocking_code_names_the_async_modules(kind: str, value: Any) -> None:
    async def use() -> None:
        async with value:
            pass

    with pytest.raises(TypeError, match=f"{kind} is blocking: write `with`; async code uses turnout_io.asyncio"):
        asyncio.run(use())


def test_frameworks_still_see_that_a_stream_is_blocking() -> None:
    """Starlette streams an object with `__aiter__` as an async one."""
    assert not issubclass(ChatStream, AsyncIterable)
    assert not isinstance(STREAM.text, AsyncIterable)
    assert not inspect.isawaitable(STREAM)
    assert "stream.collect().text" in repr(STREAM.text)
