"""Calls with a model, messages and settings as keywords, through each driver and the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatResponse, Message
from turnout.errors import LocalProtocolError, ProviderNotRegistered
from turnout.providers import create
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy
from turnout_io.sandbox import Sandbox
from turnout_io.testing import AsyncScriptedTransport, ScriptedTransport

MODEL = "openai/gpt-4o-mini"
Play = Callable[[Callable[[Any], Any]], Any]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


@pytest.fixture(params=["sync", "trio", "asyncio"])
def play(request: pytest.FixtureRequest, sandbox: Sandbox) -> Play:
    """Return a function that runs a coroutine function with a router. The blocking router gets the same interface."""
    environ = sandbox.environ()

    class Awaitable:
        """Makes the results of a blocking router awaitable, so that one test works with every driver."""

        def __init__(self, router: Any) -> None:
            self._router = router

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._router, name)

            def call(*given: Any, **settings: Any) -> Any:
                if name == "stream":
                    return AwaitableStream(method(*given, **settings))
                return _ready(method(*given, **settings))

            return call

    def blocking(program: Callable[[Any], Any]) -> Any:
        with turnout_io.sync.Router.from_env(environ=environ, dotenv=None) as router:
            try:
                program(Awaitable(router)).send(None)
            except StopIteration as finished:
                return finished.value
        raise AssertionError("the program waits for something")

    async def concurrent(module: Any, program: Callable[[Any], Any]) -> Any:
        async with module.Router.from_env(environ=environ, dotenv=None) as router:
            return await program(router)

    if request.param == "sync":
        return blocking
    if request.param == "trio":
        return lambda program: trio.run(concurrent, turnout_io.trio, program)
    return lambda program: asyncio.run(concurrent(turnout_io.asyncio, program))


async def _ready(value: Any) -> Any:
    return value


class AwaitableStream:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aenter__(self) -> Any:
        self._stream.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._stream.__exit__(*error)

    @property
    def text(self) -> Any:
        return _each(self._stream.text)

    @property
    def response(self) -> ChatResponse:
        response: ChatResponse = self._stream.response
        return response

    async def collect(self) -> ChatResponse:
        response: ChatResponse = self._stream.collect()
        return response


async def _each(values: Any) -> Any:
    for value in values:
        yield value


def test_a_chat_with_keywords(play: Play, sandbox: Sandbox) -> None:
    async def program(router: Any) -> Any:
        return await router.chat(
            MODEL,
            [{"role": "system", "content": "Be short."}, Message.user("Hello")],
            temperature=0.2,
            max_tokens=50,
            timeout=20,
            policy=Policy(max_retries=0, timeout=30),
            metadata={"job": "7"},
        )

    reply = play(program)
    assert reply.text
    assert reply.trace.metadata == {"job": "7"}
    assert reply.trace.deadline == 20
    body = sandbox.requests[-1].body
    assert (body["temperature"], body["messages"][0]["content"]) == (0.2, "Be short.")


def test_every_operation_takes_a_priority(play: Play) -> None:
    async def program(router: Any) -> Any:
        chat = await router.chat(MODEL, "Hello", priority="batch")
        vectors = await router.embed("openai/text-embedding-3-small", ["Hello"], priority=2)
        async with router.stream(MODEL, "Hello", priority=0.5) as stream:
            whole = await stream.collect()
        return chat.trace.priority, vectors.trace.priority, whole.trace.priority

    assert play(program) == (6.0, 2.0, 0.5)


def test_a_stream_with_keywords_gives_its_text(play: Play) -> None:
    async def program(router: Any) -> Any:
        async with router.stream(MODEL, "Hello", temperature=0) as stream:
            pieces = [piece async for piece in stream.text]
        return pieces, stream.response

    pieces, response = play(program)
    assert len(pieces) > 1
    assert "".join(pieces) == response.text


def test_a_stream_can_be_collected(play: Play) -> None:
    async def program(router: Any) -> Any:
        whole = await router.stream(MODEL, "Hello").collect()
        async with router.stream(MODEL, "Hello") as stream:
            async for _ in stream.text:
                break
            rest = await stream.collect()
        return whole, rest

    whole, rest = play(program)
    assert whole.text
    assert whole.complete
    assert rest.text
    assert rest.complete


def test_embeddings_and_rerankings_with_keywords(play: Play, sandbox: Sandbox) -> None:
    async def program(router: Any) -> Any:
        vectors = await router.embed("openai/text-embedding-3-small", ["a", "b"], dimensions=8)
        ranked = await router.rerank("cohere/rerank-v4.0-pro", "q", ["a", "b"], top_n=1)
        return vectors, ranked

    vectors, ranked = play(program)
    assert len(ranked.documents) == 1
    assert (len(vectors.vectors), vectors.vectors.dimensions) == (2, 8)
    assert sandbox.requests[-1].body == {
        "model": "rerank-v4.0-pro",
        "query": "q",
        "documents": ["a", "b"],
        "top_n": 1,
    }


def test_each_method_rejects_an_unknown_keyword(play: Play, sandbox: Sandbox) -> None:
    async def program(router: Any) -> Any:
        for method in (router.chat, router.stream, router.count_tokens):
            with pytest.raises(TypeError, match="did you mean 'temperature'"):
                await method(MODEL, "Hello", temprature=1)
        with pytest.raises(TypeError, match="did you mean 'dimensions'"):
            await router.embed("openai/e", "Hello", dimension=1)
        with pytest.raises(TypeError, match="did you mean 'top_n'"):
            await router.rerank("cohere/r", "q", ["a"], topn=1)

    play(program)
    assert not sandbox.requests


@pytest.mark.parametrize("module", [turnout_io.sync, turnout_io.trio, turnout_io.asyncio])
def test_a_name_of_another_library_gives_a_hint(module: Any) -> None:
    router = module.Router([create("openai", api_key="k")])
    with pytest.raises(AttributeError, match=r"router.chat\("):
        router.chat.completions.create(model=MODEL, messages=[])
    with pytest.raises(AttributeError, match=r"router.chat\("):
        router.completion(model=MODEL, messages=[])
    with pytest.raises(AttributeError, match=r"stream\.text"):
        router.stream(MODEL, "Hello").text_stream  # noqa: B018 - the access is the test
    with pytest.raises(TypeError, match=r"create\('openai', api_key="):
        module.Router(api_key="sk-secret")
    with pytest.raises(TypeError, match="providers, policy, transport"):
        module.Router(sorting="random")


def test_a_closed_router_raises_a_clear_error() -> None:
    router = turnout_io.sync.Router([create("openai", api_key="k")])
    router.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        router.chat(MODEL, "Hello")


@pytest.mark.parametrize("module", [turnout_io.sync, turnout_io.trio, turnout_io.asyncio])
def test_a_class_method_of_another_library_names_the_right_one(module: Any) -> None:
    for name in ("from_yaml", "from_file", "load"):
        with pytest.raises(AttributeError, match=r"Router.from_config\('turnout.yaml'\)"):
            getattr(module.Router, name)
    for name in ("ask", "invoke", "parse", "list_models", "token_counter", "with_options", "stream_chat"):
        with pytest.raises(AttributeError, match=r"router\."):
            getattr(module.Router(), name)


def test_what_a_method_needs_is_named(play: Play) -> None:
    async def program(router: Any) -> None:
        with pytest.raises(TypeError, match=r"write router.models\('openai'\)"):
            await router.models()
        with pytest.raises(TypeError, match=r"write router.run\(…, tools=\[function\]\)"):
            await router.run(MODEL, "Hello")

    play(program)


@pytest.mark.parametrize("module", [turnout_io.trio, turnout_io.asyncio])
def test_blocking_statements_on_async_objects_name_the_async_form(module: Any) -> None:
    router = module.Router([create("openai", api_key="k")])
    with pytest.raises(TypeError, match="Router is async: write `async with`"), router:
        pass
    stream = router.stream(MODEL, "Hello")
    with pytest.raises(TypeError, match="ChatStream is async: write `async with`"), stream:
        pass
    with pytest.raises(TypeError, match="ChatStream is async: write `async for`"):
        list(stream)
    with pytest.raises(TypeError, match="ChatStream is not awaited: write `async with"):
        stream.__await__()
    with pytest.raises(AttributeError, match=r"await router\.aclose\(\)"):
        router.close()
    with pytest.raises(AttributeError, match=r"router\.close\(\)"):
        turnout_io.sync.Router().aclose()  # type: ignore[attr-defined]


def test_the_bare_name_of_a_route_names_the_whole_one() -> None:
    with turnout_io.sync.Router([create("openai", api_key="k")]) as router:
        router.add_route(Route("fast", [MODEL]))
        wrong: list[tuple[tuple[str, ...], dict[str, Any]]] = [
            (("fast", "hi"), {}),
            (("hi",), {"model": "fast"}),
            ((MODEL, "hi"), {"fallbacks": ["fast"]}),
            ((MODEL, "hi"), {"fallbacks": "fast"}),
        ]
        for given, settings in wrong:
            with pytest.raises(ValueError, match="did you mean 'route/fast'"):
                router.chat(*given, **settings)
        router.add_alias("smart", MODEL)
        router.add_alias("gpt-4o-mini", MODEL)
        for name in ("smart", "gpt-4o-mini"):
            for call in (router.chat, router.embed):
                with pytest.raises(ValueError, match=f"did you mean 'route/{name}'"):
                    call(name, "hi")
            with pytest.raises(ValueError, match=f"did you mean 'route/{name}'"):
                router.rerank(name, "hi", ["a"])
        with pytest.raises(ValueError, match="as in openai/gpt-4o-mini, not 'slow'"):
            router.chat("slow", "hi")


@pytest.mark.parametrize("name", ["stream", "on_event"])
def test_a_run_that_is_to_stream_is_refused_with_the_way_that_streams(name: str) -> None:
    def look(place: str) -> str:
        return place

    with turnout_io.sync.Router([create("openai", api_key="k")]) as router:
        run: Any = router.run
        with pytest.raises(TypeError, match=r"no run streams, .* write router\.stream\(…, tools=\[…\]\)"):
            run(MODEL, "hi", tools=[look], **{name: True})
        with pytest.raises(AttributeError, match=r"no run streams"):
            router.run_stream  # type: ignore[attr-defined]  # noqa: B018 - the access is the test


@pytest.mark.parametrize("module", [turnout_io.sync, turnout_io.trio, turnout_io.asyncio])
def test_an_async_on_trace_and_a_provider_outside_a_list_are_refused(module: Any) -> None:
    async def keep(trace: object) -> None: ...

    class Keeper:
        async def __call__(self, trace: object) -> None: ...

    for on_trace in (keep, Keeper()):
        with pytest.raises(TypeError, match="on_trace must be a function without `async`"):
            module.Router(on_trace=on_trace)
    with pytest.raises(TypeError, match=r"write Router\(\[turnout.providers.create\('openai', …\)\]\)"):
        module.Router(create("openai", api_key="k"))


def test_a_provider_that_is_not_registered_names_the_nearest_one() -> None:
    names = (
        "anthropic",
        "cohere",
        "deepseek",
        "gemini",
        "groq",
        "mistral",
        "openai",
        "together",
        "xai",
        "zai",
        "azure",
    )
    router = turnout_io.sync.Router([create(name, api_key="k", base_url="https://x.example") for name in names])
    with pytest.raises(ProviderNotRegistered, match=r"it has: openai, .* more\); did you mean openai/gpt-4o-mini\?"):
        router.chat("opena/gpt-4o-mini", "hi")
    with pytest.raises(ProviderNotRegistered, match=r"which has none: write Router.from_env\(\), or Router\(\["):
        turnout_io.sync.Router().chat(MODEL, "hi")
    with pytest.raises(AttributeError, match=r"turnout_io\.asyncio and turnout_io\.trio are async"):
        router.acompletion  # type: ignore[attr-defined]  # noqa: B018 - the access is the test


@pytest.mark.parametrize("kind", [ScriptedTransport, AsyncScriptedTransport])
def test_a_scripted_transport_takes_its_answers_by_a_method(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"script\.answer\('openai', 'Hello'\)"):
        kind(["Hello"])
    kind().answer("openai", "Hello")
