"""The soak test finds what leaks, what hangs and what is lost, and finds nothing where all is right."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import pytest

from benchmarks.soak.__main__ import main
from benchmarks.soak.drivers import Blocking, soak
from benchmarks.soak.judging import Ending, Heard, judge
from benchmarks.soak.mix import MODELS, Act, Server, Wish, answer_of, served, wishes
from benchmarks.soak.profile import FULL, QUICK
from benchmarks.soak.resources import Rest, wrong_in_growth, wrong_in_rest
from benchmarks.soak.stalls import Stalls
from turnout.chat import ChatResponse, FinishReason
from turnout.errors import DeadlineExceeded, StreamFailed, TurnoutError
from turnout.http import HttpRequest, TransportTimeouts
from turnout.messages import Message
from turnout.trace import Trace
from turnout_io.base import HttpResponse
from turnout_io.transports.socket import SocketTransport

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is counted in /proc")

TINY = attrs.evolve(QUICK, streams=12, threads=6, laps=2, lap=0.1, total=1.0, silence=0.2)
WISH = Wish(number=7, act=Act.READ, events=3, seconds=0.2, on_interrupt="raise")
WHOLE = answer_of("openai", 7, TINY.tokens)
PART = WHOLE[:20]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served(TINY, 1) as running:
        yield running


def response(text: str, place: int = 0) -> ChatResponse:
    return ChatResponse(model=MODELS[place], message=Message.assistant(text), finish_reason=FinishReason.STOP)


def error_with(error: TurnoutError, partial: str | None) -> TurnoutError:
    error.partial = None if partial is None else response(partial)
    error.trace = Trace("stream", (), None, 0, 1.0, {})
    return error


def wrong(seen: Heard, wish: Wish = WISH, how: str = "") -> tuple[str, ...]:
    return judge(wish, seen, TINY, cancelled=how == "cancelled", left=how == "left").wrong


def test_every_token_is_accounted_for() -> None:
    right = Heard(text=WHOLE, ends=1, response=response(WHOLE))
    assert judge(WISH, right, TINY).ending is Ending.WHOLE
    assert not wrong(right)
    other = answer_of("gemini", 7, TINY.tokens)
    changes: list[dict[str, Any]] = [
        {"text": PART},
        {"text": WHOLE + " more"},
        {"text": answer_of("openai", 8, TINY.tokens), "response": response(answer_of("openai", 8, TINY.tokens))},
        {"text": other, "response": response(other)},
        {"response": response(PART)},
        {"response": None},
        {"ends": 0},
        {"ends": 2},
        {"seconds": TINY.total + TINY.grace + 0.1},
        {"error": KeyError("choices")},
        {"error": DeadlineExceeded("late")},
    ]
    for change in changes:
        assert wrong(attrs.evolve(right, **change)), change


def test_a_machine_that_stood_still_is_nobodys_fault() -> None:
    stalls = Stalls()
    queued = stalls._queued
    assert stalls.since(100.0) == 0.0
    stalls.note(99.0, late=4.0, queued=queued)
    stalls.note(101.0, late=1.0, queued=queued + 0.25)  # it was late because of the queue, too
    stalls.note(102.0, late=0.0, queued=queued + 1.25)  # only the event loop got no turn
    stalls.note(103.0, late=0.01, queued=queued + 1.26)
    assert stalls.since(100.0) == 2.0
    assert stalls.since(101.5) == 1.0
    assert stalls.since(0.0) == 6.0
    assert stalls.since(104.0) == 0.0

    late = Heard(text=WHOLE, ends=1, response=response(WHOLE), seconds=TINY.total + TINY.grace + 1.0)
    assert wrong(late)
    assert not judge(WISH, late, TINY, stalled=2.0).wrong


def test_an_error_has_the_part_that_came() -> None:
    seen = Heard(text=PART, response=response(PART), error=error_with(StreamFailed("cut"), PART))
    assert judge(WISH, seen, TINY).ending is Ending.PARTIAL
    assert not wrong(seen)
    for partial in (None, PART[:-1], WHOLE, ""):
        assert wrong(attrs.evolve(seen, error=error_with(StreamFailed("cut"), partial))), partial
    assert not wrong(attrs.evolve(seen, text="", before=PART))
    assert wrong(attrs.evolve(seen, before=PART, text=PART[:5]))
    assert not wrong(attrs.evolve(seen, text=""))  # it arrived with the fault, before anything was delivered
    assert wrong(attrs.evolve(seen, text="", error=error_with(StreamFailed("cut"), "x")))
    collected = attrs.evolve(WISH, act=Act.COLLECT)
    assert not wrong(Heard(error=error_with(StreamFailed("cut"), PART)), collected)
    assert wrong(Heard(error=error_with(StreamFailed("cut"), "x")), collected)
    silent = Heard(error=StreamFailed("cut"))
    assert wrong(silent) == ("number 7 (read): StreamFailed has no trace",)


@pytest.mark.parametrize("how", ["left", "cancelled"])
def test_who_goes_early_has_the_beginning(how: str) -> None:
    assert not wrong(Heard(text=PART, response=response(PART + WHOLE[20:30])), how=how)
    assert wrong(Heard(text=PART[1:]), how=how)
    assert wrong(Heard(text=PART, response=response(PART[:-1])), how=how)


def test_what_is_held_at_rest_is_found() -> None:
    before = Rest(calls=0, sockets=3, tasks=1, leases=0, traced=3_000_000, rss=50_000_000)
    assert not [*wrong_in_rest(attrs.evolve(before, sockets=19), before, 16)]
    for change in ({"sockets": 20}, {"tasks": 2}, {"leases": 1}):
        assert [*wrong_in_rest(attrs.evolve(before, **change), before, 16)], change
    usual = attrs.evolve(before, calls=100_000, traced=3_200_000, rss=55_000_000)
    assert not [*wrong_in_growth([before, usual])]
    for change in ({"traced": 12_000_000}, {"rss": 90_000_000}):
        assert [*wrong_in_growth([before, attrs.evolve(usual, **change)])], change


def test_the_callers_do_everything_and_the_same_again() -> None:
    def some() -> list[Wish]:
        source = wishes(FULL, 5)
        return [next(source) for _ in range(400)]

    first = some()
    assert {wish.act for wish in first} == set(Act)
    assert first == some()


@attrs.define
class _Kept:
    """An answer whose connection is never given up."""

    answer: HttpResponse

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def headers(self) -> Iterable[tuple[str, str]]:
        return self.answer.headers

    def read(self, timeout: float | None) -> bytes:
        return self.answer.read(timeout)

    def close(self) -> None:
        """Nothing: this is the leak."""


class _Forgetful(SocketTransport):
    def __init__(self) -> None:
        super().__init__(trust_env=False)
        self.kept: list[_Kept] = []

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        self.kept.append(_Kept(super().open(request, timeouts)))
        return self.kept[-1]


@pytest.mark.full
def test_a_transport_that_forgets_its_connections_is_found(server: Server) -> None:
    transport = _Forgetful()
    story = soak(Blocking(lambda: transport), server, TINY, 1)
    for kept in transport.kept:
        kept.answer.close()
    assert any("sockets are open" in finding for finding in story.findings), story.findings


class _Unhurried(_Kept):
    def read(self, timeout: float | None) -> bytes:
        return self.answer.read(None)

    def close(self) -> None:
        self.answer.close()


class _Deaf(SocketTransport):
    """A transport that keeps no timer."""

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
        return _Unhurried(super().open(request, TransportTimeouts()))


@pytest.mark.full
def test_a_stream_that_hangs_is_found() -> None:
    profile = attrs.evolve(TINY, grace=0.5, lap=1.0)
    with served(profile, 1) as server:  # one of its own: what hangs ends with it
        story = soak(Blocking(lambda: _Deaf(trust_env=False)), server, profile, 1)
    assert any("stuck" in finding or "it took" in finding for finding in story.findings), story.findings


@pytest.mark.full
def test_where_all_is_right_nothing_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    code = main("--quick --streams 16 --threads 8 --seconds 1 --driver asyncio sync-requests".split())
    told = capsys.readouterr().out
    assert told.endswith("\n0 findings\n")
    assert code == 0
    for driver in ("asyncio", "sync-requests"):
        assert f"\n{driver}, lap {QUICK.laps} " in told
