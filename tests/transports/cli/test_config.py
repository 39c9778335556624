"""`turnout config`: one value of the file changes, and no other line."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.cli.terminal import Terminal
from turnout.config.values import SettingsError
from turnout_io.cli.defaults import KEYS, change_text

FILES = [
    "",
    "# only a comment\n",
    "cli:\n",
    "cli: # nothing yet",
    "cli: {}\n",
    "cli:\n  model: a/b # mine\nproviders: {}\n",
    "providers:\n  openai:\n    apiKey: ${KEY}\n# last\n",
    "cli:\n    system: |\n      Be brief.\n      Be kind.\n    model: 'a/b'\n# end\n",
    "cli: {model: a/b, log: true}\n",
    "cli:\n  model:\n  log: true\n",
    "cli:\n  fallbacks:\n    - a/b\n    - c/d\n  log: true\n",
    "runtime: {router: {maxRetries: 2}}",
]
values = st.one_of(st.booleans(), st.integers(1, 100), st.text(max_size=30), st.lists(st.text(max_size=9), max_size=3))


@given(st.sampled_from(FILES), st.sampled_from(KEYS), values)
def test_one_value_changes_and_all_others_stay(text: str, key: str, value: Any) -> None:
    try:
        changed = change_text(text, key, value)
    except SettingsError:
        return
    before, after = yaml.safe_load(text) or {}, yaml.safe_load(changed)
    assert after["cli"].pop(key) == value
    wanted = {**(before.get("cli") or {})}
    wanted.pop(key, None)
    assert after["cli"] == wanted
    assert {**after, "cli": None} == {**before, "cli": None}
    assert [line for line in text.splitlines() if line.lstrip().startswith("#")] == [
        line for line in changed.splitlines() if line.lstrip().startswith("#") and line in text
    ]


@pytest.mark.parametrize("text", FILES)
def test_a_model_can_be_set_in_every_file(text: str) -> None:
    assert yaml.safe_load(change_text(text, "model", "openai/gpt-4o-mini"))["cli"]["model"] == "openai/gpt-4o-mini"


@pytest.mark.parametrize("text", ["cli: [1", "cli: [1]", "[]", "just text"])
def test_a_file_that_cannot_be_changed_is_left_alone(text: str) -> None:
    with pytest.raises(SettingsError):
        change_text(text, "model", "a/b")


@pytest.mark.full
def test_set_show_and_path_agree(bare: Terminal) -> None:
    assert bare.type("config", "set", "model", "openai/gpt-4o-mini").returncode == 0
    shown = bare.type("config", "show")
    assert shown.stdout == "cli:\n  model: openai/gpt-4o-mini\n"
    assert bare.type("config", "path").stdout.strip() == str(bare.settings / "config.yaml")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("modle", "a/b"), "did you mean model?"),
        (("model", "gpt"), "a model is written provider/model"),
        (("timeout", "soon"), "a duration such as 55s"),
        (("timeout", "0"), "timeout: more than 0 seconds"),
        (("log", "maybe"), "true or false was expected"),
        (("fallbacks", "[a/b, 'c/d,e/f']"), "give each model as an item"),
    ],
)
def test_a_wrong_value_is_refused_before_it_is_written(bare: Terminal, words: tuple[str, ...], wanted: str) -> None:
    done = bare.check("config", "set", *words)
    assert done.returncode == 2
    assert wanted in done.stderr
    assert not bare.settings.exists()


def test_fallbacks_can_be_given_with_commas(bare: Terminal) -> None:
    assert bare.check("config", "set", "fallbacks", "openai/gpt-4o, groq/llama-3.1-8b-instant").returncode == 0
    text = (bare.settings / "config.yaml").read_text("utf-8")
    assert yaml.safe_load(text)["cli"]["fallbacks"] == ["openai/gpt-4o", "groq/llama-3.1-8b-instant"]


def test_a_file_that_is_no_yaml_is_named_with_its_line(bare: Terminal) -> None:
    bare.configure("cli:\n  model: {a\n")
    done = bare.check("config", "set", "model", "openai/gpt-4o")
    assert done.returncode == 1
    assert f"{bare.settings / 'config.yaml'}, line " in done.stderr


def test_a_draft_that_cannot_be_put_in_place_is_removed(bare: Terminal) -> None:
    (bare.settings / "config.yaml").mkdir(parents=True)
    done = bare.check("config", "set", "model", "openai/gpt-4o")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{bare.settings / 'config.yaml'}: Is a directory" in done.stderr
    assert [path.name for path in bare.settings.iterdir()] == ["config.yaml"]


def test_the_file_is_shown_without_its_keys(bare: Terminal) -> None:
    bare.configure(
        "# mine\n"
        "providers:\n"
        "  openai: {apiKey: sk-secret-1, endpoint: 'http://me:sk-secret-2@127.0.0.1/v1'}\n"
        "  groq:\n    apiKeys:\n      - sk-secret-3\n      - ${GROQ_API_KEY}\n"
        "  mistral: {headers: {Authorization: 'Bearer sk-secret-4', x-team: red-team}}\n"
        "serve:\n  keys:\n    - {name: team-a, key: sk-secret-5, tokensPerMinute: 600000}\n"
    )
    done = bare.check("config", "show")
    assert done.returncode == 0
    assert "secret" not in done.stdout
    for text in ("# mine\n", "${GROQ_API_KEY}", "red-team", "600000", "apiKey: ***", "name: team-a"):
        assert text in done.stdout
    assert "keys are shown as ***" in done.stderr
    bare.configure("cli:\n  model: openai/gpt-4o-mini\n")
    done = bare.check("config", "show")
    assert (done.stdout, done.stderr) == ("cli:\n  model: openai/gpt-4o-mini\n", "")


def test_a_file_that_is_no_yaml_is_not_shown(bare: Terminal) -> None:
    """Its keys could not be found."""
    bare.configure("providers: {openai: {apiKey: sk-secret-1")
    done = bare.check("config", "show")
    assert (done.returncode, done.stdout) == (1, "")
    assert "line 1: this is not YAML" in done.stderr
    assert "secret" not in done.stderr


def test_the_example_is_a_configuration(bare: Terminal) -> None:
    done = bare.check("config", "example")
    assert "openai" in yaml.safe_load(done.stdout)["providers"]
