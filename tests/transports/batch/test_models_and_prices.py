"""`turnout batch`: rows without a model, and where prices come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.transports.batch.helpers import MODEL, numbered_input, write_input
from turnout_io.cli.app import cli


def command(*arguments: str | Path) -> tuple[int, str]:
    run = CliRunner().invoke(cli, ["batch", *map(str, arguments)])
    return run.exit_code, run.output


@pytest.mark.parametrize("row", ['{"custom_id": "a", "prompt": "x"}', '{"prompt": "x", "model": "gpt-4o-mini"}'])
def test_rows_that_name_no_model_are_refused_with_the_option(tmp_path: Path, row: str) -> None:
    source, target = write_input(tmp_path / "in.jsonl", ["", row]), tmp_path / "out.jsonl"
    code, said = command(source, target)
    assert (code, "line 2: " in said, "a model for all rows with -m PROVIDER/MODEL" in said) == (2, True, True), said
    assert not target.exists()
    assert command(source, target, "-m", MODEL, "--dry-run")[0] == 0
    assert not target.exists()


def test_costs_use_the_price_list_as_chat_does(tmp_path: Path) -> None:
    pytest.importorskip("genai_prices")
    source = numbered_input(tmp_path / "in.jsonl", 3)
    code, said = command(source, tmp_path / "out.jsonl", "-m", MODEL, "--dry-run")
    assert (code, "in cost" in said) == (0, True), said


def test_prices_of_the_settings_come_first(tmp_path: Path) -> None:
    source, settings = numbered_input(tmp_path / "in.jsonl", 1), tmp_path / "turnout.yaml"
    settings.write_text("runtime: {router: {prices: {gpt-4o-mini: {prompt: 0, completion: 1000000}}}}\n")
    code, said = command(source, tmp_path / "out.jsonl", "-m", MODEL, "--dry-run", "--config", settings)
    assert (code, "at most 5 in cost" in said) == (0, True), said


def test_a_price_that_lacks_a_field_names_it(tmp_path: Path) -> None:
    source, settings = numbered_input(tmp_path / "in.jsonl", 1), tmp_path / "turnout.yaml"
    settings.write_text("runtime: {router: {prices: {gpt-4o-mini: {prompt: 0.02}}}}\n")
    code, said = command(source, tmp_path / "out.jsonl", "-m", MODEL, "--config", settings)
    assert code == 1
    assert "prices.gpt-4o-mini: it needs completion, as in {prompt: …, completion: …}" in said
    assert "__init__" not in said
