"""Selects the response for a request from a script, in order or by a predicate, and records its use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from turnout.errors import LocalProtocolError, RemoteProtocolError, TransportError
from turnout.http import HttpRequest, shown_url
from turnout_io.testing.playback import ScriptError
from turnout_io.testing.provider_replies import ProviderReplies
from turnout_io.testing.replies import Reply, TransportFault
from turnout_sandbox.answers import AnswerScript
from turnout_sandbox.faults import Fault

__all__ = ["ReplyScript", "ScriptedResult"]

ScriptedResult: TypeAlias = Reply | TransportFault
"""The result of a request: a response, or an error in place of it (`ConnectFailed("refused")`)."""

When: TypeAlias = Callable[[HttpRequest], object]


@attrs.define(eq=False)
class _ScriptEntry:
    """One response of a script. `left` is the number of requests that it still serves; None means no limit."""

    told: str
    outcome: ScriptedResult | Callable[[HttpRequest], ScriptedResult]
    when: When | None
    left: int | None
    served: int = 0

    def serves(self, request: HttpRequest) -> bool:
        return self.left != 0 and (self.when is None or bool(self.when(request)))


class ReplyScript:
    """Responses in their order, and the requests that were received.

    A request takes the first unused response for which `when`, if given, is true. If there is none, the request raises
    `ScriptError`, which no router catches, so it reaches your test.
    """

    if not TYPE_CHECKING:

        def __new__(cls, *answers: object) -> ReplyScript:
            if answers:
                name = cls.__name__
                raise TypeError(f"{name}() takes no answers: write script = {name}(); script.answer('openai', 'Hello')")
            return super().__new__(cls)

    def __init__(self) -> None:
        self._entries: list[_ScriptEntry] = []
        self._requests: list[HttpRequest] = []
        self._providers = ProviderReplies()
        self._lock = threading.Lock()

    @property
    def requests(self) -> tuple[HttpRequest, ...]:
        """Return every request in order. Their `repr` shows no secret."""
        with self._lock:
            return tuple(self._requests)

    def add(
        self,
        *outcomes: ScriptedResult | Callable[[HttpRequest], ScriptedResult],
        when: When | None = None,
        times: int | None = 1,
    ) -> None:
        """Add outcomes for the next requests. Each outcome serves one request.

        Args:
            *outcomes: A `Reply`, an error to raise in place of one, or a function of the request that returns either.
            when: A predicate on the request: `lambda request: "gemini" in request.url`.
            times: The number of requests that each outcome serves; None for any number.
        """
        for outcome in outcomes:
            if not (isinstance(outcome, Reply | TransportError | RemoteProtocolError) or callable(outcome)):
                raise LocalProtocolError(
                    f"a script is made of Reply, transport errors and functions, not of {type(outcome).__name__}"
                )
            if isinstance(outcome, Reply) and outcome.single_use and times != 1:
                raise LocalProtocolError("this reply's body is an iterator and serves once; add a function instead")
            self._append(_ScriptEntry(repr(outcome), outcome, when, times))

    def answer(
        self,
        provider: str,
        answer: AnswerScript | None = None,
        *,
        fault: Fault | None = None,
        when: When | None = None,
        times: int | None = 1,
    ) -> None:
        """Respond to the next request in the format of this provider: with a stream if the request wants one.

            transport.answer("openai", "Hello")
            transport.answer("openai", fault=Fault(status=429, headers={"retry-after-ms": "10"}))
            transport.answer("gemini", "Hello there, old friend", fault=Fault(abort="reset", after_tokens=2))

        Args:
            provider: A name of the catalog, "anthropic" or "openai-compatible".
            answer: A text, a `ScriptedAnswer` (with reasoning and tool calls), or a function of the received request.
                By default it is generated from the request.
            fault: The failure to play; see `turnout_sandbox.Fault`.
            when: As for `add`.
            times: As for `add`.
        """
        give = self._providers.bind(provider, answer, fault or Fault())
        self._append(_ScriptEntry(f"{provider}: {answer if fault is None else fault!r}", give, when, times))

    def assert_all_called(self) -> None:
        """Raise ScriptError if responses are left without a request."""
        with self._lock:
            left = [f"  {number}. {entry.told}" for number, entry in self._numbered() if entry.left]
        if left:
            raise ScriptError("\n".join(["no request used these responses of the script:", *left]))

    def take(self, request: HttpRequest) -> ScriptedResult:
        """Return the outcome for a request. Raises ScriptError if the script has none."""
        with self._lock:
            self._requests.append(request)
            number = len(self._requests)
            entry = next((entry for entry in self._entries if entry.serves(request)), None)
            if entry is None:
                where = f"{request.method} {shown_url(request.url)}"
                raise ScriptError(self._told(f"request {number} is not in the script: {where}"))
            entry.served = number
            if entry.left is not None:
                entry.left -= 1
        if not callable(entry.outcome):
            return entry.outcome
        try:
            given = entry.outcome(request)
        except ScriptError as error:
            with self._lock:
                raise ScriptError(self._told(f"request {number}: {error}")) from None
        if not isinstance(given, Reply | TransportError | RemoteProtocolError):
            raise ScriptError(
                f"a function of the script returned {type(given).__name__}, not a Reply or a transport error"
            )
        return given

    def _append(self, entry: _ScriptEntry) -> None:
        if entry.left is not None and (not isinstance(entry.left, int) or entry.left < 1):
            raise LocalProtocolError(f"times={entry.left!r}: give 1 or more, or None for any number")
        with self._lock:
            self._entries.append(entry)

    def _numbered(self) -> list[tuple[int, _ScriptEntry]]:
        return list(enumerate(self._entries, 1))

    def _told(self, problem: str) -> str:
        """Return the problem, and the script with the state of each response."""
        lines = [problem]
        for place, entry in self._numbered():
            state = f"served request {entry.served}" if entry.served else "unused, its `when` was false"
            lines.append(f"  {place}. {entry.told:.200}: {state if entry.left == 0 or entry.when else 'is left'}")
        return "\n".join([*lines, *([] if self._entries else ["  the script is empty"])])
