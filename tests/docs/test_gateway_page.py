"""The page about the gateway: its commands run, its configuration is read, its tables name what exists."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import attrs
import pytest
import yaml

from tests.transports.serve.test_command import running
from turnout.config.settings import Settings
from turnout.config.values import SettingsError
from turnout_io.serve import GatewaySettings, read_gateway_settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "gateway.md").read_text("utf-8")


def blocks(language: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_run() -> None:
    commands = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ curl")]
    assert len(commands) >= 5
    with running("--sandbox", "--listen", "127.0.0.1:0") as gateway:
        for command in commands:
            words = shlex.split(command.replace(":8080", f":{gateway.port}"))
            done = subprocess.run([*words, "--fail"], capture_output=True, text=True, timeout=60, check=True)
            assert done.stdout


def test_the_configuration_is_read() -> None:
    (text,) = blocks("yaml")
    settings = Settings.from_mapping(yaml.safe_load(text), {"TEAM_A_KEY": "k" * 32, "METRICS_KEY": "m" * 32})
    gateway = read_gateway_settings(settings.serve)
    assert set(gateway.aliases) == {"fast", "claude-sonnet-4-5", "embed"}
    assert [key.name for key in gateway.keys] == ["team-a", "ci", "prometheus"]


def test_the_unit_of_systemd_fits_the_settings() -> None:
    (text,) = blocks("ini")
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    service = unit["Service"]
    assert service["ExecStart"].split()[1:3] == ["serve", "--config"]
    assert int(service["TimeoutStopSec"]) > GatewaySettings().grace + 3
    assert f"budgetFile: /var/lib/{service['StateDirectory']}/" in blocks("yaml")[0]
    assert service["Restart"] == "on-failure"


def test_a_file_of_litellm_has_the_same_names_here() -> None:
    page = (DOCS / "coming-from" / "litellm.md").read_text("utf-8")
    theirs, ours = map(yaml.safe_load, blocks("yaml", page))
    settings = Settings.from_mapping(ours, {"AZURE_API_KEY": "a", "OPENAI_API_KEY": "b", "GATEWAY_KEY": "k" * 32})
    gateway = read_gateway_settings(settings.serve)
    assert set(gateway.aliases) == {model["model_name"] for model in theirs["model_list"]}
    table = page.partition("| LiteLLM's file |")[2].partition("\n\n")[0]
    for section in theirs:
        assert f"`{section}" in table
        with pytest.raises(SettingsError, match=r"docs/coming-from/litellm\.md"):
            Settings.from_mapping({section: theirs[section]}, {})


def test_the_table_names_settings_with_their_defaults() -> None:
    table = PAGE.partition("| setting | default |")[2].partition("\n\n")[0]
    named = {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    known = {re.sub(r"_(\w)", lambda found: found[1].upper(), field.name) for field in attrs.fields(GatewaySettings)}
    assert named <= known
    assert {"listen", "headAfter", "grace", "maxBody"} <= named


def test_the_errors_of_the_table_exist() -> None:
    source = "".join(
        path.read_text("utf-8")
        for folder in ("sansio/turnout/serving", "transports/turnout_io/serve")
        for path in (Path(__file__).parents[2] / folder).rglob("*.py")
    )
    table = PAGE.partition("| error | status |")[2].partition("\n\n")[0]
    for row in table.splitlines()[1:]:
        for code in re.findall(r"`(\w+)`", row):
            assert f'"{code}"' in source, code


def test_the_first_answer_is_json() -> None:
    bodies = [shlex.split(line)[-1] for block in blocks("console") for line in block.splitlines() if " -d " in line]
    assert all(json.loads(body)["model"] for body in bodies)
