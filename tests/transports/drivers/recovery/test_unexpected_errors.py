"""An unexpected error in an exchange ends its attempt, but not the call."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import pytest

from turnout import ChatRequest, ModelConfig
from turnout.errors import LocalProtocolError, RemoteProtocolError
from turnout.events import Event
from turnout.providers import create
from turnout.providers.exchange import HttpExchange
from turnout.routing.call import attempt
from turnout.routing.policy.settings import Policy
from turnout_io.sync import Router
from turnout_io.testing import ScriptedTransport

METHODS = ("receive_head", "receive_data", "receive_end", "result")
REQUEST = ChatRequest(ModelConfig("openai", "m"), "Hi", fallbacks=[ModelConfig("groq", "m")])


class Broken:
    """An exchange that raises an error in one method, as a fault in a dialect would."""

    def __init__(self, exchange: HttpExchange[Any], method: str, error: Exception) -> None:
        self._exchange = exchange
        self._method = method
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            raise self._error
        return getattr(self._exchange, name)

    def receive_head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self._raise_in("receive_head")
        self._exchange.receive_head(status, headers)

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        self._raise_in("receive_data")
        return self._exchange.receive_data(data)

    def receive_end(self) -> tuple[Event, ...]:
        self._raise_in("receive_end")
        return self._exchange.receive_end()

    def _raise_in(self, method: str) -> None:
        if method == self._method:
            raise self._error


class BrokenProvider:
    """A provider with exchanges that raise an error."""

    def __init__(self, method: str, error: Exception) -> None:
        self._provider: Any = create("openai", api_key="k")
        self._method = method
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def chat(self, request: ChatRequest) -> Broken:
        return Broken(self._provider.chat(request), self._method, self._error)

    def stream(self, request: ChatRequest) -> Broken:
        return Broken(self._provider.stream(request), self._method, self._error)


def router(method: str, error: Exception) -> Router:
    transport = ScriptedTransport()
    transport.answer("openai", "from the first")
    transport.answer("groq", "from the second")
    providers: list[Any] = [BrokenProvider(method, error), create("groq", api_key="k")]
    return Router(providers, policy=Policy(max_retries=0), transport=transport)


@pytest.fixture(autouse=True)
def _as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "RAISE_UNEXPECTED", False)


@pytest.mark.parametrize("error", [ValueError("blank"), OverflowError("x"), RecursionError(), RuntimeError("y")])
@pytest.mark.parametrize("method", METHODS)
def test_the_fallback_responds(method: str, error: Exception) -> None:
    with router(method, error) as made:
        assert made.chat(REQUEST).text == "from the second"


@pytest.mark.parametrize("method", ["receive_head", "receive_data", "receive_end"])
def test_a_stream_falls_back_before_its_first_token(method: str) -> None:
    with router(method, ValueError("blank")) as made, made.stream(REQUEST) as stream:
        list(stream)
    assert stream.response is not None
    # The scripted stream has its terminator, so nothing waits for the end of its body.
    assert stream.response.text == ("from the first" if method == "receive_end" else "from the second")


@pytest.mark.parametrize("method", METHODS)
def test_the_error_names_the_kind_and_keeps_the_cause(method: str) -> None:
    cause = ValueError("words of the server")
    alone = ChatRequest(REQUEST.model, "Hi")
    with (
        router(method, cause) as made,
        pytest.raises(RemoteProtocolError, match="cannot be read: ValueError") as caught,
    ):
        made.chat(alone)
    assert caught.value.__cause__ is cause
    assert "words of the server" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_error_of_the_caller_is_raised_unchanged() -> None:
    with router("receive_data", LocalProtocolError("a wrong call")) as made, pytest.raises(LocalProtocolError):
        made.chat(REQUEST)


def test_a_flag_makes_all_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "RAISE_UNEXPECTED", True)
    with router("receive_data", ValueError("blank")) as made, pytest.raises(ValueError, match="blank"):
        made.chat(REQUEST)


class Unusable:
    """A provider that cannot even make its exchange, or whose exchange has no request."""

    def __init__(self, exchange: Any) -> None:
        self._provider: Any = create("openai", api_key="k")
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def chat(self, request: ChatRequest) -> Any:
        if isinstance(self._exchange, Exception):
            raise self._exchange
        return self._exchange


@pytest.mark.parametrize("exchange", [KeyError("zzz"), object()])
def test_a_request_that_cannot_be_made_leaves_the_call_to_the_others(exchange: Any) -> None:
    transport = ScriptedTransport()
    transport.answer("groq", "from the second")
    providers: list[Any] = [Unusable(exchange), create("groq", api_key="k")]
    with Router(providers, policy=Policy(max_retries=0), transport=transport) as made:
        assert made.chat(REQUEST).text == "from the second"
        with pytest.raises(LocalProtocolError, match="openai/m: the request cannot be made: ") as caught:
            made.chat(ChatRequest(REQUEST.model, "Hi"))
        assert caught.value.__cause__ is not None
        assert all(health.in_flight == 0 for health in made.health())


def test_a_complete_exchange_without_a_result_is_a_failure() -> None:
    with router("nothing", ValueError()) as made:
        provider: Any = NoResult()
        made.register(provider, replace=True)
        assert made.chat(REQUEST).text == "from the second"


class NoResult(BrokenProvider):
    """A provider whose exchanges have no result."""

    def __init__(self) -> None:
        super().__init__("nothing", ValueError())

    def chat(self, request: ChatRequest) -> Any:
        class Empty(Broken):
            result = None

        return Empty(self._provider.chat(request), "nothing", ValueError())
