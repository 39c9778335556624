"""The routers over real sockets. The sandbox plays the providers."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
import trio

from tests.transports.drivers.runners import DRIVERS, GEMINI, OPENAI, Driver, ask
from turnout import ChatRequest, EmbeddingRequest, End, Message, ModelConfig, Token, Tool
from turnout.errors import AuthenticationFailed, ConcurrencyExceeded, LocalProtocolError
from turnout.providers import create
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

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


@pytest.mark.full
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


@pytest.mark.full
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

    # The second run cannot use the connection of the first, so it opens a new one.
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
