"""The command line as a whole: usage, exit codes, Ctrl-C, and the commands that need no question."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.transports.cli.terminal import Terminal
from turnout_io.cli.app import cli
from turnout_io.sandbox import Fault, Sandbox

COMMANDS = list(cli.list_commands(None))  # type: ignore[arg-type]
GROUPS = [["config", name] for name in ("path", "show", "example", "set")]


@pytest.mark.full
def test_the_demo_needs_nothing(bare: Terminal) -> None:
    done = bare.type("demo", "--interval", "0")
    assert done.returncode == 0, done.stderr
    assert "status 503" in done.stdout
    assert done.stdout.rstrip().endswith("answered by gemini/gemini-2.5-flash")


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS), *GROUPS], ids=" ".join)
def test_help_fits_80_columns(words: list[str]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"], prog_name="turnout", terminal_width=80)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80


@pytest.mark.parametrize("words", [[], ["config"], ["trace"]], ids=" ".join)
def test_no_command_is_described_by_half_a_sentence(words: list[str]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"], prog_name="turnout", terminal_width=80)
    listed = result.output.partition("Commands:")[2].splitlines()[1:]
    assert [line for line in listed if not line.endswith(".")] == []
    assert [line for line in listed if line.endswith("..")] == []
    assert {*COMMANDS} == {line.split()[0] for line in listed} or words


@pytest.mark.parametrize("words", [*([name] for name in COMMANDS), ["trace", "view"]], ids=" ".join)
def test_no_value_of_an_option_is_called_by_its_type(words: list[str]) -> None:
    """Except in `batch`, of which this is not asked yet."""
    output = CliRunner().invoke(cli, [*words, "--help"], prog_name="turnout", terminal_width=80).output
    assert words == ["batch"] or " RANGE" not in output


@pytest.mark.parametrize("command", ["models", "doctor"])
def test_every_timeout_takes_a_duration(terminal: Terminal, command: str) -> None:
    assert terminal.check(command, "openai", "--timeout", "1m30s").returncode == 0
    assert "write seconds such as 5" in terminal.check(command, "openai", "--timeout", "soon").stderr


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_help_has_examples(name: str) -> None:
    output = CliRunner().invoke(cli, [name, "--help"], prog_name="turnout").output
    assert f"turnout {name}" in output.partition("Examples:")[2]


def test_a_failed_call_is_one_line_and_exit_code_1(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=401), forever=True)
    done = terminal.type("chat", "x", "-m", "openai/gpt-4o-mini")
    assert done.returncode == 1
    assert done.stderr.startswith("turnout: openai/gpt-4o-mini: ")
    assert done.stderr.count("\n") == 1


def test_a_missing_key_names_its_variable(bare: Terminal) -> None:
    done = bare.type("chat", "x", "-m", "openai/gpt-4o-mini")
    assert done.returncode == 1
    assert "set OPENAI_API_KEY in the environment, in .env or in the settings" in done.stderr
    assert done.stderr.count("\n") == 1
    again = bare.check("chat", "x", "-m", "openai/gpt-4o-mini", variables={"OPENAI_ENDPOINT": "http://127.0.0.1:9/v1"})
    assert again.stderr == done.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("chat", "x", "-m", "gpt"), "a model is written provider/model"),
        (("chat", "x", "-m", "gpt"), "turnout models lists them"),
        (("Why do points freeze?",), "turnout chat 'Why do points freeze?'"),
        (("freeze?",), "turnout chat 'freeze?'"),
        (("logs", "list"), "the way here: turnout logs"),
        (("logs", "path"), "the way here: turnout logs --path"),
        (("history",), "the way here: turnout logs"),
        (("ls",), "the way here: turnout models"),
        (("help",), "the way here: turnout --help"),
        (("-m", "openai/gpt-5", "hi"), "turnout chat PROMPT -m …"),
        (("--install-completion",), "turnout completion bash"),
        (("models", "-p", "openai"), "turnout models openai"),
        (("chat", "Why", "not"), "put it in quotes: turnout chat 'Why?'"),
        (("logs", "-q", "points"), "turnout logs -n 0 --json"),
        (("logs", "--search", "points"), "turnout logs -n 0 --json"),
        (("logs", "-l"), "-n 1"),
        (("embed-multi", "x"), "turnout embed -i FILE -o FILE"),
        (("collections",), "turnout embed -i FILE -o FILE"),
        (("schemas", "list"), "turnout chat --schema FILE"),
        (("gateway",), "turnout serve"),
        (("config", "set", "key", "sk-x"), "set the key in a variable such as OPENAI_API_KEY"),
        (("config", "set", "openai.api_key", "sk-x"), "set the key in a variable such as OPENAI_API_KEY"),
        (("nothing",), "turnout chat nothing asks a model, and turnout --help lists the commands"),
        (("chat", "x", "--debug"), "TURNOUT_LOG=debug"),
        (("chats",), "did you mean turnout chat?"),
        (("similar", "x"), "turnout embed"),
        (("simuls",), "turnout --help lists the commands"),
        (("config", "unset", "model"), "delete the line in the file of turnout config path"),
        (("config", "sett"), "No such command 'sett'."),
        (("models", "default", "openai/gpt-4o-mini"), "turnout config set model"),
        (("chat", "x", "-m", "a/b,c/d"), "-m a/b -m c/d"),
        (("keys", "set", "openai"), "turnout has no key store: set the key in a variable such as OPENAI_API_KEY"),
        (("embed", "a"), "embed needs exactly one -m"),
        (("embed", "-m", "a/b"), "give TEXTS"),
        (("embed", "a", "-m", "a/b", "-o", "x.csv"), "the name must end in .jsonl or .npy"),
        (("chat", "x", "--timeout", "0"), "Invalid value for '--timeout'"),
        (("simulate", "scenarios/outage.yaml"), "turnout simulate outage"),
        (("simulate", "outtage"), "did you mean outage?"),
        (("explain", "Hello?"), "add -m PROVIDER/MODEL"),
        (("explain", "/"), "/ is a folder"),
        (("-v",), "TURNOUT_LOG=debug"),
        (("-i",), "turnout chat -c PROMPT continues the last conversation"),
        (("--nothing",), "turnout has no option --nothing; turnout --help lists the commands"),
        (("shell",), "turnout chat -c PROMPT continues the last conversation"),
        (("tokens", "hi"), "turnout chat --dry-run PROMPT"),
        (("upgrade",), "pip install --upgrade turnout"),
        (("openai",), "turnout models openai"),
        (("logs", "delete"), "the file that turnout logs --path prints"),
        (("logs", "--since", "1d"), "turnout logs -n 0 --json"),
        (("config", "delete", "model"), "delete the line in the file"),
        (("config", "--list"), "turnout config show"),
        (("pull", "llama3.2"), "ollama pull MODEL, and then turnout chat -m ollama/MODEL PROMPT"),
        (("show", "llama3.2"), "turnout models"),
        (("models", "opnai"), "there is no provider 'opnai'; did you mean openai?"),
        (("models", "openai/gpt-4o"), "a provider is wanted here: turnout models openai"),
        (("models", ""), "there is no provider ''"),
        (("providers", "opnai"), "there is no provider 'opnai'; did you mean openai?"),
        (("doctor", "openai/gpt-4o"), "a provider is wanted here: turnout doctor openai"),
        (("config", "set", "timeout", "0"), "timeout: more than 0 seconds"),
        (("config", "set", "timeout", "soon"), "a duration such as 55s"),
        (("config", "set", "model", "gpt-4o"), "did you mean 'openai/gpt-4o'?"),
        (("config", "set", "log", "maybe"), "true or false was expected"),
        (("config", "set", "model=openai/gpt-4o"), "turnout config set model openai/gpt-4o"),
        (("serve", "--listen", "nowhere"), "an address such as 127.0.0.1:8080 was expected, not 'nowhere'"),
        (("serve", "--model", "openai/gpt-4o"), "all models of all providers with a key are served"),
        (("serve", "--detailed_debug"), "TURNOUT_LOG=debug"),
        (("serve", "--num_workers", "4"), "one process"),
        (("serve", "openai/gpt-4o"), "all models of all providers with a key are served"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_names_the_right_one(
    bare: Terminal, words: tuple[str, ...], wanted: str
) -> None:
    done = bare.check(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert wanted in " ".join(done.stderr.split())


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_is_printed(bare: Terminal, option: str) -> None:
    assert bare.check(option).stdout.startswith("turnout 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(bare: Terminal, shell: str) -> None:
    done = bare.check("completion", shell)
    assert done.returncode == 0
    assert "_TURNOUT_COMPLETE" in done.stdout


def test_zsh_shows_whole_descriptions(bare: Terminal) -> None:
    completing = {"_TURNOUT_COMPLETE": "zsh_complete", "COMP_WORDS": "turnout mod", "COMP_CWORD": "1"}
    assert bare.type(variables=completing).stdout == "plain\nmodels\nList the models of the providers.\n"


def test_commands_and_models_are_completed(bare: Terminal) -> None:
    completing = {"_TURNOUT_COMPLETE": "bash_complete", "COMP_WORDS": "turnout chat -m openai/", "COMP_CWORD": "3"}
    assert bare.type(variables=completing).stdout.strip() == "plain,openai/gpt-4o-mini"


@pytest.mark.full
def test_settings_come_from_a_file(terminal: Terminal, sandbox: Sandbox) -> None:
    config = terminal.folder / "c.yaml"
    key, url = sandbox.key("openai"), sandbox.url("openai")
    config.write_text(f"providers:\n  mine:\n    kind: openai\n    endpoint: {url}\n    apiKey: {key}\n")
    assert terminal.type("chat", "x", "-m", "mine/gpt-4o-mini", "--config", str(config)).returncode == 0
    config.write_text("providers: [")
    done = terminal.type("chat", "x", "-m", "mine/gpt-4o-mini", "--config", str(config))
    assert done.returncode == 1
    assert "line 1: this is not YAML" in done.stderr


def test_ctrl_c_ends_a_stream_cleanly(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="hang", after_tokens=3), forever=True)
    with terminal.start("chat", "x", "-m", "openai/gpt-4o-mini", "--no-log") as process:
        assert process.stdout is not None
        began = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert began
    assert rest.endswith("\n")
    assert (process.returncode, errors.strip()) == (130, "")
    assert sandbox.wait(lambda server: server.open_connections == 0)


def test_ctrl_c_while_modules_are_loaded_prints_nothing(bare: Terminal) -> None:
    """The import of the first slow module raises KeyboardInterrupt, as a signal at that moment does."""
    program = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'click': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from turnout_io.cli import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "providers"], env=bare.environ, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_a_reader_that_goes_away_is_no_crash(terminal: Terminal) -> None:
    done = subprocess.run(
        f"{sys.executable} -c 'from turnout_io.cli import main; main()' providers --markdown | head -c 5",
        shell=True,
        env=terminal.environ,
        cwd=terminal.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "| pro"
    assert done.stderr == ""


def test_the_variables_of_the_sandbox_are_for_a_shell(bare: Terminal) -> None:
    done = subprocess.run(
        f'eval "$({sys.executable} -c "from turnout_io.cli import main; main()" sandbox --env --port 8123)"; '
        "echo $OPENAI_ENDPOINT",
        shell=True,
        env=bare.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "http://127.0.0.1:8123/openai/v1\n"
    assert "turnout sandbox" in done.stderr


def test_providers_in_json(bare: Terminal) -> None:
    listed = {entry["provider"]: entry for entry in json.loads(bare.check("providers", "--json").stdout)}
    assert listed["openai"]["status"] == "not-configured"
    assert listed["openai"]["missing"] == ["OPENAI_API_KEY"]
    assert listed["ollama"]["status"] == "available"


def test_an_address_and_a_port_are_named_as_they_are_given(bare: Terminal) -> None:
    assert "the address is --listen HOST:PORT" in bare.type("serve", "--port", "8000").stderr
    told = bare.type("sandbox", "--env", "--port", "8100")
    assert "start it with: turnout sandbox --port 8100" in told.stderr
