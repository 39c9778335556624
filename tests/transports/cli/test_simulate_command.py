"""`turnout simulate` as a user meets it: processes, with nothing in common but the scenario."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.transports.cli.terminal import Terminal
from turnout_io.cli.commands.simulate import _progress_lines

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "transports" / "turnout_io" / "scenarios"
SCENARIOS = sorted(FOLDER.glob("*.yaml"))


def turnout(*words: str, hash_seed: str = "0", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from turnout_io.cli import main; main()", *words],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONUTF8": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def short(path: Path, folder: Path) -> Path:
    """The scenario with fewer calls, for what does not depend on their number."""
    copy = folder / path.name
    copy.write_text(path.read_text("utf-8") + "\ncalls: 300\n", "utf-8")
    return copy


@pytest.mark.full
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_two_processes_with_one_seed_agree_byte_for_byte(path: Path, tmp_path: Path) -> None:
    scenario = str(short(path, tmp_path))
    told = []
    for hash_seed in ("1", "2"):
        traces = tmp_path / f"{hash_seed}.jsonl"
        done = turnout("simulate", scenario, "--json", "--trace", str(traces), hash_seed=hash_seed)
        assert done.returncode == 0, done.stderr
        told.append((done.stdout, traces.read_bytes()))
    assert told[0] == told[1]
    assert json.loads(told[0][0])["calls"] == 300
    assert told[0][1].count(b"\n") == 300


@pytest.mark.full
def test_the_report_is_for_people_and_its_traces_can_be_replayed(tmp_path: Path) -> None:
    scenario = str(short(FOLDER / "brown-out.yaml", tmp_path))
    done = turnout("simulate", scenario, "--seed", "5", "--trace", "t.jsonl", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "answered          300 of 300 calls, 100.00%"
    assert any(line.startswith("east/llama-3.3-70b ") for line in lines)
    again = turnout("replay", "t.jsonl", folder=tmp_path)
    assert again.stdout == "300 calls decided again: every decision is the same\n"


def test_a_wrong_scenario_is_one_line_that_says_where(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("models: [a/m]\nproviders: {a: {faults: [{fail: 503, until: soon}]}}\n")
    done = turnout("simulate", str(path))
    assert done.returncode == 1
    told = "providers.a.faults[0].until: a duration such as 55s, 50ms or 1m30s was expected, not 'soon'"
    assert done.stderr == f"turnout: {path}: {told}\n"


def test_the_progress_without_a_terminal_is_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    show = _progress_lines(lambda: now[0])
    for seconds, part in ((1, 0.1), (11, 0.25), (12, 0.3), (25, 0.8)):
        now[0] = seconds
        show(part)
    lines = "turnout: 25% of the scenario is simulated\nturnout: 80% of the scenario is simulated\n"
    assert capsys.readouterr() == ("", lines)


@pytest.mark.slow
def test_the_progress_on_a_terminal_is_a_bar_beside_the_report(bare: Terminal, tmp_path: Path) -> None:
    scenario = short(FOLDER / "outage.yaml", tmp_path)
    done = bare.type("simulate", str(scenario), variables={"FORCE_COLOR": "1"})
    assert "simulating" in done.stderr
    assert done.stdout.startswith("answered          300 of 300 calls")
