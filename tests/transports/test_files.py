"""Settings from real files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from turnout.config.settings import SettingsError
from turnout.providers import CATALOG
from turnout_io.files import load_settings, placed
from turnout_io.sync import Router

ROOT = Path(__file__).resolve().parents[2]
MISSION = """
OPENAI_API_KEY OPENAI_ENDPOINT OPENAI_ORG OPENAI_API_VERSION GEMINI_API_KEY GEMINI_ENDPOINT VERTEX_PROJECT
VERTEX_LOCATION GLM4_API_KEY GLM4_ENDPOINT OPENROUTER_API_KEY OPENROUTER_ENDPOINT SILICONFLOW_API_KEY
SILICONFLOW_ENDPOINT CEREBRAS_API_KEY CEREBRAS_ENDPOINT MODELSCOPE_API_KEY MODELSCOPE_ENDPOINT GROQ_API_KEY
GROQ_ENDPOINT OLLAMA_ENDPOINT
""".split()


@pytest.mark.parametrize("wrong", ["B C=2", "export D='x", 'G="a"b'])
def test_a_wrong_line_of_variables_is_named(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.env"
    path.write_text(f"A=sk-secret-value\n\n{wrong}\n")
    with pytest.raises(SettingsError, match=r"keys\.env, line 3: a line such as NAME=value was expected") as caught:
        load_settings(dotenv=path, environ={})
    assert "secret" not in str(caught.value)


def test_a_wrong_line_of_the_default_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("of another program\nGEMINI_API_KEY=k\n")
    (gemini,) = (entry for entry in load_settings(environ={}).providers if entry.name == "gemini")
    assert gemini.api_key == "k"


def test_the_environment_comes_before_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("OPENAI_API_KEY=from-file\nGEMINI_API_KEY='g'  # a comment\n")
    settings = load_settings(dotenv=dotenv, environ={"OPENAI_API_KEY": "from-env"})
    keys = {provider.name: provider.api_key for provider in settings.providers}
    assert (keys["openai"], keys["gemini"], keys["groq"]) == ("from-env", "g", None)


def test_files_may_be_absent_or_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}).router == {}
    with pytest.raises(SettingsError, match=r"dotenv: there is no file nofile\.env"):
        load_settings(dotenv="nofile.env", environ={})
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert load_settings(empty, dotenv=None, environ={}).router == {}
    with pytest.raises(FileNotFoundError):
        load_settings(tmp_path / "none.yaml", environ={})


@pytest.mark.parametrize(("text", "told"), [("a: [1", "line 1: this is not YAML"), ("- 1", "a mapping was expected")])
def test_a_broken_file_is_one_clear_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environ={})
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_default_file_is_good() -> None:
    settings = load_settings(
        ROOT / "transports" / "turnout_io" / "examples" / "config.yaml", dotenv=None, environ={"GROQ_API_KEY": "k"}
    )
    assert settings.policy().timeout == 55.0
    assert {provider.name for provider in settings.providers} == set(CATALOG)
    assert next(provider.api_key for provider in settings.providers if provider.name == "groq") == "k"


def test_the_example_lists_every_variable() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    listed = re.findall(r"^([A-Z0-9_]+)=", text, re.MULTILINE)
    assert len(set(listed)) == len(listed)
    assert set(MISSION) <= set(listed)
    known = set()
    for entry in CATALOG.values():
        known |= {*entry.key_env, *entry.base_url_env, *(name for names in entry.option_env.values() for name in names)}
    assert set(listed) <= known


def test_an_error_about_a_setting_has_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "turnout.yaml"
    path.write_text("runtime:\n  router:\n    limits:\n      openai: {rpm: 5}\n      groq: {rpn: 5}\n", "utf-8")
    with pytest.raises(SettingsError, match=rf"^{path}, line [45]: "):
        Router.from_config(path, dotenv=None, environ={"GROQ_API_KEY": "k"})
    path.write_text("providers:\n  openai:\n    apiKey: k\n    apikey: k\n", "utf-8")
    with pytest.raises(SettingsError, match=rf"^{path}, line 4: providers.openai.apikey: no such setting"):
        load_settings(path, dotenv=None, environ={})


def test_an_error_about_another_place_has_no_line(tmp_path: Path) -> None:
    path = tmp_path / "turnout.yaml"
    path.write_text("providers:\n  openai: {}\n", "utf-8")
    with pytest.raises(SettingsError, match=r"^nothing\.here: wrong$"), placed(path):
        raise SettingsError("nothing.here: wrong")


@pytest.mark.parametrize(
    ("setting", "line", "told"),
    [
        ("maxConcurrency: -1", 4, "runtime.router: Policy.max_concurrency must be at least 1"),
        ("rules: {rate-limitt: fallback}", 4, "runtime.router: Policy.rules: 'rate-limitt' is not a failure class"),
        ("rules:\n      rate-limitt: fallback", 5, "runtime.router: Policy.rules: 'rate-limitt' is not a failure"),
        ("rules:\n      rate-limit: fallbackk", 5, "runtime.router: Policy.rules['rate-limit']: 'fallbackk' is not"),
        (
            "limits:\n      groq:\n        requestsPerMinute: 0",
            6,
            "runtime.router.limits.groq: Limit.requests_per_minute",
        ),
        (
            "limits:\n      groq:\n        requestsPerMinutee: 1",
            6,
            "runtime.router.limits.groq.requestsPerMinutee: no such",
        ),
        ("providerTimeout: soon", 4, "runtime.router.providerTimeout: a duration such as"),
        ("provider_timeout: soon", 4, "runtime.router.provider_timeout: a duration such as"),
    ],
)
def test_a_wrong_setting_has_its_own_line_and_spelling(tmp_path: Path, setting: str, line: int, told: str) -> None:
    path = tmp_path / "turnout.yaml"
    path.write_text(f"runtime:\n  router:\n    maxRetries: 1\n    {setting}\n", "utf-8")
    with pytest.raises(SettingsError) as caught, Router.from_config(path, dotenv=None):
        pass
    assert str(caught.value).startswith(f"{path}, line {line}: {told}")


def test_a_wrong_option_of_a_provider_has_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "turnout.yaml"
    path.write_text("providers:\n  openai:\n    apiKey: k\n    unsupported: dropp\n", "utf-8")
    with pytest.raises(SettingsError, match=r"turnout\.yaml, line 4: providers\.openai .*unsupported must be"):
        Router.from_config(path, dotenv=None).close()
