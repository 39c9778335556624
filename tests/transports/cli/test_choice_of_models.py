"""No request goes to a provider without the user's choice: the model of chat, and the message if there is none."""

from __future__ import annotations

import pytest

from tests.transports.cli.terminal import Terminal
from turnout_io.sandbox import Fault, Sandbox


def test_without_any_key_nothing_is_sent_and_the_variables_are_named(bare: Terminal) -> None:
    done = bare.type("chat", "hello")
    assert (done.returncode, done.stdout) == (1, "")
    for words in ("OPENAI_API_KEY", "-m openai/gpt-4o-mini", "turnout providers", "--sandbox"):
        assert words in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 88


def test_the_sandbox_answers_only_if_the_option_is_given(bare: Terminal) -> None:
    done = bare.check("chat", "hello", "--sandbox", "--no-log")
    assert done.returncode == 0
    assert done.stdout.strip()
    assert done.stderr == ""


def test_with_one_key_and_no_model_the_choice_is_listed(bare: Terminal) -> None:
    done = bare.check("chat", "hello", variables={"OPENAI_API_KEY": "sk-1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[1:] == [
        "  openai/gpt-4o-mini",
        "Give one with -m, or set a default: turnout config set model openai/gpt-4o-mini",
    ]


def test_with_all_keys_no_provider_receives_a_request_that_nobody_chose(terminal: Terminal, sandbox: Sandbox) -> None:
    done = terminal.check("chat", "hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert "  anthropic/claude-haiku-4-5\n" in done.stderr
    assert sandbox.requests == ()


def test_a_provider_and_a_route_of_the_config_file_are_listed(bare: Terminal) -> None:
    bare.configure(
        "providers:\n  mine: {kind: openai-compatible, endpoint: 'http://127.0.0.1:9/v1', apiKey: k}\n"
        "routes:\n  fast: {choices: [mine/m]}\n"
    )
    done = bare.check("chat", "hello")
    assert done.returncode == 2
    assert "  route/fast\n" in done.stderr
    assert "  mine/MODEL  (turnout models mine lists them)\n" in done.stderr


@pytest.mark.parametrize(
    ("words", "variables", "wanted"),
    [
        ((), {}, "gpt-4.1-mini"),
        ((), {"TURNOUT_MODEL": "openai/gpt-4.1-nano"}, "gpt-4.1-nano"),
        (("-m", "openai/gpt-4o-mini"), {"TURNOUT_MODEL": "openai/gpt-4.1-nano"}, "gpt-4o-mini"),
    ],
    ids=["file", "variable", "option"],
)
def test_the_option_is_before_the_variable_and_the_variable_before_the_file(
    terminal: Terminal, sandbox: Sandbox, words: tuple[str, ...], variables: dict[str, str], wanted: str
) -> None:
    terminal.configure("cli:\n  model: openai/gpt-4.1-mini\n  system: Be brief.\n")
    done = terminal.check("chat", "hello", *words, variables=variables)
    assert done.returncode == 0, done.stderr
    (request,) = sandbox.requests
    assert request.model == wanted
    assert request.body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_fallbacks_of_the_file_follow_its_model(terminal: Terminal, sandbox: Sandbox) -> None:
    terminal.configure("cli: {model: openai/gpt-4o-mini, fallbacks: [gemini/gemini-2.5-flash], log: false}\n")
    sandbox.script("openai", Fault(status=401), forever=True)
    done = terminal.check("chat", "hello", "--explain")
    assert done.returncode == 0
    assert "answered by gemini/gemini-2.5-flash" in done.stderr


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cli: {model: gpt}", "cli.model: a model is written provider/model"),
        ("cli: {modle: a/b}", "cli.modle: no such setting; did you mean model?"),
        ("cli: {timeout: soon}", "cli.timeout: a duration such as 55s"),
        ("cli: {log: maybe}", "cli.log: true or false was expected"),
        ("cli: {fallbacks: a/b}", "cli.fallbacks: a list of models was expected"),
        ("cli: [1]", "cli: a mapping was expected"),
    ],
)
def test_a_wrong_default_is_named_with_its_file(bare: Terminal, text: str, wanted: str) -> None:
    bare.configure(text)
    done = bare.check("chat", "hello")
    assert done.returncode == 1
    assert wanted in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_variable_is_named(bare: Terminal) -> None:
    done = bare.check("chat", "hello", variables={"TURNOUT_MODEL": "gpt"})
    assert done.returncode == 1
    assert done.stderr.startswith("turnout: TURNOUT_MODEL: a model is written provider/model")


def test_a_file_of_variables_that_was_named_must_exist(bare: Terminal) -> None:
    done = bare.check("chat", "hello", "--env-file", "typo.env")
    assert done.returncode == 2
    assert "there is no file typo.env" in done.stderr


@pytest.mark.parametrize("command", ["chat", "embed", "explain"])
def test_a_model_without_its_provider_is_named_with_it_and_with_the_routes_that_hold_it(
    bare: Terminal, command: str
) -> None:
    bare.configure(
        "providers:\n  mine: {kind: openai-compatible, endpoint: 'http://127.0.0.1:9/v1', apiKey: k}\n"
        "routes:\n  fast: {choices: [mine/gpt-4o-mini]}\n  other: {choices: [mine/m]}\n"
        "aliases: {small: mine/m}\n"
    )
    done = bare.check(command, "hello", "-m", "gpt-4o-mini")
    assert done.returncode == 2
    assert "did you mean -m route/fast or -m mine/gpt-4o-mini or -m openai/gpt-4o-mini?" in done.stderr
    assert "did you mean -m route/other?" in bare.check(command, "hello", "-m", "other").stderr
    assert "did you mean -m route/small?" in bare.check(command, "hello", "-m", "small").stderr
    assert "turnout models lists them" in bare.check(command, "hello", "-m", "my-model").stderr


def test_a_model_without_its_provider_in_the_variable_is_named_with_it(bare: Terminal) -> None:
    done = bare.check("chat", "hello", variables={"TURNOUT_MODEL": "claude-haiku-4-5"})
    assert "TURNOUT_MODEL: a model is written provider/model" in done.stderr
    assert "did you mean 'anthropic/claude-haiku-4-5'?" in done.stderr


@pytest.mark.parametrize("words", [(), ("--json",), ("-x",)], ids=["stream", "json", "extract"])
def test_an_answer_of_a_fallback_is_told(terminal: Terminal, sandbox: Sandbox, words: tuple[str, ...]) -> None:
    terminal.configure("cli: {model: openai/gpt-4o-mini, fallbacks: [gemini/gemini-2.5-flash]}\n")
    sandbox.answer("gemini", "```\nRain.\n```")
    sandbox.script("openai", Fault(status=401))
    done = terminal.check("chat", "hello", "--no-log", *words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "turnout: openai/gpt-4o-mini failed (authentication, invalid_api_key); gemini/gemini-2.5-flash answered\n"
    )


def test_a_model_that_could_not_be_tried_is_told(bare: Terminal, sandbox: Sandbox) -> None:
    keyed = {name: value for name, value in sandbox.environ().items() if name.startswith("GEMINI")}
    words = ("chat", "hello", "--no-log", "-m", "openai/gpt-4o-mini", "-m", "gemini/gemini-2.5-flash")
    done = bare.check(*words, variables=keyed)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("turnout: openai/gpt-4o-mini was not tried (")
    assert done.stderr.endswith("); gemini/gemini-2.5-flash answered\n")
