"""The pages about fleets and batches: their rights and settings are those of the code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import attrs
import pytest
import yaml

from tests.transports.batch.helpers import env_file, run_batch
from tests.transports.shared.test_link import ACL
from turnout.config.shared_settings import SharedSettings, read_shared
from turnout_io.cli.commands.batch import batch
from turnout_sandbox import Sandbox

DOCS = Path(__file__).parents[2] / "docs"
FLEET, BATCH = ((DOCS / f"{name}.md").read_text("utf-8") for name in ("fleet", "batch"))


def test_the_rights_are_those_that_a_test_proves_enough() -> None:
    (line,) = re.findall(r"^ACL SETUSER turnout (.*)$", FLEET, re.MULTILINE)
    assert line == ACL


def test_the_settings_are_read() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", FLEET, re.DOTALL)
    section = yaml.safe_load(text)["shared"]
    settings = read_shared({**section, "url": "valkey://127.0.0.1"}, "shared")
    assert settings is not None
    assert settings.namespace == "shop"
    for field in attrs.fields(SharedSettings):
        name = re.sub(r"_(\w)", lambda found: found[1].upper(), field.name)
        assert f"`{name}`" in FLEET, name


def test_the_options_of_batches_exist() -> None:
    options = {option for parameter in batch.params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", BATCH)) <= options


@pytest.mark.full
def test_the_first_command_answers_the_rows_of_the_page_once(tmp_path: Path) -> None:
    rows = next(block for block in re.findall(r"```json\n(.*?)```", BATCH, re.DOTALL) if "custom_id" in block)
    (tmp_path / "in.jsonl").write_text(rows)
    (command, *_) = re.findall(r"^\$ turnout batch (.*)$", BATCH, re.MULTILINE)
    words = [str(tmp_path / word) if word.endswith(".jsonl") else word for word in shlex.split(command)]
    with Sandbox(token_interval=0.0) as sandbox:
        for _ in range(2):  # the second run resumes, and sends nothing
            code, output = run_batch(*words, "--env-file", env_file(sandbox, tmp_path))
            assert code == 0, output
        assert len(sandbox.requests) == rows.count("\n")
    answers = (tmp_path / "out.jsonl").read_text().splitlines()
    shown = json.loads(next(line for line in BATCH.splitlines() if line.startswith('{"id": "batch_req_1"')))
    for answer in map(json.loads, answers):
        assert set(answer) == set(shown)
        assert set(answer["response"]) == set(shown["response"])


def test_the_programs_that_need_a_server_are_python() -> None:
    programs = re.findall(r"```py\n(.*?)```", FLEET + BATCH, re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        compile(program, "page", "exec")
