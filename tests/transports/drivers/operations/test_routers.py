"""The blocking and the trio router over real sockets. The sandbox plays the providers, and fails as scripted."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from turnout import ChatRequest, EmbeddingRequest, End, Image, Message, ModelConfig, Token, Tool
from turnout.errors import (
    AllAttemptsFailed,
    AuthenticationFailed,
    ConcurrencyExceeded,
    ConnectFailed,
    DeadlineExceeded,
    LocalProtocolError,
    MissingCredentials,
    Overloaded,
    ProviderNotRegistered,
    StreamFailed,
    StreamInterrupted,
    StreamTruncated,
)
from turnout.providers import create
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.drivers import AsyncRouter
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

OPENAI = ModelConfig("openai", "gpt-4o-mini")
GEMINI = ModelConfig("gemini", "gemini-2.5-flash")
DIALECTS = [OPENAI, GEMINI, ModelConfig("ollama", "llama3.2"), ModelConfig("anthropic", "claude-haiku-4-5")]
PROVIDERS = [
    "openai",
    "gemini",
    "glm4",
    "openrouter",
    "siliconflow",
    "cerebras",
    "modelscope",
    "groq",
    "ollama",
    "anthropic",
]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def ask(*models: ModelConfig, **options: Any) -> ChatRequest:
    return ChatRequest(models[0], [Message.user("Say a few things about trains.")], fallbacks=models[1:], **options)


class Blocking:
    """The blocking router, with the interface that the tests use for both."""

    def __init__(self, sandbox: Sandbox, **policy: Any) -> None:
        self._make: Callable[[], sync.Router] = lambda: sync.Router.from_env(
            environ=sandbox.environ(), dotenv=None, **policy
        )

    def chat(self, request: ChatRequest, **options: Any) -> Any:
        with self._make() as router:
            return router.chat(request, **options)

    def stream(self, request: ChatRequest, **options: Any) -> tuple[list[Any], Any]:
        with self._make() as router, router.stream(request, **options) as stream:
            return list(stream), stream

    def embed(self, request: EmbeddingRequest) -> Any:
        with self._make() as router:
            return router.embed(request)

    def models(self, provider: str) -> Any:
        with self._make() as router:
            return router.models(provider)


class OnTrio(Blocking):
    """The router on trio. Each call has a separate run."""

    def __init__(self, sandbox: Sandbox, **policy: Any) -> None:
        self._async: Callable[[], AsyncRouter] = lambda: trio_driver.Router.from_env(
            environ=sandbox.environ(), dotenv=None, **policy
        )

    def chat(self, request: ChatRequest, **options: Any) -> Any:
        async def main() -> Any:
            async with self._async() as router:
                return await router.chat(request, **options)

        return trio.run(main)

    def stream(self, request: ChatRequest, **options: Any) -> tuple[list[Any], Any]:
        async def main() -> tuple[list[Any], Any]:
            async with self._async() as router, router.stream(request, **options) as stream:
                return [event async for event in stream], stream

        return trio.run(main)

    def embed(self, request: EmbeddingRequest) -> Any:
        async def main() -> Any:
            async with self._async() as router:
                return await router.embed(request)

        return trio.run(main)

    def models(self, provider: str) -> Any:
        async def main() -> Any:
            async with self._async() as router:
                return await router.models(provider)

        return trio.run(main)


class OnAsyncio(OnTrio):
    """The router on asyncio."""

    def __init__(self, sandbox: Sandbox, **policy: Any) -> None:
        self._async = lambda: asyncio_driver.Router.from_env(environ=sandbox.environ(), dotenv=None, **policy)

    def chat(self, request: ChatRequest, **options: Any) -> Any:
        import asyncio

        async def main() -> Any:
            async with self._async() as router:
                return await router.chat(request, **options)

        return asyncio.run(main())

    def stream(self, request: ChatRequest, **options: Any) -> tuple[list[Any], Any]:
        import asyncio

        async def main() -> tuple[list[Any], Any]:
            async with self._async() as router, router.stream(request, **options) as stream:
                return [event async for event in stream], stream

        return asyncio.run(main())

    def embed(self, request: EmbeddingRequest) -> Any:
        import asyncio

        async def main() -> Any:
            async with self._async() as router:
                return await router.embed(request)

        return asyncio.run(main())

    def models(self, provider: str) -> Any:
        import asyncio

        async def main() -> Any:
            async with self._async() as router:
                return await router.models(provider)

        return asyncio.run(main())


DRIVERS = pytest.mark.parametrize("driver", [Blocking, OnTrio, OnAsyncio])
Driver = type[Blocking]


@DRIVERS
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_chats_and_streams(driver: Driver, provider: str, sandbox: Sandbox) -> None:
    request = ask(ModelConfig(provider, "some-model"))
    router = driver(sandbox)
    whole = router.chat(request)
    events, stream = router.stream(request)
    assert whole.text
    assert "".join(event.delta for event in events if isinstance(event, Token)) == whole.text == stream.response.text
    assert isinstance(events[-1], End)
    assert events[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert stream.model == whole.model == request.model


@DRIVERS
@pytest.mark.parametrize("model", DIALECTS, ids=str)
def test_tool_calls_are_complete_in_each_dialect(driver: Driver, model: ModelConfig, sandbox: Sandbox) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [Tool("weather", "The weather.", schema), Tool("clock", "The time.", schema)]
    question = Message.user("Call weather and clock for Oslo.")
    router = driver(sandbox)
    events, stream = router.stream(ChatRequest(model, [question], tools=tools))
    calls = stream.response.tool_calls
    assert {call.name for call in calls} == {"weather", "clock"}
    assert [event.call for event in events if event.type == "tool_call"] == list(calls)
    assert all(set(call.parsed()) == {"city"} for call in calls)
    results = [Message.tool(call, f"{call.name} says 12") for call in calls]
    reply = router.chat(ChatRequest(model, [question, stream.response.message, *results], tools=tools))
    assert "12" in reply.text


@pytest.mark.slow
@DRIVERS
@pytest.mark.parametrize("provider", ["openai", "gemini", "ollama", "siliconflow"])
def test_embeddings_in_several_requests_are_joined_in_order(driver: Driver, provider: str, sandbox: Sandbox) -> None:
    texts = [f"text {number}" for number in range(230)]
    router = driver(sandbox)
    vectors = router.embed(EmbeddingRequest(ModelConfig(provider, "embed-model"), texts)).vectors
    alone = router.embed(EmbeddingRequest(ModelConfig(provider, "embed-model"), texts[-1])).vectors
    assert len(vectors) == 230
    assert vectors[-1].tolist() == alone[0].tolist()


@DRIVERS
@pytest.mark.parametrize("provider", PROVIDERS)
def test_models_are_listed(driver: Driver, provider: str, sandbox: Sandbox) -> None:
    assert all(info.provider == provider for info in driver(sandbox).models(provider))


@DRIVERS
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(status=401),
        Fault(status=404),
        Fault(abort="reset", after_tokens=0),
        Fault(corruption="json", after_tokens=0),
    ],
    ids=["500", "503", "401", "404", "reset", "garbage"],
)
def test_a_failing_primary_is_replaced_by_the_fallback(driver: Driver, fault: Fault, sandbox: Sandbox) -> None:
    sandbox.script("openai", fault, forever=True)
    router = driver(sandbox, backoff_initial=0.01)
    events, stream = router.stream(ask(OPENAI, GEMINI))
    if fault.corruption is None:  # one garbled event is passed over, and the stream goes on
        assert stream.model == GEMINI
    assert isinstance(events[-1], End)
    assert stream.trace.entries[-1].kind == "answered"


@DRIVERS
def test_a_retry_waits_as_long_as_retry_after(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=429, headers={"retry-after-ms": "80"}))
    reply = driver(sandbox, backoff_initial=0).chat(ask(OPENAI, GEMINI))
    assert reply.model == OPENAI
    first, second = sandbox.requests_to("openai")
    assert second.at - first.at >= 0.08


@DRIVERS
def test_a_cut_stream_raises_with_the_partial_text(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="reset", after_tokens=5))
    with pytest.raises(StreamInterrupted) as caught:
        driver(sandbox).stream(ask(OPENAI, GEMINI))
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert len(sandbox.requests) == 1, "nothing is retried once content has reached the caller"


@DRIVERS
def test_a_stream_without_its_end_is_truncated(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="end", after_tokens=5))
    with pytest.raises(StreamTruncated) as caught:
        driver(sandbox).stream(ask(OPENAI))
    assert caught.value.partial is not None
    assert caught.value.partial.text


@DRIVERS
def test_collect_restarts_a_cut_stream(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="reset", after_tokens=5))
    reply = driver(sandbox, backoff_initial=0.01).chat(ask(OPENAI), collect=True)
    assert reply.text
    assert reply.trace.attempts == 2


@DRIVERS
def test_a_silent_candidate_is_not_retried(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=60), forever=True)
    events, stream = driver(sandbox).stream(ask(OPENAI, GEMINI), timeout=1.0)
    assert stream.model == GEMINI
    assert len(sandbox.requests_to("openai")) == 1
    assert isinstance(events[-1], End)


@DRIVERS
def test_the_deadline_holds(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=60), forever=True)
    with pytest.raises(DeadlineExceeded, match=r"0\.3 s") as caught:
        driver(sandbox).chat(ask(OPENAI), timeout=0.3)
    assert caught.value.trace.entries[-1].at < 0.9


@DRIVERS
def test_errors_name_the_failed_candidates(driver: Driver, sandbox: Sandbox) -> None:
    router = driver(sandbox, max_retries=0)
    sandbox.script("openai", Fault(status=503), Fault(status=503), forever=True)
    with pytest.raises(Overloaded):
        router.chat(ask(OPENAI))
    sandbox.script("gemini", Fault(status=401), forever=True)
    with pytest.raises(AllAttemptsFailed) as caught:
        router.chat(ask(OPENAI, GEMINI))
    assert [type(error) for error in caught.value.errors] == [Overloaded, AuthenticationFailed]
    assert caught.value.__cause__ is caught.value.last
    with pytest.raises(ProviderNotRegistered, match="'nobody'"):
        router.chat(ask(ModelConfig("nobody", "m"), OPENAI))


def test_only_configured_providers_receive_requests(sandbox: Sandbox) -> None:
    environ = {name: value for name, value in sandbox.environ().items() if name.startswith("GEMINI")}
    with sync.Router.from_env(environ=environ, dotenv=None) as router:
        assert router.chat(ask(OPENAI, GEMINI)).model == GEMINI
        first, second = router.explain_plan(ask(OPENAI, GEMINI))
        assert (first.status, first.missing_env, second.status) == ("not-configured", ("OPENAI_API_KEY",), "available")
        with pytest.raises(MissingCredentials) as caught:
            router.chat(ask(OPENAI, ModelConfig("groq", "m")))
    assert caught.value.missing_env == ("OPENAI_API_KEY", "GROQ_API_KEY")


def test_a_provider_without_image_input_is_skipped(sandbox: Sandbox) -> None:
    picture = Image(data=b"\x89PNG\r\n\x1a\n", media_type="image/png")
    request = ChatRequest(ModelConfig("cerebras", "m"), [Message.user("What is this?", picture)], fallbacks=[GEMINI])
    assert Blocking(sandbox).chat(request).model == GEMINI


def test_a_refused_port_is_a_connect_failure() -> None:
    provider = create("ollama", base_url="http://127.0.0.1:9")
    with sync.Router([provider]) as router, pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:9"):
        router.chat(ask(ModelConfig("ollama", "m")), timeout=1)


def test_threads_share_one_router_and_its_concurrency(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=0.02), forever=True)
    with sync.Router.from_env(environ=sandbox.environ(), dotenv=None, max_concurrency=3) as router:
        answers: list[str] = []
        threads = [threading.Thread(target=lambda: answers.append(router.chat(ask(OPENAI)).text)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 20
    assert sandbox.peak_in_flight("openai") <= 3


def test_a_full_router_may_reject(sandbox: Sandbox) -> None:
    with (
        sync.Router.from_env(
            environ=sandbox.environ(), dotenv=None, max_concurrency=1, when_at_capacity="reject"
        ) as router,
        router.stream(ask(OPENAI)),
        pytest.raises(ConcurrencyExceeded, match="max_concurrency"),
    ):
        router.chat(ask(GEMINI))


def test_a_stream_that_is_closed_early_releases_its_slot(sandbox: Sandbox) -> None:
    with sync.Router.from_env(environ=sandbox.environ(), dotenv=None, max_concurrency=1) as router:
        for _ in range(3):
            with router.stream(ask(OPENAI)) as stream:
                next(stream)
                assert stream.response.text
        assert router.chat(ask(OPENAI)).text


@pytest.mark.slow
def test_an_unclosed_stream_warns_and_releases_its_slot(sandbox: Sandbox) -> None:
    with sync.Router.from_env(environ=sandbox.environ(), dotenv=None, max_concurrency=1) as router:
        streams = [router.stream(ask(OPENAI))]
        next(streams[0])
        with pytest.warns(ResourceWarning, match="never closed"):
            streams.clear()
        gc.collect()
        assert router.chat(ask(OPENAI)).text


def test_a_closed_stream_cannot_be_entered() -> None:
    with sync.Router([create("ollama")]) as router:
        stream = router.stream(ask(ModelConfig("ollama", "m")))
        stream.close()
        assert stream.trace.entries == []
        with pytest.raises(LocalProtocolError, match="closed before it was entered"):
            list(stream)
        for missing in (lambda: stream.model, lambda: stream.response):
            with pytest.raises(LocalProtocolError, match="enter the stream"):
                missing()
        with pytest.raises(LocalProtocolError), stream:
            pass


def test_a_transport_of_the_other_kind_is_rejected() -> None:
    blocking, other = SocketTransport(), TrioTransport()
    with pytest.raises(TypeError, match=r"TrioTransport is async; this router needs a blocking transport"):
        sync.Router(transport=other)  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(TypeError, match=r"SocketTransport is blocking; this router needs an async transport"):
        trio_driver.Router(transport=blocking)  # type: ignore[arg-type]  # the wrong type is the test


def test_a_cooldown_of_one_trio_run_applies_in_the_next(sandbox: Sandbox) -> None:
    """Each run of trio has a clock that begins somewhere else."""
    sandbox.script("openai", Fault(status=503, headers={"retry-after": "30"}), forever=True)
    router = trio_driver.Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0)
    rests: list[float] = []

    async def main() -> None:
        async with router:
            await router.chat(ask(OPENAI, GEMINI))
            rests.extend(health.available_in for health in router.health() if health.candidate == str(OPENAI))

    for _ in range(4):
        trio.run(main)
    assert len(sandbox.requests_to("openai")) == 1, "it is left alone in every run"
    assert rests == sorted(rests, reverse=True)
    assert all(20.0 < rest <= 30.0 for rest in rests)


def test_trio_cancellation_releases_everything(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(first_token_delay=60), forever=True)

    async def main() -> None:
        environ = sandbox.environ()
        async with trio_driver.Router.from_env(environ=environ, dotenv=None, max_concurrency=1) as router:
            for _ in range(2):
                with trio.move_on_after(0.1) as scope:
                    await router.chat(ask(OPENAI), collect=True)
                assert scope.cancelled_caught
            assert (await router.chat(ask(GEMINI))).text

    trio.run(main)
    assert sandbox.wait(lambda server: server.open_connections == 0)


def test_one_async_router_serves_two_runs(sandbox: Sandbox) -> None:
    router = trio_driver.Router.from_env(environ=sandbox.environ(), dotenv=None)

    async def main(last: bool) -> str:
        text = (await router.chat(ask(OPENAI))).text
        if last:
            await router.aclose()
        return text

    # The connection that the first run left is of no use to the second, which opens its own.
    assert trio.run(main, False) == trio.run(main, True)


def test_connections_are_used_again(sandbox: Sandbox) -> None:
    with sync.Router.from_env(environ=sandbox.environ(), dotenv=None) as router:
        for _ in range(5):
            with router.stream(ask(OPENAI)) as stream:
                list(stream)
        assert sandbox.open_connections == 1


def test_no_key_is_in_a_trace_or_an_error(sandbox: Sandbox) -> None:
    provider = create("openai", api_key="sk-very-secret-key", base_url=sandbox.url("openai"))
    assert "sk-very-secret-key" not in repr(provider)
    with sync.Router([provider]) as router, pytest.raises(AuthenticationFailed) as caught:
        router.chat(ask(OPENAI))
    error = caught.value
    told = (str(error), repr(error), error.body, error.trace.explain(), str(error.trace.to_dict()))
    assert not any("sk-very-secret-key" in text for text in told)


@DRIVERS
def test_an_error_in_a_committed_stream_keeps_the_cause(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="error", error="overloaded", after_tokens=3, token_interval=0.02))
    with pytest.raises(StreamFailed) as caught:
        driver(sandbox).stream(ask(OPENAI))
    assert isinstance(caught.value.__cause__, Overloaded)
