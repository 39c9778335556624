"""The scenarios of FailoverBench (github.com/failoverbench/failoverbench), by its ids, played on the pure core.

Each is played for whole answers, collected streams, and streams that restart. Its reference client waits 10 s for the
first token; with our defaults of 30 s for the response headers, the candidate of S07 answers first, after 20 s.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.sansio.routing.line_dialect import LineProvider, lines
from tests.sansio.routing.small_worlds import GOOD, World, texts
from turnout.errors import ContentFiltered, ContextLengthExceeded, InvalidRequest, ProviderError
from turnout.http import Headers
from turnout.routing.call.operations import Chat, Operation, Stream
from turnout.routing.policy.settings import Timeouts
from turnout.simulation import Outcome, Script

KINDS = ("chat", "collect", "restart")
# As the reference client has them: 2 retries and one fallback, 10 s for the first token and for a stall.
REFERENCE = {
    "max_retries": 2,
    "on_interrupt": "restart",
    "timeouts": Timeouts(response_headers=10.0, first_token=10.0, between_tokens=10.0),
}
DEFAULT = {"on_interrupt": "restart"}
SETTINGS = pytest.mark.parametrize("settings", [REFERENCE, DEFAULT], ids=["first token in 10 s", "defaults"])
OF_EACH_KIND = pytest.mark.parametrize("kind", KINDS)
ANSWER = "onetwo"


def refuse(status: int, wait: float | None = None) -> Script:
    return Script(status=status, head=0.05, headers=(("retry-after", f"{wait:g}"),) if wait is not None else ())


def operation(world: World, kind: str) -> Operation:
    request = world.request()
    return Stream(request) if kind == "restart" else Chat(request, collect=kind == "collect")


def play(kind: str, settings: dict[str, Any], *scripts: list[Script]) -> tuple[World, Outcome]:
    world = World(*scripts, **settings)
    return world, world.run(operation(world, kind))


def answered(outcome: Outcome, provider: str) -> bool:
    return outcome.error is None and outcome.result.text == ANSWER and outcome.result.model.provider == provider


@OF_EACH_KIND
@SETTINGS
def test_s01_a_rate_limit_with_a_wait_of_2_s_once(kind: str, settings: dict[str, Any]) -> None:
    _, outcome = play(kind, settings, [refuse(429, 2), GOOD], [GOOD])
    assert answered(outcome, "p0")
    assert 2.0 <= outcome.ended <= 4.0


@OF_EACH_KIND
@SETTINGS
def test_s02_a_rate_limit_without_a_wait_for_good(kind: str, settings: dict[str, Any]) -> None:
    world, outcome = play(kind, settings, [refuse(429)], [GOOD])
    assert answered(outcome, "p1")
    assert len(world.asked) <= 4
    assert outcome.ended <= 3.0


@OF_EACH_KIND
@SETTINGS
def test_s03_a_server_error_once(kind: str, settings: dict[str, Any]) -> None:
    _, outcome = play(kind, settings, [refuse(500), GOOD], [GOOD])
    assert answered(outcome, "p0")


@OF_EACH_KIND
@SETTINGS
def test_s04_an_overload_for_good(kind: str, settings: dict[str, Any]) -> None:
    _, outcome = play(kind, settings, [refuse(503)], [GOOD])
    assert answered(outcome, "p1")
    assert outcome.ended <= 4.0


@OF_EACH_KIND
@SETTINGS
def test_s05_a_connection_that_is_reset_before_the_headers(kind: str, settings: dict[str, Any]) -> None:
    _, outcome = play(kind, settings, [Script(reset="fresh"), GOOD], [GOOD])
    assert answered(outcome, "p0")


@OF_EACH_KIND
@SETTINGS
def test_s06_silence_for_120_s(kind: str, settings: dict[str, Any]) -> None:
    world, outcome = play(kind, settings, [Script(head=120.0)], [GOOD])
    assert answered(outcome, "p1")
    assert world.who == ["p0", "p1"], "the silent candidate is not asked again"


@OF_EACH_KIND
def test_s07_a_first_token_after_20_s(kind: str) -> None:
    late = Script(head=0.1, body=((20.0, GOOD.body[0][1]),))
    settings = {**REFERENCE, "attempt_timeout": 10.0}
    _, outcome = play(kind, settings, [late], [GOOD])
    assert answered(outcome, "p1")
    assert outcome.ended < 15.0


@OF_EACH_KIND
def test_s07_is_waited_for_with_our_defaults(kind: str) -> None:
    late = Script(head=0.1, body=((20.0, GOOD.body[0][1]),))
    _, outcome = play(kind, DEFAULT, [late], [GOOD])
    assert answered(outcome, "p0")


@OF_EACH_KIND
@SETTINGS
def test_s08_a_stream_that_is_cut(kind: str, settings: dict[str, Any]) -> None:
    cut = Script(body=((0.0, lines("tone")),), end="cut")
    _, outcome = play(kind, settings, [cut], [GOOD])
    assert outcome.error is None
    assert outcome.result.text == ANSWER
    if kind == "restart":
        assert texts(outcome)[-1] == ANSWER, "after the last restart the stream has the whole answer"


@OF_EACH_KIND
@SETTINGS
def test_s09_a_stream_that_stalls(kind: str, settings: dict[str, Any]) -> None:
    stall = Script(body=((0.0, lines("tone")),), end="silent")
    _, outcome = play(kind, settings, [stall], [GOOD])
    assert outcome.error is None
    assert outcome.result.text == ANSWER


@OF_EACH_KIND
@SETTINGS
def test_s10_an_event_that_cannot_be_read(kind: str, settings: dict[str, Any]) -> None:
    world, outcome = play(kind, settings, [Script(body=((0.0, lines("tone", "x{", "ttwo", "f")),))], [GOOD])
    assert answered(outcome, "p0")
    assert len(world.asked) == 1


@OF_EACH_KIND
@SETTINGS
def test_s11_a_stream_without_its_terminator_ends_at_once(kind: str, settings: dict[str, Any]) -> None:
    """The line `f` is both the finish reason and the terminator here; the connection stays open behind it."""
    open_end = Script(body=GOOD.body, end="silent")
    _, outcome = play(kind, settings, [open_end], [GOOD])
    if kind == "chat":
        assert outcome.error is None
        return  # a whole answer ends with its body, so the fallback may answer instead
    assert answered(outcome, "p0")
    assert outcome.ended <= 1.0


class Refusing(LineProvider):
    """A provider that refuses each request with one kind of error."""

    kind: type[ProviderError] = InvalidRequest

    def _read_error(self, status: int, headers: Headers, body: bytes) -> ProviderError:
        return self.kind("refused", status=status, provider=self.name)


class TooLong(Refusing):
    kind = ContextLengthExceeded


class Filtering(Refusing):
    kind = ContentFiltered


@OF_EACH_KIND
@SETTINGS
def test_s12_a_conversation_that_is_too_long(kind: str, settings: dict[str, Any]) -> None:
    windows = {"p0/m": 8_000, "p1/m": 8_000, "p2/m": 128_000}
    world = World([refuse(400)], [GOOD], [GOOD], context_windows=windows, **settings)
    world.core.register(TooLong("p0"), replace=True)
    outcome = world.run(operation(world, kind))
    assert answered(outcome, "p2")
    assert world.who == ["p0", "p2"]


@OF_EACH_KIND
@SETTINGS
def test_s13_a_content_filter(kind: str, settings: dict[str, Any]) -> None:
    world = World([refuse(400)], [GOOD], **settings)
    world.core.register(Filtering("p0"), replace=True)
    outcome = world.run(operation(world, kind))
    assert isinstance(outcome.error, ContentFiltered)
    assert world.who == ["p0"]


@SETTINGS
def test_s14_a_cut_stream_whose_fallback_takes_no_prefill(settings: dict[str, Any]) -> None:
    cut = Script(body=((0.0, lines("tone")),), end="cut")
    world, outcome = play("restart", settings, [cut], [GOOD])
    assert outcome.error is None
    assert outcome.result.text == ANSWER
    assert world.who[-1] in ("p0", "p1")


@OF_EACH_KIND
@SETTINGS
def test_s15_a_candidate_that_is_down_for_60_s(kind: str, settings: dict[str, Any]) -> None:
    world = World([GOOD], [GOOD], **settings)
    down = refuse(503)

    def answer(request: Any, now: float) -> Script:
        host = request.url.split("/")[2]
        world.asked.append((host.removesuffix(".test"), now))
        return down if host == "p0.test" and now < 60.0 else GOOD

    world.simulation.network = answer
    for second in range(90):
        world.simulation.call(operation(world, kind), at=float(second))
    world.simulation.run()
    assert all(outcome.error is None for outcome in world.simulation.outcomes)
    back = [outcome for outcome in world.simulation.outcomes if outcome.result.model.provider == "p0"]
    assert 60.0 <= back[0].began <= 75.0
    tests = [at for name, at in world.asked if name == "p0" and 10.0 < at < 60.0]
    assert len(tests) <= 6, "few requests test a candidate that is down"


@OF_EACH_KIND
@SETTINGS
def test_s16_the_answer_names_the_fallback_and_failed_attempts_cost_nothing(
    kind: str, settings: dict[str, Any]
) -> None:
    _, outcome = play(kind, settings, [refuse(500)], [GOOD])
    assert answered(outcome, "p1")
    assert outcome.result.model.provider == "p1"
    assert outcome.call.selector.cost.spent == 0.0


@OF_EACH_KIND
def test_no_candidate_answers_at_all(kind: str) -> None:
    _, outcome = play(kind, REFERENCE, [Script(head=math.inf)], [refuse(500)])
    assert outcome.error is not None
    assert outcome.ended <= 60.0
