"""The crash test finds what is wrong, and finds nothing wrong where all is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from benchmarks.crash_test.__main__ import main
from benchmarks.crash_test.calls import ASK, DRIVERS, Mode, Play, Seen, play
from benchmarks.crash_test.cells import Cell, cells_of, play_cell
from benchmarks.crash_test.profile import Profile
from benchmarks.crash_test.scenarios import GEMINI, OPENAI, SCENARIOS
from benchmarks.crash_test.stage import Stage
from benchmarks.crash_test.verdicts import Expected, Grade, judge
from turnout.chat import Usage
from turnout.errors import ServerError, StreamInterrupted
from turnout.messages import Message
from turnout_io.sandbox import Fault, Sandbox

TINY = Profile("tiny", 0.2, 30.0)
NEXT = Expected(answered_by="fallback", primary=(1,), fallback=(1,), within=60.0)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def seen_by(sandbox: Sandbox, mode: Mode, fault: Fault) -> tuple[Stage, Seen]:
    """A real call that meets a fault of the primary."""
    stage = Stage(sandbox=sandbox, profile=TINY, mode=mode, primary=OPENAI, fallback=GEMINI)
    stage.breaks(fault)

    def once() -> Play:
        return (yield ASK)

    return stage, play("sync-socket", stage.providers, stage.policy, mode, stage.request, once())


def grade(stage: Stage, seen: Seen, expected: Expected = NEXT) -> Grade:
    return judge(stage, seen, expected, iter(())).grade


def test_the_right_answer_passes_and_each_kind_of_wrong_one_fails(sandbox: Sandbox) -> None:
    stage, seen = seen_by(sandbox, Mode.RESTART, Fault(abort="close", after_tokens=40))
    assert grade(stage, seen) is Grade.PASS
    assert seen.restarts == 1
    response = seen.response
    assert response is not None
    changes: list[dict[str, Any]] = [
        {"text": "openai-01 " + seen.text},
        {"text": seen.text[:-1]},
        {"ends": 0},
        {"ends": 2},
        {"seconds": 1000.0},
        {"response": None, "error": ServerError("no")},
        {"response": None, "error": KeyError("choices")},
        {"response": attrs.evolve(response, message=Message.assistant(response.text + " and more"))},
        {"response": attrs.evolve(response, model=OPENAI)},
        {"response": attrs.evolve(response, usage=Usage(source="absent"))},
        {"response": attrs.evolve(response, usage=attrs.evolve(response.usage, completion_tokens=100))},
        {"response": attrs.evolve(response, usage=attrs.evolve(response.usage, cost=100.0))},
    ]
    for change in changes:
        assert grade(stage, attrs.evolve(seen, **change)) is Grade.FAIL, change
    for other in (attrs.evolve(NEXT, primary=(2,)), attrs.evolve(NEXT, fallback=(0,))):
        assert grade(stage, seen, other) is Grade.FAIL


def test_an_interruption_is_safe_only_with_just_what_was_delivered(sandbox: Sandbox) -> None:
    stage, seen = seen_by(sandbox, Mode.STREAM, Fault(abort="end", after_tokens=40))
    assert grade(stage, seen) is Grade.SAFE
    error = seen.error
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    for change in ({"text": ""}, {"text": seen.text + "x"}, {"text": seen.text * 2}, {"ends": 1}, {"seconds": 1000.0}):
        assert grade(stage, attrs.evolve(seen, **change)) is Grade.FAIL, change
    assert grade(stage, attrs.evolve(seen, error=StreamInterrupted("no partial"))) is Grade.FAIL
    # Where the primary's own answer was due, an interruption is no way out.
    assert grade(stage, seen, Expected(answered_by="primary", primary=(1,), fallback=(0,), within=60.0)) is Grade.FAIL


def test_a_refusal_is_to_reach_the_caller(sandbox: Sandbox) -> None:
    stage, seen = seen_by(sandbox, Mode.CHAT, Fault(error="content-filter"))
    nobody = Expected(answered_by="nobody", primary=(1,), fallback=(0,), within=60.0)
    assert grade(stage, seen, nobody) is Grade.PASS
    assert grade(stage, attrs.evolve(seen, error=ServerError("safety", status=400, code="x")), nobody) is Grade.FAIL


def test_there_are_sixteen_scenarios_and_twelve_need_no_stream() -> None:
    assert [scenario.name for scenario in SCENARIOS] == [f"S{number:02d}" for number in range(1, 17)]
    assert len(cells_of(SCENARIOS, ["trio"], [Mode.CHAT])) == 12
    assert len(cells_of(SCENARIOS, list(DRIVERS), list(Mode))) == len(DRIVERS) * (4 * 16 + 12)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_cell_is_played_through_every_driver(driver: str) -> None:
    cut = next(scenario for scenario in SCENARIOS if scenario.name == "S14")
    grades = [play_cell(Cell(cut, driver, mode), TINY).grade for mode in (Mode.COLLECT, Mode.STREAM, Mode.RESTART)]
    assert grades == [Grade.PASS, Grade.SAFE, Grade.PASS]


def test_the_table_says_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("--scenario S10 S13 --driver sync-socket --mode chat stream".split()) == 0
    told = capsys.readouterr().out
    assert "one chunk is malformed" in told
    assert "1 of 1" in told
    assert "2 of 2" in told
    assert "0 not as they should be" in told
