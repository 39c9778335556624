"""The commands of `turnout`, and what happens when one of them ends."""

from __future__ import annotations

import contextlib
import importlib
import shlex
import sys
from typing import Final

import click

from turnout_io.cli.elsewhere import KEYS, refuse_word
from turnout_io.cli.standard_files import discard_output, is_text, prepare_standard_files, reason_of

__all__ = ["cli", "run"]

# Each command with its module, and what it does. A module is imported when its command is used: all of them cost half a
# second.
_COMMANDS: Final = {
    "chat": ("chat.command", "Send a question to a model, and print its answer."),
    "logs": ("chat.logs", "Show the questions and answers that chat kept."),
    "embed": ("embed", "Turn texts into vectors."),
    "models": ("models", "List the models of the providers."),
    "providers": ("providers", "Show the providers: status, variables, capabilities."),
    "config": ("config", "Show and change the user's config file."),
    "doctor": ("doctor", "Check versions, settings, proxy, clock, TLS and keys."),
    "explain": ("traces.commands", "Explain how calls were decided, or would be."),
    "trace": ("traces.commands", "Show recorded calls as a page for the browser."),
    "replay": ("traces.commands", "Decide recorded calls again, and compare."),
    "simulate": ("simulate", "Play an outage or a rate limit on a virtual clock."),
    "batch": ("batch", "Answer every row of a file of JSON lines."),
    "serve": ("serve", "Serve OpenAI's and Anthropic's protocols over HTTP."),
    "sandbox": ("sandbox", "Play the providers on this machine, for your programs."),
    "demo": ("sandbox", "Show a fallback, without a key or a network."),
    "completion": ("completion", "Print the completion script of a shell."),
}

_ALIASES: Final = "aliases are in a configuration file: turnout chat --config FILE -m route/NAME"
_LOCAL: Final = (
    "a server on this machine has a command of its own, such as ollama pull MODEL, and then "
    "turnout chat -m ollama/MODEL PROMPT"
)
# Commands of other programs, and how the same is done here.
_ELSEWHERE: Final = {
    "ask": "turnout chat PROMPT",
    "complete": "turnout chat PROMPT",
    **dict.fromkeys(("run", "query", "completions"), "turnout chat PROMPT"),
    **dict.fromkeys(("ls", "list", "model"), "turnout models, or turnout providers"),
    **dict.fromkeys(("history", "conversations"), "turnout logs"),
    **dict.fromkeys(("login", "auth", "setup", "init", "key"), KEYS),
    **dict.fromkeys(("status", "check", "health", "test", "ping"), "turnout doctor, or turnout providers"),
    **dict.fromkeys(("server", "start", "api"), "turnout serve, or turnout sandbox for invented answers"),
    **dict.fromkeys(("repl", "shell", "interactive"), "turnout chat -c PROMPT continues the last conversation"),
    **dict.fromkeys(("tokens", "count"), "turnout chat --dry-run PROMPT estimates the tokens and the cost"),
    **dict.fromkeys(("update", "upgrade", "uninstall"), "turnout is a package: pip install --upgrade turnout"),
    **dict.fromkeys(("info", "debug"), "turnout doctor"),
    **dict.fromkeys(("settings", "set"), "turnout config set KEY VALUE"),
    **dict.fromkeys(("embeddings", "embedding"), "turnout embed TEXT -m PROVIDER/MODEL"),
    **dict.fromkeys(("pull", "push", "create", "rm", "cp", "stop", "ps"), _LOCAL),
    "show": "turnout models, or turnout config show",
    "help": "turnout --help, or turnout COMMAND --help",
    "version": "turnout --version",
    "traces": "turnout trace view FILE",
    "view": "turnout trace view FILE",
    "embed-models": "turnout models",
    **dict.fromkeys(("alias", "aliases"), _ALIASES),
    "collections": "turnout keeps no collections: turnout embed -i FILE -o FILE writes the vectors to a file",
    "embed-multi": "turnout embed -i FILE -o FILE",
    "fragments": "a file or a URL is an attachment: turnout chat -a FILE",
    "gateway": "turnout serve",
    "install": "extras are installed with pip: pip install 'turnout[all]'",
    "keys": KEYS,
    "plugins": "turnout has no plugins: turnout providers lists all providers",
    "prompt": "turnout chat PROMPT",
    "proxy": "turnout serve",
    "schemas": "turnout keeps no schemas: turnout chat --schema FILE takes one",
    "similar": "turnout embed prints vectors; turnout keeps no collections",
    "templates": "turnout has no templates: put instructions into chat --system or the config file",
}


class Commands(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, short = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"turnout_io.cli.commands.{module}"), cmd_name)
        command.short_help = short  # for the completion of shells
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        refuse_word("no command is named", name, _ELSEWHERE, ctx)
        if name not in _COMMANDS and not name.startswith("-"):
            if " " in name or "?" in name:
                raise click.UsageError(f"this is no command; to ask it: turnout chat {shlex.quote(name)}", ctx)
            from turnout.providers import CATALOG

            if name in CATALOG:
                raise click.UsageError(f"{name} is a provider; its models: turnout models {name}", ctx)
            import difflib

            near = difflib.get_close_matches(name, _COMMANDS, 1, 0.8)
            ask = f"turnout chat {shlex.quote(name)} asks a model, and turnout --help lists the commands"
            hint = f"did you mean turnout {near[0]}?" if near else ask
            raise click.UsageError(f"no command is named {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for arg in args:
            if not is_text(arg):
                raise click.UsageError(f"the argument {arg!a} is not UTF-8 text", ctx)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(self._told_of_option(ctx, error.option_name), ctx) from None

    def _told_of_option(self, ctx: click.Context, name: str) -> str:
        """Return the error for an option that is before the command."""
        if name in ("--install-completion", "--show-completion"):
            return "completion is a command: turnout completion bash"
        from turnout_io.cli.commands.chat.options_elsewhere import OPTIONS_ELSEWHERE

        chat = self.get_command(ctx, "chat")
        if chat is not None and any(name in option.opts for option in chat.params):
            return (
                f"turnout has no option {name} before its command; those of a command are after it: "
                f"turnout chat PROMPT {name} …"
            )
        return f"turnout has no option {name}; {OPTIONS_ELSEWHERE.get(name, 'turnout --help lists the commands')}"

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            from turnout_io.cli.errors import with_close_names

            raise with_close_names(error) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(None, "-V", "--version", package_name="turnout", message="turnout %(version)s")
def cli() -> None:
    """Send LLM requests to many providers, with retries and fallbacks.

    \b
    Examples:
      turnout demo
      turnout config set model openai/gpt-4o-mini
      turnout chat "Why do railway points freeze?"
      cat notes.txt | turnout chat "Summarize this."
      turnout doctor

    Exit codes: 0 success; 1 a call failed, or something is not configured;
    2 wrong usage; 130 Ctrl-C.
    """


def run() -> None:
    """Run one command, and end the process with its exit code."""
    prepare_standard_files()
    try:
        code = _run()
    except OSError as error:  # of the output: commands report all others
        code = 1
        if not isinstance(error, BrokenPipeError):  # else its reader has closed it
            with contextlib.suppress(OSError):
                click.echo(f"turnout: {reason_of(error)}", err=True)
    discard_output()
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(prog_name="turnout", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return code if isinstance(code, int) else 0
