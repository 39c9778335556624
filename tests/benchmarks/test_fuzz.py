"""The search for bytes that a reader cannot bear: it finds planted faults, and no others in a short run."""

from __future__ import annotations

import pytest

from benchmarks.fuzz.__main__ import main
from benchmarks.fuzz.engine import search, search_in_bulk
from benchmarks.fuzz.targets import TARGETS, Finding, Target


@pytest.mark.parametrize("name", list(TARGETS))
def test_seed_is_read(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].check(seed, [seed[:7], seed[7:]])


@pytest.mark.parametrize("name", list(TARGETS))
def test_short_search_finds_nothing(name: str) -> None:
    assert search(TARGETS[name], cases=5, seed=0).cases >= 5
    assert search_in_bulk(TARGETS[name], seconds=0.0, seed=0).cases == 50


def _untyped(pieces: list[bytes]) -> None:
    if b"9" * 400 in b"".join(pieces):
        raise OverflowError


def test_error_of_another_type_is_found() -> None:
    with pytest.raises(OverflowError):
        search(Target("planted", _untyped, (b"a",)), cases=500, seed=0)
    with pytest.raises(OverflowError) as caught:
        search_in_bulk(Target("planted", _untyped, (b"a",)), seconds=3600.0, seed=0)
    assert "input: b'" in caught.value.__notes__[0]


def test_result_that_depends_on_the_pieces_is_found() -> None:
    with pytest.raises(Finding, match="in pieces"):
        search(Target("planted", len, (b"abcdef",)), cases=50, seed=0)


def test_command_names_the_targets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ndjson", "--bulk", "--seconds", "0"]) == 0
    assert "ndjson: 50 cases" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["no-such-target"])
    assert "sse" in capsys.readouterr().err
