"""The README's programs run as they stand, against the sandbox; its table is the catalog's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import yaml

from turnout.config.settings import Settings
from turnout.providers import CATALOG, ModelRule, OpenAICompat, ProviderSpec
from turnout.simulation import read_scenario, simulate
from turnout_io.cli.providers import markdown_matrix
from turnout_io.sandbox import Fault, Sandbox

README = Path(__file__).resolve().parents[2] / "README.md"
PROGRAMS = re.findall(r"<!-- run: \w+ -->\n```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def run(program: str, environ: dict[str, str], tmp_path: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**clean, **environ, "PYTHONUTF8": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_of_the_readme_runs(program: str, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        acme = {"ACME_API_KEY": "k", "ACME_ENDPOINT": sandbox.url("openai-compatible")}
        assert run(program, {**sandbox.environ(), **acme}, tmp_path).strip()


@pytest.mark.slow
def test_a_new_vendor_is_one_entry_of_under_fifteen_lines(tmp_path: Path) -> None:
    """The README's entry is asked as it says, and every field that the README names is there."""
    (program,) = (program for program in PROGRAMS if "acme" in program)
    (entry,) = re.findall(r"acme = ProviderSpec\(\n.*?\n\)\n", program, re.DOTALL)
    assert entry.count("\n") < 15
    with Sandbox() as sandbox:
        acme = {"ACME_API_KEY": "secret", "ACME_ENDPOINT": sandbox.url("openai-compatible")}
        assert "track" in run(program, acme, tmp_path)
        (request,) = sandbox.requests
    assert request.headers["authorization"] == "Bearer secret"
    assert {name: request.body[name] for name in ("model", "max_completion_tokens", "random_seed")} == {
        "model": "acme-1",
        "max_completion_tokens": 50,
        "random_seed": 7,
    }
    kinds = {"OpenAICompat": OpenAICompat, "ModelRule": ModelRule, "ProviderSpec": ProviderSpec}
    told = re.findall(r"`(OpenAICompat|ModelRule|ProviderSpec)\.(\w+)`", README.read_text("utf-8"))
    assert len(told) > 10
    for kind, field in told:
        assert field in attrs.fields_dict(kinds[kind]), f"{kind}.{field}"


def test_there_are_programs_for_each_kind_of_user() -> None:
    for driver in ("sync", "trio", "asyncio"):
        assert any(f"from turnout_io.{driver} import Router" in program for program in PROGRAMS)
    assert len(PROGRAMS) == README.read_text("utf-8").count("```python"), "a program that is not run"


@pytest.mark.slow
@pytest.mark.parametrize("program", [p for p in PROGRAMS if "gemini-2.5-flash" in p][:2], ids=["sync", "trio"])
def test_gemini_answers_when_openai_fails_or_has_no_key(program: str, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        sandbox.script("openai", Fault(status=401), forever=True)
        assert run(program, sandbox.environ(), tmp_path).startswith("gemini ")
        environ = {name: value for name, value in sandbox.environ().items() if name.startswith("GEMINI")}
        assert run(program, environ, tmp_path).startswith("gemini ")


def test_the_table_of_providers_is_the_catalog() -> None:
    assert f"<!-- matrix -->\n{markdown_matrix()}\n" in README.read_text("utf-8")


@pytest.mark.slow
def test_the_simulated_outage_is_what_the_readme_shows() -> None:
    outage = read_scenario(yaml.safe_load((README.parent / "scenarios" / "outage.yaml").read_text("utf-8")))
    assert f"--trace calls.jsonl\n{simulate(outage)}\n```" in README.read_text("utf-8")


def test_the_examples_of_settings_name_every_provider() -> None:
    """The first name of each variable, in the order of the catalog; and each provider of the configuration file."""
    example = re.findall(r"^([A-Z0-9_]+)=", (README.parent / ".env.example").read_text("utf-8"), re.MULTILINE)
    wanted = {names[0] for entry in CATALOG.values() for names in entry.option_env.values()}
    wanted |= {entry.base_url_env[0] for entry in CATALOG.values()}
    wanted |= {entry.key_env[0] for entry in CATALOG.values() if entry.name != "ollama"}
    assert set(example) == wanted
    config = yaml.safe_load((README.parent / "config" / "default.yaml").read_text("utf-8"))
    assert list(config["providers"]) == list(CATALOG)
    assert Settings.from_mapping(config, {})
