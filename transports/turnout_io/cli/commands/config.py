"""`turnout config`: the user's config file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import click

from turnout._utils.names import did_you_mean
from turnout.chat import ModelConfig
from turnout.config.values import SettingsError
from turnout.redaction import SECRET_NAME, Redactor
from turnout_io.cli.defaults import KEYS, Defaults, change_text, user_file, write_atomically
from turnout_io.cli.elsewhere import KEYS as WHERE_KEYS_ARE
from turnout_io.cli.elsewhere import refuse_word
from turnout_io.cli.errors import WrongUsage, one_line
from turnout_io.files import read_yaml

__all__ = ["config"]


# Subcommands of other programs, and how the same is done here.
_LINE = "delete the line in the file of turnout config path"
_ELSEWHERE = {
    "edit": "open the file of turnout config path in an editor",
    "init": "turnout config set creates the file, and turnout config example prints one with everything",
    **dict.fromkeys(("get", "list", "view", "--list", "-l", "--get"), "turnout config show"),
    **dict.fromkeys(("unset", "delete", "remove", "reset", "rm", "--unset"), _LINE),
}


class ConfigGroup(click.Group):
    """Names the way here for a subcommand of other programs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-"):
            refuse_word("config has no option", args[0], _ELSEWHERE, ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        refuse_word("config has no command", args[0], _ELSEWHERE, ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=ConfigGroup)
def config() -> None:
    """Show and change the user's config file.

    \b
    Examples:
      turnout config set model openai/gpt-4o-mini
      turnout config set fallbacks '[gemini/gemini-2.5-flash]'
      turnout config show
      turnout config example > turnout.yaml
    """


@config.command("path")
def path_command() -> None:
    """Print the path of the file, also if it does not exist yet."""
    click.echo(user_file())


@config.command("show")
def show_command() -> None:
    """Print the file, with *** in place of keys."""
    path = user_file()
    if not path.is_file():
        click.echo(f"turnout: there is no {path}; turnout config set creates it", err=True)
        return
    with one_line():
        secrets = _texts_of_secrets(read_yaml(path))
        text = path.read_text("utf-8-sig")
    shown = Redactor(secrets)(text)
    click.echo(shown, nl=False)
    if shown != text:
        click.echo(f"turnout: keys are shown as ***; they are in {path}", err=True)


def _texts_of_secrets(value: object, *, is_secret: bool = False) -> Iterator[str]:
    """Yield the texts of a document that are under a name such as apiKey. Variables are none."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            # A list of keys has further settings of each one, which are named.
            is_inside = is_secret and not isinstance(value.get("key"), str)
            yield from _texts_of_secrets(item, is_secret=is_inside or SECRET_NAME.search(str(name)) is not None)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of_secrets(item, is_secret=is_secret)
    elif is_secret and isinstance(value, str) and "${" not in value:
        yield value


@config.command("example")
def example_command() -> None:
    """Print a file with all providers and the settings of the router."""
    click.echo((files("turnout_io") / "examples" / "config.yaml").read_text("utf-8"), nl=False)


class SetCommand(click.Command):
    """Names the right form of KEY=VALUE."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        key, equals, value = args[0].partition("=") if len(args) == 1 else ("", "", "")
        if equals and key in KEYS:
            raise click.UsageError(f"write turnout config set {key} {shlex.quote(value)}", ctx)
        return super().parse_args(ctx, args)


@config.command("set", cls=SetCommand)
@click.argument("key", metavar="KEY")
@click.argument("value", metavar="VALUE")
def set_command(key: str, value: str) -> None:
    """Set a default of the commands. Other lines of the file stay as they are.

    \b
    KEY is one of:
      model      the model of chat, if there is no -m
      fallbacks  a list of models
      system     instructions before every conversation
      timeout    seconds for a whole call
      log        true or false: whether chat keeps conversations
    """
    if key.lower().replace("_", "").endswith(("key", "keys")):
        raise click.UsageError(f"{key!r} is no key of the command line: {WHERE_KEYS_ARE}")
    if key not in KEYS:
        raise click.UsageError(f"{key!r} is no key of the command line{did_you_mean(key, list(KEYS))}")
    try:
        parsed = _parsed(key, value)
    except SettingsError as error:
        raise WrongUsage(str(error)) from None
    path = user_file()
    with one_line():
        read_yaml(path) if path.is_file() else {}
        text = path.read_text("utf-8") if path.is_file() else ""
        write_atomically(path, change_text(text, key, parsed))
    click.echo(f"turnout: {key} is set in {path}", err=True)


def _parsed(key: str, value: str) -> Any:
    import yaml

    if key in ("model", "system"):
        parsed: Any = value
    else:
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SettingsError(f"{key}: {value!r} is not YAML") from None
    if key == "fallbacks" and isinstance(parsed, str):
        parsed = [name.strip() for name in parsed.split(",")]
    Defaults.read({key: parsed}, {})
    if key == "model":
        _check_provider(ModelConfig.parse(value))
    return parsed


def _check_provider(model: ModelConfig) -> None:
    """Print a warning if no provider of this name is in the catalog: the config file can define it."""
    from turnout.providers import CATALOG

    if not model.is_route and model.provider not in CATALOG:
        click.echo(
            f"turnout: the catalog has no provider {model.provider!r}{did_you_mean(model.provider, list(CATALOG))}",
            err=True,
        )
