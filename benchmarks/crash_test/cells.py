"""Plays each scenario in each mode through each driver, several at a time: most of their time they wait."""

from __future__ import annotations

import itertools
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence

import attrs

from benchmarks.crash_test.calls import Mode, play
from benchmarks.crash_test.profile import Profile
from benchmarks.crash_test.scenarios import OPENAI, Scenario
from benchmarks.crash_test.stage import Stage
from benchmarks.crash_test.verdicts import Grade, Verdict
from turnout_io.sandbox import Sandbox

__all__ = ["Cell", "cells_of", "play_cell", "play_cells"]

HANGS_AFTER = 300.0  # seconds of the full profile: a scenario that has not ended by then never will


@attrs.frozen
class Cell:
    scenario: Scenario
    driver: str
    mode: Mode

    def __str__(self) -> str:
        return f"{self.scenario.name}, {self.mode}, {self.driver}"


def cells_of(scenarios: Sequence[Scenario], drivers: Sequence[str], modes: Sequence[Mode]) -> list[Cell]:
    """Every cell that means something: a fault that only a stream can meet needs one."""
    product = itertools.product(scenarios, drivers, modes)
    return [Cell(*parts) for parts in product if parts[2].streams or not parts[0].streamed]


def play_cells(cells: Iterable[Cell], profile: Profile, jobs: int, told: Callable[[Cell, Verdict], None]) -> None:
    """Play all, `jobs` at a time; `told` hears of each as it ends, in this thread."""
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    played: queue.SimpleQueue[tuple[Cell, Verdict]] = queue.SimpleQueue()
    # The long ones first, so that none of them is left to run alone at the end.
    left = sorted(cells, key=lambda cell: -cell.scenario.expected.within if cell.scenario.plot is None else -1e9)
    for cell in left:
        waiting.put(cell)
    # Daemons: one that hangs, which is a finding, must not keep the process.
    for _ in range(jobs):
        threading.Thread(target=_play_from, args=(waiting, played, profile), daemon=True).start()
    missing = dict.fromkeys(left)
    while missing:
        try:
            cell, verdict = played.get(timeout=profile.allowed(HANGS_AFTER))
        except queue.Empty:
            for cell in missing:
                told(cell, Verdict(Grade.FAIL, profile.allowed(HANGS_AFTER), ("it has not ended",)))
            return
        del missing[cell]
        told(cell, verdict)


def _play_from(
    waiting: queue.SimpleQueue[Cell], played: queue.SimpleQueue[tuple[Cell, Verdict]], profile: Profile
) -> None:
    while True:
        try:
            cell = waiting.get_nowait()
        except queue.Empty:
            return
        begun = time.monotonic()
        try:
            verdict = play_cell(cell, profile)
        except Exception:
            verdict = Verdict(Grade.FAIL, time.monotonic() - begun, (traceback.format_exc(),))
        played.put((cell, verdict))


def play_cell(cell: Cell, profile: Profile) -> Verdict:
    """Play one, on a sandbox of its own."""
    with Sandbox(token_interval=profile.token_interval) as sandbox:
        stage = Stage(sandbox=sandbox, profile=profile, mode=cell.mode, primary=OPENAI, fallback=cell.scenario.fallback)
        plot = cell.scenario.play(stage)
        verdict: Verdict = play(cell.driver, stage.providers, stage.policy, cell.mode, stage.request, plot)
        # The router is closed: what it began has ended on both sides.
        if not sandbox.wait(lambda server: server.open_connections == 0, 2.0):
            wrong = (*verdict.wrong, f"{sandbox.open_connections} connections were left open")
            return attrs.evolve(verdict, grade=Grade.FAIL, wrong=wrong)
        return verdict
