"""Every benchmark still runs: with tiny numbers here, and it says what it measures and in which unit."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import least_cpu, print_table
from tests.sansio.providers.recordings import ROOT

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SMALL = {
    "chunks": "--rounds 1 --chunks 20",
    "framing": "--rounds 1 --events 20 --large 1000000",
    "http1": "--rounds 1 --chunks 20 --exchanges 2",
    "routing": "--rounds 1 --chunks 20 --calls 100",
    "simulate": "--rounds 1 --calls 50",
}


def benchmark(name: str) -> Any:
    package = (FOLDER / name).is_dir()
    return importlib.import_module(f"benchmarks.{name}.__main__" if package else f"benchmarks.{name}")


def names() -> list[str]:
    """The benchmarks that are programs of their own; the suite and its parts are tested beside this."""
    suite = ("__main__", "environments", "clients", "work")
    files = [path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text("utf-8")]
    found = [*files, *(path.parent.name for path in FOLDER.glob("*/__main__.py"))]
    return sorted(name for name in found if name not in suite)


def test_every_benchmark_is_run_by_a_test() -> None:
    tested_elsewhere = [
        "batch_rows",
        "crash_test",
        "fleet",
        "fuzz",
        "gateway",
        "ray_rows",
        "recordings",
        "sdks",
        "soak",
    ]
    assert names() == sorted([*SMALL, *tested_elsewhere, "strategies", "surfaces"])


@pytest.mark.parametrize("name", names())
def test_help_says_what_is_measured(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark(name).main(["--help"])
    told = capsys.readouterr().out
    assert stopped.value.code == 0
    assert f"`python -m benchmarks.{name}`" in told
    assert len(told.partition("\n\n")[2].partition("options:")[0].split()) > 20


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_prints_a_table_of_numbers_with_their_unit(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark(name).main(SMALL[name].split()) == 0
    tables = [table for table in capsys.readouterr().out.split("\n\n") if table.count("\n") > 2]
    assert tables
    for table in tables:
        title, columns, *rows = table.splitlines()
        assert re.match(r"(µs|ms) of CPU ", title)
        for row in rows:
            cells = re.split(r"  +", row)
            assert len(cells) == len(re.split(r"  +", columns)), row
            # The first is a cost; a later one may be a difference, which so few rounds leave to chance.
            assert float(cells[1].replace(",", "")) > 0, row
            assert all(re.fullmatch(r"-?[\d,]+(\.\d+)?", cell) for cell in cells[1:]), row


def test_recordings_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    code = benchmark("recordings").main(["--folder", "cerebras"])
    told = capsys.readouterr().out
    if ROOT.is_dir():
        assert re.search(r"cerebras +(\d+)/\1 +(\d+)/\2", told)
        assert code == 0
    else:
        assert told == f"no recordings in {ROOT}\n"
        assert code == 1


def test_the_least_of_the_rounds_counts() -> None:
    rounds: list[int] = []

    def run() -> None:
        rounds.append(sum(range(1_000_000 if not rounds else 10)))

    assert least_cpu(run, 5) < 0.005
    assert len(rounds) == 5


def test_a_table_has_words_on_the_left_and_numbers_on_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Grams", ("fruit", "weight"), [("fig", "5"), ("melon", "1500")])
    assert capsys.readouterr().out == "Grams\nfruit  weight\nfig         5\nmelon    1500\n\n"
