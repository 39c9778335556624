"""The scripted transports: by order, by predicate, in every provider's words, and clear about wrong use."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from turnout import ChatRequest, EmbeddingRequest, Message, ModelConfig
from turnout.errors import (
    AuthenticationFailed,
    ConnectFailed,
    DeadlineExceeded,
    Disconnected,
    InvalidRequest,
    LocalProtocolError,
    Phase,
    RemoteProtocolError,
    ServerError,
    StreamFailed,
    StreamInterrupted,
    TimedOut,
    Timer,
    TransportError,
)
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import CATALOG, create
from turnout_io import asyncio as asyncio_driver
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.testing import (
    STALL,
    AsyncScriptedTransport,
    Fault,
    Reply,
    ScriptedAnswer,
    ScriptedCall,
    ScriptedTransport,
    ScriptError,
)

KEY = "sk-a-key-that-nobody-may-see"
OPENAI = ModelConfig("openai", "gpt-4o-mini")
GEMINI = ModelConfig("gemini", "gemini-2.5-flash")
URL = "http://127.0.0.1:1/v1/things"
SHORT = TransportTimeouts(connect=1, response_headers=1)
PROVIDERS = sorted(CATALOG)


def ask(*models: ModelConfig) -> ChatRequest:
    return ChatRequest(models[0], [Message.user("Greet me.")], fallbacks=models[1:])


def made(transport: ScriptedTransport, *names: str, **policy: Any) -> sync.Router:
    environ = {f"{name.upper().replace('-', '_')}_API_KEY": KEY for name in names}
    return sync.Router.from_env(environ=environ, dotenv=None, transport=transport, backoff_initial=0, **policy)


def get(transport: ScriptedTransport, url: str = URL, timeouts: TransportTimeouts = SHORT) -> Any:
    return transport.open(HttpRequest("GET", url), timeouts)


# -- in the providers' words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("endpoint", ["", "https://gateway.test/of/ours/v7"])
def test_every_provider_answers_in_its_own_words(name: str, endpoint: str) -> None:
    if not (endpoint or CATALOG[name].base_url):
        endpoint = "http://127.0.0.1:8000/v1"
    transport = ScriptedTransport()
    provider = create(name, api_key=KEY, base_url=endpoint or None)
    request = ask(ModelConfig(name, "a-model"))
    said = ScriptedAnswer(text="Hello, 世界.\n", tool_calls=(ScriptedCall("wave", {"hand": "left"}),))
    with sync.Router([provider], transport=transport) as router:
        for collect in (False, True):
            transport.answer(name, "Hello, 世界.\n")
            reply = router.chat(request, collect=collect)
            assert reply.text == "Hello, 世界.\n"
            assert reply.usage.completion_tokens
            transport.answer(name, said)
            reply = router.chat(request, collect=collect)
            assert [(call.name, call.parsed()) for call in reply.tool_calls] == [("wave", {"hand": "left"})]
        transport.answer(name, "one two three four")
        with router.stream(request) as stream:
            assert "".join(event.delta for event in stream if event.type == "token") == "one two three four"
    transport.assert_all_called()


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_refuses_in_its_own_words(name: str) -> None:
    transport = ScriptedTransport()
    endpoint = None if CATALOG[name].base_url else "http://127.0.0.1:8000/v1"
    with sync.Router([create(name, api_key=KEY, base_url=endpoint)], transport=transport) as router:
        request = ask(ModelConfig(name, "a-model"))
        transport.answer(name, fault=Fault(status=401))
        with pytest.raises(AuthenticationFailed) as caught:
            router.chat(request)
        assert KEY not in f"{caught.value!r} {caught.value}"
        transport.answer(name, "one two three", fault=Fault(abort="close", after_tokens=2))
        with pytest.raises(StreamInterrupted) as broken, router.stream(request) as stream:
            list(stream)
        assert broken.value.partial is not None
        assert broken.value.partial.text == "one two"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(abort="close"), Disconnected),
        (Fault(abort="reset"), Disconnected),
        (Fault(abort="hang"), DeadlineExceeded),
        (Fault(delay=100), DeadlineExceeded),
        (Fault(corruption="chunk", after_tokens=0), RemoteProtocolError),
        (Fault.gateway_page(), ServerError),
    ],
    ids=repr,
)
def test_faults_of_the_network_are_what_a_transport_makes_of_them(fault: Fault, error: type[Exception]) -> None:
    transport = ScriptedTransport()
    transport.answer("openai", "Hello", fault=fault)
    with made(transport, "openai", max_retries=0) as router, pytest.raises(error):
        router.chat(ask(OPENAI))


def test_embeddings_and_lists_of_models_are_answered_too() -> None:
    transport = ScriptedTransport()
    transport.answer("openai", times=2)
    with made(transport, "openai") as router:
        answer = router.embed(EmbeddingRequest(ModelConfig("openai", "text-embedding-3-small"), ["a", "b"]))
        assert len(answer.vectors) == 2
        assert router.models("openai")


def test_a_function_answers_what_was_asked() -> None:
    transport = ScriptedTransport()
    transport.answer("openai", lambda received: received.body["messages"][0]["content"].upper(), times=None)
    with made(transport, "openai") as router:
        assert [router.chat(ask(OPENAI)).text for _ in range(3)] == ["GREET ME."] * 3


def test_what_the_provider_refuses_is_refused() -> None:
    transport = ScriptedTransport()
    transport.answer("openai", "Hello")
    with sync.Router([create("openai", api_key=KEY)], transport=transport) as router:
        request = ChatRequest(ModelConfig("openai", "m", extra={"temperature": "hot"}), [Message.user("?")])
        with pytest.raises(InvalidRequest):
            router.chat(request)


# -- in order, and by predicate ---------------------------------------------------------------------------------


def test_answers_are_given_in_order_and_requests_are_kept() -> None:
    transport = ScriptedTransport()
    transport.add(Reply(503, {"error": {"message": "later"}}), ConnectFailed("refused"))
    transport.answer("gemini", "Hello")
    with made(transport, "openai", "gemini", max_retries=1) as router:
        reply = router.chat(ask(OPENAI, GEMINI))
    assert (reply.text, reply.model.provider) == ("Hello", "gemini")
    transport.assert_all_called()
    assert [request.url.split("/")[2] for request in transport.requests] == [
        "api.openai.com",
        "api.openai.com",
        "generativelanguage.googleapis.com",
    ]
    assert json.loads(transport.requests[0].body)["messages"] == [{"role": "user", "content": "Greet me."}]
    assert KEY not in repr(transport.requests)


def test_a_predicate_chooses_and_the_rest_stays_for_others() -> None:
    transport = ScriptedTransport()
    transport.add(Reply(201), when=lambda request: request.url.endswith("/a"), times=2)
    transport.add(Reply(202))
    transport.add(Reply(203), when=lambda request: request.method == "GET", times=None)
    seen = [get(transport, f"http://127.0.0.1/{path}").status for path in ("b", "a", "c", "a", "a")]
    assert seen == [202, 201, 203, 201, 203]
    transport.assert_all_called()


def test_an_error_of_the_script_is_new_each_time() -> None:
    transport = ScriptedTransport()
    fault = ConnectFailed("refused")
    transport.add(fault, times=None)
    raised = []
    for _ in range(2):
        with pytest.raises(ConnectFailed, match="refused") as caught:
            get(transport)
        raised.append(caught.value)
    assert len({id(error) for error in (fault, *raised)}) == 3
    assert fault.__traceback__ is None


# -- the pieces of a body -----------------------------------------------------------------------------------------


def test_pieces_faults_and_pauses_come_as_they_are_scripted() -> None:
    transport = ScriptedTransport()
    transport.add(
        Reply(200, [b"a", b"", 0.5, b"bc", 3, Disconnected("cut", phase=Phase.BODY)], [("X", "1"), ("X", "2")])
    )
    response = get(transport)
    assert list(response.headers) == [("X", "1"), ("X", "2")]
    assert [response.read(1.0), response.read(1.0)] == [b"a", b"bc"]
    for _ in range(2):
        with pytest.raises(TimedOut) as late:
            response.read(1.25)
        assert (late.value.timer, late.value.phase) == (Timer.READ, Phase.BODY)
    for _ in range(2):
        with pytest.raises(Disconnected, match="cut"):
            response.read(1.0)
    response.close()


def test_no_time_passes() -> None:
    started = time.monotonic()
    transport = ScriptedTransport()
    transport.add(Reply(200, [b"a", 3000.0, b"b"], delay=3000.0), Reply(delay=STALL), Reply(200, [STALL]))
    response = get(transport, timeouts=TransportTimeouts(response_headers=4000))
    assert [response.read(None), response.read(None), response.read(None)] == [b"a", b"b", b""]
    with pytest.raises(TimedOut) as caught:
        get(transport)
    assert (caught.value.timer, caught.value.phase) == (Timer.RESPONSE_HEADERS, Phase.SENT)
    with pytest.raises(TimedOut):
        get(transport).read(1e9)
    assert time.monotonic() - started < 60.0


def test_a_script_that_would_hang_for_ever_says_so() -> None:
    transport = ScriptedTransport()
    transport.add(Reply(200, [STALL]), Reply(delay=STALL))
    with pytest.raises(ScriptError, match="no timeout"):
        get(transport, timeouts=TransportTimeouts()).read(None)
    with pytest.raises(ScriptError, match="no timeout"):
        get(transport, timeouts=TransportTimeouts())


def test_a_generator_is_played_as_it_is_read_and_closed_with_its_response() -> None:
    seen: list[str] = []

    def body() -> Iterator[bytes]:
        try:
            for number in itertools.count():
                seen.append(str(number))
                yield b"%d" % number
        finally:
            seen.append("closed")

    transport = ScriptedTransport()
    transport.add(Reply(200, body()))
    response = get(transport)
    assert response.read(1.0) == b"0"
    assert seen == ["0"]
    response.close()
    assert seen == ["0", "closed"]
    with pytest.raises(TransportError, match="closed"):
        response.read(1.0)


def test_the_end_is_final() -> None:
    transport = ScriptedTransport()
    transport.add(Reply(200, "text"), Reply(204))
    response = get(transport)
    assert [response.read(1.0) for _ in range(3)] == [b"text", b"", b""]
    response.close()
    response.close()
    assert response.read(1.0) == b""
    assert get(transport).read(0.0) == b""


# -- wrong use ------------------------------------------------------------------------------------------------------


def test_a_request_that_is_not_in_the_script_says_what_was() -> None:
    transport = ScriptedTransport()
    with pytest.raises(ScriptError, match=r"request 1 is not in the script: GET .*/v1/things\n  the script is empty"):
        get(transport)
    transport.add(Reply(200))
    transport.add(Reply(201), when=lambda request: False)
    get(transport)
    with pytest.raises(ScriptError) as caught:
        get(transport, "https://x.test/a?key=very-secret&alt=sse")
    assert str(caught.value).splitlines() == [
        "request 3 is not in the script: GET https://x.test/a?key=***&alt=sse",
        "  1. Reply(status=200, headers=Headers([]), delay=0.0): served request 2",
        "  2. Reply(status=201, headers=Headers([]), delay=0.0): unused, its `when` was false",
    ]
    with pytest.raises(ScriptError, match=r"no request used these responses.*\n  2\. Reply\(status=201"):
        transport.assert_all_called()


@pytest.mark.parametrize("run", ["sync", "trio", "asyncio"])
def test_the_error_of_a_script_reaches_the_test_through_the_router(run: str) -> None:
    def blocking() -> None:
        transport = ScriptedTransport()
        transport.answer("gemini", "Hello")
        made(transport, "openai").chat(ask(OPENAI))

    def concurrent() -> None:
        transport = AsyncScriptedTransport()
        transport.answer("gemini", "Hello")
        asynchronous(run, transport, lambda router: router.chat(ask(OPENAI)))

    with pytest.raises(ScriptError, match=r"plays gemini here, but .* which is openai's"):
        blocking() if run == "sync" else concurrent()


def test_a_path_that_the_dialect_does_not_have_is_an_error() -> None:
    transport = ScriptedTransport()
    transport.answer("openai", times=None)
    for method, url in (
        ("POST", "http://127.0.0.1/v1beta/models/m:generateContent"),
        ("GET", "http://127.0.0.1/v1/chat/completions"),
        ("POST", "http://127.0.0.1/"),
    ):
        with pytest.raises(ScriptError, match="which that dialect does not have"):
            transport.open(HttpRequest(method, url), SHORT)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda script: script.add("Hello"),
        lambda script: script.add(ValueError("no")),
        lambda script: script.add(Reply(200, iter([b"a"])), times=2),
        lambda script: script.add(Reply(200), times=0),
        lambda script: script.answer("nobody", "Hello"),
        lambda script: script.answer("openai", 7),
        lambda script: Reply(100),
        lambda script: Reply(200, ["text"]),  # type: ignore[list-item]  # the wrong use under test
        lambda script: Reply(200, [-1.0]),
        lambda script: Reply(delay=-1.0),
    ],
)
def test_what_no_script_can_be_made_of_is_refused_at_once(wrong: Callable[[ScriptedTransport], object]) -> None:
    with pytest.raises(LocalProtocolError):
        wrong(ScriptedTransport())


def test_a_function_that_gives_something_else_is_an_error() -> None:
    transport = ScriptedTransport()
    transport.add(lambda request: "Hello")  # type: ignore[arg-type, return-value]  # the wrong use under test
    with pytest.raises(ScriptError, match="returned str"):
        get(transport)


# -- async ------------------------------------------------------------------------------------------------------------


def asynchronous(run: str, transport: AsyncScriptedTransport, deed: Callable[[Any], Any]) -> Any:
    """Run `deed` with an async router over the script."""
    environ = {"OPENAI_API_KEY": KEY, "GEMINI_API_KEY": KEY}
    driver: Any = trio_driver if run == "trio" else asyncio_driver

    async def main() -> Any:
        async with driver.Router.from_env(
            environ=environ, dotenv=None, transport=transport, backoff_initial=0, max_retries=0
        ) as router:
            return await deed(router)

    return trio.run(main) if run == "trio" else asyncio.run(main())


@pytest.mark.parametrize("run", ["trio", "asyncio"])
def test_the_same_script_serves_trio_and_asyncio(run: str) -> None:
    transport = AsyncScriptedTransport()
    transport.add(ConnectFailed("refused"))
    transport.answer("gemini", "one two three", fault=Fault(abort="hang", after_tokens=2))

    async def deed(router: Any) -> tuple[str, str]:
        text = ""
        try:
            async with router.stream(ask(OPENAI, GEMINI)) as stream:
                async for event in stream:
                    text += event.delta
        except StreamFailed as error:
            return text, type(error.__cause__).__name__
        raise AssertionError("the stream broke, and nothing said so")

    assert asynchronous(run, transport, deed) == ("one two", "TimedOut")
    transport.assert_all_called()


@pytest.mark.parametrize("run", ["trio", "asyncio"])
def test_an_endless_answer_can_be_cancelled(run: str) -> None:
    transport = AsyncScriptedTransport()
    closed: list[bool] = []

    def body() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    async def read(response: Any) -> None:
        try:
            while await response.read(1.0):
                pass
        finally:
            await response.aclose()

    async def on_trio() -> None:
        response = await transport.open(HttpRequest("GET", URL), SHORT)
        with trio.move_on_after(0.05) as scope:
            await read(response)
        assert scope.cancelled_caught

    async def on_asyncio() -> None:
        response = await transport.open(HttpRequest("GET", URL), SHORT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await read(response)

    transport.add(Reply(200, body()))
    if run == "trio":
        trio.run(on_trio)
    else:
        asyncio.run(on_asyncio())
    assert closed == [True]
