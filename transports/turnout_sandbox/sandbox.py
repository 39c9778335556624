"""A loopback server that speaks the dialects of the providers, with scripted faults."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from turnout.errors import LocalProtocolError, ProviderNotRegistered
from turnout_sandbox.answers import AnswerScript, ScriptedAnswer
from turnout_sandbox.dialect import DialectServer
from turnout_sandbox.dialects import PROVIDERS
from turnout_sandbox.environment import key_of, sdk_variables, turnout_variables, url_of
from turnout_sandbox.faults import Fault
from turnout_sandbox.received import Received
from turnout_sandbox.server.connection import ClientConnection
from turnout_sandbox.server.loop_thread import LoopThread
from turnout_sandbox.server.request_handler import ProviderState, RequestHandler

__all__ = ["Sandbox"]


class Sandbox:
    """Every provider of the catalog on one port of 127.0.0.1, healthy until a script changes that.

        with Sandbox() as sandbox:
            sandbox.script("openai", Fault(status=429), Fault(abort="reset", after_tokens=3))
            …  # run a program with sandbox.environ() in its environment
            …
            assert [request.provider for request in sandbox.requests] == ["openai", "openai", "openai"]

    The server runs in a separate thread, so it serves blocking code, trio and asyncio alike. Every method may be
    called from any thread, before and while it runs.

    token_interval   seconds between the tokens of a stream
    port             to listen on; 0 takes a free one
    check_keys       whether a wrong key is refused; the right one is `key(provider)`
    models           the models that a provider knows, by provider; a provider without an entry knows every model
                     except ids such as "no-such-model"
    on_request       called with each request after its response has ended, in the server's thread
    """

    def __init__(
        self,
        *,
        token_interval: float = 0.0,
        port: int = 0,
        check_keys: bool = True,
        models: Mapping[str, Iterable[str]] | None = None,
        on_request: Callable[[Received], None] | None = None,
    ) -> None:
        if not token_interval >= 0:
            raise LocalProtocolError(f"token_interval={token_interval!r}: give seconds, zero or more")
        known = {name: frozenset(ids) for name, ids in (models or {}).items()}
        for name in known:
            _known(name)
        self._port = port
        states = {
            name: ProviderState(dialect=dialect, key=self.key(name) if check_keys else None, models=known.get(name))
            for name, dialect in PROVIDERS.items()
        }
        self._handler = RequestHandler(
            states=states,
            token_interval=float(token_interval),
            started=time.monotonic(),
            rng=random.Random(0),
            on_request=on_request,
        )
        self._thread: LoopThread | None = None
        self._connections: set[ClientConnection] = set()
        self._accepted = 0

    # Life

    def __enter__(self) -> Sandbox:
        if self._thread is not None:
            raise LocalProtocolError("this sandbox runs already; make another one")
        thread = LoopThread(lambda: ClientConnection(self._handler.begin, self._register), self._connections)
        self._handler.started = time.monotonic()
        thread.start(self._port)
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
        failures, self._handler.failures = self._handler.failures, []
        if error is None and failures:
            raise failures[0]

    # Where it is

    @property
    def port(self) -> int:
        """The port of the server.

        Raises:
            LocalProtocolError: The sandbox does not run.
        """
        if self._thread is None:
            raise LocalProtocolError("the sandbox does not run; enter it: with Sandbox() as sandbox")
        return self._thread.port

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(PROVIDERS)

    def url(self, provider: str) -> str:
        """Return the base URL of a provider, as the provider's own endpoint setting takes it."""
        _known(provider)
        return url_of(provider, self.port)

    def key(self, provider: str) -> str:
        """Return the key that the provider accepts. No real provider accepts it."""
        _known(provider)
        return key_of(provider)

    def environ(self) -> dict[str, str]:
        """Return the variables that point every provider of the catalog at this sandbox.

        They are NAME_API_KEY and NAME_ENDPOINT, and AWS_REGION, which AWS's programs need.
        """
        return turnout_variables(self.port)

    def sdk_environ(self) -> dict[str, str]:
        """Return the variables that point the official SDKs at this sandbox: OPENAI_BASE_URL and so on."""
        return sdk_variables(self.port)

    # Scripts

    def script(self, provider: str, *faults: Fault, forever: bool = False) -> None:
        """Add to what happens to the next requests of a provider, in order; `Fault()` is a healthy answer.

        After the script the provider is healthy again. With `forever` the faults are played in turn, again and again,
        instead of that health; no faults and `forever` makes it healthy.
        """
        state = self._state(provider)
        for fault in faults:
            if not isinstance(fault, Fault):
                raise LocalProtocolError(f"a script is made of Fault, not {type(fault).__name__}")
        with self._handler.changed:
            if forever:
                state.always, state.looped = faults, 0
            else:
                state.script.extend(faults)

    def answer(self, provider: str, answer: AnswerScript | None) -> None:
        """Set the answer of a provider to chats: a text, a `ScriptedAnswer`, or a function of the request.

        None restores the invented sentences. A function runs in the server's thread; its exception is raised when
        the sandbox ends.
        """
        if answer is not None and not isinstance(answer, str | ScriptedAnswer) and not callable(answer):
            raise LocalProtocolError(f"an answer is a str, an Answer or a function, not {type(answer).__name__}")
        with self._handler.changed:
            self._state(provider).answer = answer

    def clear(self) -> None:
        """Forget scripts, answers and received requests."""
        with self._handler.changed:
            for state in self._handler.states.values():
                state.script.clear()
                state.always, state.looped, state.answer, state.peak = (), 0, None, state.in_flight
            self._handler.received.clear()

    # Records

    @property
    def requests(self) -> tuple[Received, ...]:
        """Every request, in order of arrival."""
        with self._handler.changed:
            return tuple(self._handler.received)

    def requests_to(self, provider: str) -> tuple[Received, ...]:
        _known(provider)
        return tuple(request for request in self.requests if request.provider == provider)

    @property
    def open_connections(self) -> int:
        """TCP connections that are open now, idle ones included."""
        with self._handler.changed:
            return len(self._connections)

    def in_flight(self, provider: str) -> int:
        """Requests of a provider that are being answered now."""
        with self._handler.changed:
            return self._state(provider).in_flight

    def peak_in_flight(self, provider: str) -> int:
        """The most requests of a provider that were being answered at once."""
        with self._handler.changed:
            return self._state(provider).peak

    def wait(self, until: Callable[[Sandbox], bool], timeout: float = 5.0) -> bool:
        """Block until `until(sandbox)` is true, looked at whenever something changed; False after `timeout` seconds.

        For what happens on the server's side a moment after the client is done, such as seeing that it has left.
        """
        deadline = time.monotonic() + timeout
        with self._handler.changed:
            while not until(self):
                left = deadline - time.monotonic()
                if left <= 0 or not self._handler.changed.wait(left):
                    return until(self)
            return True

    def _state(self, provider: str) -> ProviderState:
        _known(provider)
        return self._handler.states[provider]

    def _register(self, connection: ClientConnection, alive: bool) -> int:
        with self._handler.changed:
            if alive:
                self._accepted += 1
                self._connections.add(connection)
            else:
                self._connections.discard(connection)
            self._handler.changed.notify_all()
            return self._accepted


def _known(provider: str) -> DialectServer:
    try:
        return PROVIDERS[provider]
    except KeyError:
        raise ProviderNotRegistered(
            f"the sandbox plays no provider {provider!r}; it plays {', '.join(PROVIDERS)}"
        ) from None
