"""Examples of the documentation that promise more than to run."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
import yaml

from tests.docs.pages import README, ROOT, programs, run
from turnout.config.settings import Settings
from turnout.errors import NotFound, RateLimited
from turnout.providers import CATALOG, ModelRule, OpenAICompat, ProviderSpec
from turnout.simulation import read_scenario, simulate
from turnout_io.cli.commands.providers import markdown_matrix
from turnout_io.sandbox import Fault, Sandbox, read_script
from turnout_io.sync import Router

INSTALLED = ROOT / "transports" / "turnout_io"
PROVIDER_PAGE = ROOT / "docs" / "extend" / "provider.md"


@pytest.mark.full
def test_new_vendor_is_one_entry_of_under_fifteen_lines(tmp_path: Path) -> None:
    """The request has the names of settings that the entry gives them."""
    (program,) = (program.code for program in programs(PROVIDER_PAGE))
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


def test_fields_of_the_provider_page_exist() -> None:
    kinds = {"OpenAICompat": OpenAICompat, "ModelRule": ModelRule, "ProviderSpec": ProviderSpec}
    named = re.findall(r"`(OpenAICompat|ModelRule|ProviderSpec)\.(\w+)`", PROVIDER_PAGE.read_text("utf-8"))
    assert len(named) > 10
    for kind, field in named:
        assert field in attrs.fields_dict(kinds[kind]), f"{kind}.{field}"


@pytest.mark.full
def test_gemini_answers_when_openai_fails_or_has_no_key(tmp_path: Path) -> None:
    program = next(program.code for program in programs(README) if "fallbacks" in program.code)
    with Sandbox() as sandbox:
        sandbox.script("openai", Fault(status=401), forever=True)
        assert run(program, sandbox.environ(), tmp_path).startswith("gemini ")
        environ = {name: value for name, value in sandbox.environ().items() if name.startswith("GEMINI")}
        assert run(program, environ, tmp_path).startswith("gemini ")


def test_table_of_providers_is_the_catalog() -> None:
    page = (ROOT / "docs" / "reference" / "providers.md").read_text("utf-8")
    assert f"<!-- matrix -->\n{markdown_matrix()}\n" in page


@pytest.mark.full
def test_simulated_outage_is_what_the_page_shows() -> None:
    outage = read_scenario(yaml.safe_load((INSTALLED / "scenarios" / "outage.yaml").read_text("utf-8")))
    page = (ROOT / "docs" / "operate" / "simulation.md").read_text("utf-8")
    assert f"--trace calls.jsonl\n{simulate(outage)}\n```" in page


def test_examples_of_settings_name_every_provider() -> None:
    """The first name of each variable, in the order of the catalog; and each provider of the configuration file."""
    example = re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
    wanted = {names[0] for entry in CATALOG.values() for names in entry.option_env.values()}
    wanted |= {entry.base_url_env[0] for entry in CATALOG.values()}
    wanted |= {entry.key_env[0] for entry in CATALOG.values() if entry.name != "ollama"}
    assert set(example) == wanted
    config = yaml.safe_load((INSTALLED / "examples" / "config.yaml").read_text("utf-8"))
    assert list(config["providers"]) == list(CATALOG)
    assert Settings.from_mapping(config, {})


def test_configuration_page_is_read() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    settings = Settings.from_mapping(yaml.safe_load(text), {"OPENAI_API_KEY": "k"})
    assert settings.policy().on_interrupt == "restart"


def test_the_script_of_the_sandbox_page_is_played(tmp_path: Path) -> None:
    text = (ROOT / "docs/sandbox.md").read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    file = tmp_path / "faults.yaml"
    file.write_text(text, "utf-8")
    script = read_script(file)
    with Sandbox() as sandbox, Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0) as router:
        for provider, entry in script.items():
            sandbox.script(provider, *entry.faults, forever=entry.forever)
            if entry.answer is not None:
                sandbox.answer(provider, entry.answer)
        with pytest.raises(NotFound):
            router.chat("gemini/gemini-2.5-flash", "Hello")
        with pytest.raises(RateLimited):
            router.chat("openai/gpt-4o-mini", "Hello")
        assert router.chat("ollama/tiny", "Hello").text == "Always this."
