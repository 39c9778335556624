"""`turnout batch --sandbox`: answers without a key, which no later run takes for answers of a provider."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.transports.batch.helpers import MODEL, by_id, numbered_input
from turnout_io.cli.app import cli

pytestmark = pytest.mark.slow


def command(*arguments: str | Path) -> tuple[int, str]:
    run = CliRunner().invoke(cli, ["batch", *map(str, arguments)])
    return run.exit_code, run.output


@pytest.mark.parametrize("models", [(), ("-m", MODEL)])
def test_invented_answers_stay_apart(tmp_path: Path, models: tuple[str, ...]) -> None:
    source, target = numbered_input(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    code, said = command(source, target, "--sandbox", *models)
    assert (code, "3 answered" in said) == (0, True), said
    assert len(by_id(target)) == 3
    code, said = command(source, target, "--sandbox", *models)
    assert (code, "0 to send" in said) == (0, True), said
    code, said = command(source, target, *models, "--dry-run")
    assert (code, "3 of 3 rows are other requests" in said) == (2, True), said


def test_a_sandbox_has_no_batch_api(tmp_path: Path) -> None:
    code, said = command(numbered_input(tmp_path / "in.jsonl", 1), tmp_path / "o", "--sandbox", "--via", "provider")
    assert (code, "--sandbox" in said) == (2, True), said
