"""A transport of the user's that breaks its rules: errors name it, and its foreign exceptions end one attempt only."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, ModelConfig
from turnout.errors import LocalProtocolError, Phase, StreamFailed, TransportError
from turnout.providers import create
from turnout.routing import Hedge, Policy

MODEL = ModelConfig("openai", "m")
ALONE = ChatRequest(MODEL, "Hi")
TWO = ChatRequest(MODEL, "Hi", fallbacks=[ModelConfig("groq", "m")])
DRIVERS = pytest.mark.parametrize("driver", ["sync", "trio", "asyncio", "hedging"])


def body(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice]}).encode()


def chunk(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


class Response:
    """A response that keeps the rules, unless a member is replaced. It has the methods of both kinds."""

    def __init__(self, data: list[Any], /, **members: Any) -> None:
        self.status: Any = 200
        self.headers: Any = [("content-type", "application/json")]
        self.reads = [*data, b""]
        self.is_closed = False
        for name, value in members.items():
            setattr(self, name, value)
        self.reads = list(self.reads)  # the cases of the tests share one list

    def next_read(self) -> Any:
        value = self.reads.pop(0)
        if isinstance(value, BaseException):
            raise value
        return value

    def read(self, timeout: float | None) -> Any:
        return self.next_read()

    def close(self) -> None:
        self.is_closed = True


class AsyncResponse(Response):
    """The same for async code."""

    async def read(self, timeout: float | None) -> Any:
        return self.next_read()

    async def aclose(self) -> None:
        self.is_closed = True


class Naive:
    """Opens, for the provider openai, what it is given, or raises it. Every other provider responds well."""

    def __init__(self, response: Any) -> None:
        self.response = response

    def take(self, request: Any, good: type[Response]) -> Any:
        if "openai.com" not in request.url:
            return good([body("from the second")])
        if isinstance(self.response, BaseException):
            raise self.response
        return self.response

    def open(self, request: Any, timeouts: Any) -> Any:
        return self.take(request, Response)

    def close(self) -> None: ...


class AsyncNaive(Naive):
    """The same for async code."""

    async def open(self, request: Any, timeouts: Any) -> Any:
        return self.take(request, AsyncResponse)

    async def aclose(self) -> None: ...


def responds(driver: str, data: list[Any], /, **members: Any) -> Any:
    return (Response if driver == "sync" else AsyncResponse)(data, **members)


def ask(driver: str, response: Any, request: ChatRequest, *, stream: bool = False) -> str:
    """Return the text of the answer of a router with a naive transport."""
    module: Any = {"sync": turnout_io.sync, "trio": turnout_io.trio}.get(driver, turnout_io.asyncio)
    hedge = Hedge(delay=60.0) if driver == "hedging" else None
    transport: Any = (Naive if driver == "sync" else AsyncNaive)(response)
    providers = [create("openai", api_key="secret-key-1"), create("groq", api_key="secret-key-2")]
    router = module.Router(providers, policy=Policy(max_retries=0, hedge=hedge), transport=transport)

    async def main() -> str:
        if stream:
            return str((await router.stream(request).collect()).text)
        return str((await router.chat(request)).text)

    if driver == "sync":
        return str(router.stream(request).collect().text if stream else router.chat(request).text)
    return trio.run(main) if driver == "trio" else asyncio.run(main())


HEADERS = r"response\.headers must be a list of \(name, value\) strings, not "
WRONG_HEADS: list[tuple[dict[str, Any], str]] = [
    ({"headers": {"content-type": "application/json"}}, HEADERS + "dict"),
    ({"headers": [(b"content-type", b"application/json")]}, HEADERS + "of bytes"),
    ({"headers": [("content-type", "application/json"), ("content-length", 5)]}, HEADERS + "of int"),
    ({"headers": ["content-type: application/json"]}, HEADERS + "of str"),
    ({"headers": None}, HEADERS + "None"),
    ({"status": "200"}, r"response\.status must be an int, not str"),
    ({"reads": ["text", b""]}, r"response\.read must return bytes, not str"),
    ({"reads": [None]}, r"response\.read must return bytes, not None"),
]


@DRIVERS
@pytest.mark.parametrize(("members", "message"), WRONG_HEADS)
def test_a_wrong_member_of_a_response_is_named(driver: str, members: dict[str, Any], message: str) -> None:
    response = responds(driver, [body("Hi")], **members)
    with pytest.raises(LocalProtocolError, match=f"transport (Async)?Naive: {message}$"):
        ask(driver, response, TWO)
    assert response.is_closed


@DRIVERS
@pytest.mark.parametrize("response", [None, "text", b"HTTP/1.1 200"])
def test_a_response_that_is_none_is_named(driver: str, response: Any) -> None:
    kind = "None" if response is None else type(response).__name__
    with pytest.raises(LocalProtocolError, match=f"Naive: open must return a response with .*, not {kind}$"):
        ask(driver, response, TWO)


@DRIVERS
def test_a_response_that_cannot_be_read_is_named_and_closed(driver: str) -> None:
    response = responds(driver, [], read=None)
    with pytest.raises(LocalProtocolError, match=r"Naive: open must return a response with .*, not (Async)?Response$"):
        ask(driver, response, TWO)
    assert response.is_closed


@pytest.mark.parametrize("module", [turnout_io.sync, turnout_io.trio, turnout_io.asyncio])
def test_a_class_in_place_of_its_instance_is_refused(module: Any) -> None:
    kind = Naive if module is turnout_io.sync else AsyncNaive
    with pytest.raises(TypeError, match=rf"the class {kind.__name__} is not a transport.*write {kind.__name__}\("):
        module.Router(transport=kind)


@DRIVERS
def test_header_fields_of_any_iterable_are_read(driver: str) -> None:
    fields = (["content-type", "application/json"] for _ in range(1))
    assert ask(driver, responds(driver, [body("Hi")], headers=fields), ALONE) == "Hi"


class ForeignError(Exception):
    """An error of an HTTP library."""


FOREIGN = [OSError("boom"), TimeoutError("boom"), ForeignError("boom"), ValueError("boom")]


@DRIVERS
@pytest.mark.parametrize("place", ["open", "read"])
@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_a_foreign_exception_ends_its_attempt_and_the_fallback_responds(
    driver: str, place: str, error: Exception
) -> None:
    response = error if place == "open" else responds(driver, [error])
    assert ask(driver, response, TWO) == "from the second"


@DRIVERS
@pytest.mark.parametrize(("place", "phase"), [("open", Phase.SENT), ("read", Phase.BODY)])
@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_the_error_names_the_transport_and_has_cause_and_trace(
    driver: str, place: str, phase: Phase, error: Exception
) -> None:
    response = error if place == "open" else responds(driver, [error])
    with pytest.raises(TransportError) as caught:
        ask(driver, response, ALONE)
    told = f"{type(error).__name__}: boom" if isinstance(error, OSError) else type(error).__name__
    assert f"Naive raised {told}; a transport raises ConnectFailed, TimedOut or Disconnected" in str(caught.value)
    assert caught.value.__cause__ is error
    assert caught.value.phase is phase
    assert caught.value.trace.attempts == 1


@DRIVERS
def test_a_foreign_message_that_may_quote_a_key_is_not_repeated(driver: str) -> None:
    with pytest.raises(TransportError) as caught:
        ask(driver, ForeignError("illegal header value: Bearer secret-key-1"), ALONE)
    assert "secret-key" not in f"{caught.value}{caught.value.trace.explain()}"


@DRIVERS
def test_a_foreign_exception_behind_content_is_an_interruption_with_the_part(driver: str) -> None:
    response = responds(driver, [chunk("There"), OSError("boom")], headers=[("content-type", "text/event-stream")])
    with pytest.raises(StreamFailed) as caught:
        ask(driver, response, TWO, stream=True)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "There"


@DRIVERS
@pytest.mark.parametrize("error", [AssertionError("of a test"), LocalProtocolError("cannot be sent")])
def test_an_error_that_blames_the_caller_or_a_test_passes_through(driver: str, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        ask(driver, error, TWO)
    assert caught.value is error


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs signals")
def test_an_exception_of_a_signal_handler_passes_through() -> None:
    class TimeLimit(Exception):
        """A task queue raises such an error when the time of a task is over."""

    def handler(*_: object) -> None:
        raise TimeLimit

    class Slow(Naive):
        def open(self, request: Any, timeouts: Any) -> Any:
            signal.raise_signal(signal.SIGUSR1)
            return super().open(request, timeouts)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        transport: Any = Slow(None)
        router = turnout_io.sync.Router(
            [create("openai", api_key="k"), create("groq", api_key="k")], transport=transport
        )
        with pytest.raises(TimeLimit):
            router.chat(TWO)
    finally:
        signal.signal(signal.SIGUSR1, before)


class HalfAsync(AsyncResponse):
    """An async response with a blocking read."""

    def read(self, timeout: float | None) -> Any:
        return self.next_read()


@pytest.mark.parametrize("driver", ["trio", "asyncio", "hedging"])
def test_a_blocking_read_under_an_async_router_is_named(driver: str) -> None:
    told = r"transport AsyncNaive: an async router awaits response\.read, so it must be an async function"
    with pytest.raises(LocalProtocolError, match=told):
        ask(driver, HalfAsync([body("Hi")]), ALONE)


class HalfClosed(AsyncResponse):
    """An async response with a blocking method that closes it."""

    def aclose(self) -> Any:
        self.is_closed = True


class CoroutineClose(Response):
    """A blocking response with an async method that closes it."""

    async def close(self) -> Any:  # type: ignore[override]  # the mistake that is tested
        self.is_closed = True


@DRIVERS
def test_a_close_of_the_wrong_kind_is_named(driver: str) -> None:
    kind = CoroutineClose if driver == "sync" else HalfClosed
    told = (
        r"transport Naive: a blocking router does not await response\.close, so it must not be an async function$"
        if driver == "sync"
        else r"transport AsyncNaive: an async router awaits response\.aclose, so it must be an async function$"
    )
    for request in (ALONE, TWO):
        with pytest.raises(LocalProtocolError, match=told):
            ask(driver, kind([body("Hi")]), request)


@pytest.mark.parametrize("driver", ["sync", "trio", "asyncio"])
def test_a_transport_that_is_closed_the_wrong_way_is_named(driver: str) -> None:
    def blocking(self: Any) -> None: ...

    async def coroutine(self: Any) -> None: ...

    kind: Any = (
        type("Half", (Naive,), {"close": coroutine})
        if driver == "sync"
        else type("Half", (AsyncNaive,), {"aclose": blocking})
    )
    module: Any = {"sync": turnout_io.sync, "trio": turnout_io.trio}.get(driver, turnout_io.asyncio)
    router = module.Router(transport=kind(None))

    def close() -> None:
        if driver == "sync":
            router.close()
        elif driver == "trio":
            trio.run(router.aclose)
        else:
            asyncio.run(router.aclose())

    with pytest.raises(LocalProtocolError, match=r"transport Half: .* router .* a?close, so it must"):
        close()


class FailsToClose(Response):
    def close(self) -> None:
        self.is_closed = True
        raise OSError("already gone")


class FailsToCloseAsync(AsyncResponse):
    async def aclose(self) -> None:
        self.is_closed = True
        raise OSError("already gone")


@DRIVERS
@pytest.mark.parametrize("data", [[body("Hi")], [OSError("boom")]], ids=["answer", "failure"])
def test_a_close_that_fails_loses_no_answer_and_no_fallback(
    driver: str, data: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    response = (FailsToClose if driver == "sync" else FailsToCloseAsync)(data)
    assert ask(driver, response, TWO) == ("Hi" if data == [body("Hi")] else "from the second")
    assert response.is_closed
    assert [each.levelname for each in caplog.records if "Naive: response" in each.message] == ["WARNING"]


@DRIVERS
def test_a_close_that_is_refused_gives_its_slot_back(driver: str) -> None:
    """The second call would wait for ever if the first one kept its slot."""
    module: Any = {"sync": turnout_io.sync, "trio": turnout_io.trio}.get(driver, turnout_io.asyncio)
    transport: Any = (Naive if driver == "sync" else AsyncNaive)(None)
    hedge = Hedge(delay=60.0) if driver == "hedging" else None
    policy = Policy(max_retries=0, max_concurrency=1, timeout=5.0, hedge=hedge)
    router = module.Router([create("openai", api_key="k")], policy=policy, transport=transport)
    results: list[Any] = []

    async def main() -> None:
        for kind in (HalfClosed, AsyncResponse):
            transport.response = kind([body("Hi")])
            try:
                results.append((await router.chat(ALONE)).text)
            except LocalProtocolError:
                results.append("refused")

    if driver == "sync":
        for kind in (CoroutineClose, Response):
            transport.response = kind([body("Hi")])
            try:
                results.append(router.chat(ALONE).text)
            except LocalProtocolError:
                results.append("refused")
    else:
        trio.run(main) if driver == "trio" else asyncio.run(main())
    assert results == ["refused", "Hi"]
