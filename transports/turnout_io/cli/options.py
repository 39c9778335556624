"""The options that several commands have."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from turnout.chat import ModelConfig
from turnout.config.values import SettingsError, duration_seconds
from turnout_io.cli.defaults import is_several, user_file

__all__ = [
    "CONFIG",
    "ENV_FILE",
    "EXPLAIN",
    "JSON",
    "MODEL",
    "MODELS",
    "SANDBOX",
    "TIMEOUT",
    "TRACE",
    "Duration",
    "FileToWrite",
    "complete_provider",
]


def _model(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[ModelConfig]:
    for value in values:
        if is_several(value):
            several = " ".join(f"-m {name.strip()}" for name in value.split(","))
            raise click.BadParameter(f"give one option for each model: {several}")
        if value and "/" not in value:
            raise click.BadParameter(_meant(value, context.params.get("config"), context.params.get("env_file")))
    try:
        return [ModelConfig.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _meant(name: str, config: str | None, env_file: str | None) -> str:
    """Return the error for a model without its provider, with the names that it has in the settings and the catalog."""
    from turnout._utils.names import whole_name
    from turnout.config.values import SettingsError
    from turnout_io.files import load_settings

    routes: list[str] = []
    listed: list[str] = []
    # What is wrong in the settings is an error of its own, after this one is corrected.
    with contextlib.suppress(SettingsError, OSError):
        settings = load_settings(config, dotenv=env_file)
        routes = [f"route/{alias}" for alias in settings.aliases if alias == name]
        for route in settings.routes:
            models = [str(choice.model) for choice in route.choices if choice.model.model_id == name]
            if route.name == name or models:
                routes.append(f"route/{route.name}")
            listed += models
    maker = whole_name(name)
    choices = dict.fromkeys([*routes, *listed, *([maker] if maker else [])])
    hint = f"did you mean {' or '.join(f'-m {choice}' for choice in choices)}?" if choices else _LISTS
    return f"a model is written provider/model, as in openai/gpt-4o-mini, not {name!r}; {hint}"


_LISTS = "turnout models lists them; a route or an alias of the config file is -m route/NAME"


def _config(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return the file of settings: the one of the option, else the user's if there is one."""
    if value is not None:
        return value
    path = user_file()
    return str(path) if path.is_file() else None


def _env_file(context: click.Context, parameter: click.Parameter, value: str) -> str:
    given = context.get_parameter_source("env_file") is not ParameterSource.DEFAULT
    if given and not Path(value).is_file():
        raise click.BadParameter(f"there is no file {value}")
    return value


def _complete_model(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from turnout_io.cli.router import DEFAULTS

    names = [f"{provider}/{model}" for provider, model in DEFAULTS.items()]
    return [name for name in names if name.startswith(incomplete)]


def complete_provider(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the catalog that begin so, for a shell."""
    from turnout.providers import CATALOG

    return [name for name in CATALOG if name.startswith(incomplete)]


class FileToWrite(click.Path):
    """The path of a file that a command writes, perhaps at its end: so a path that cannot be written is refused."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(dir_okay=False, writable=True, allow_dash=allow_dash)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = os.fsdecode(super().convert(value, param, ctx))
        folder = Path(path).parent
        if not (self.allow_dash and path == "-"):
            if not folder.is_dir():
                self.fail(f"there is no folder {folder}", param, ctx)
            if not Path(path).exists() and not os.access(folder, os.W_OK):
                self.fail(f"the folder {folder} cannot be written", param, ctx)
        return path


class Duration(click.FloatRange):
    """Seconds above 0, as a number or in the form of the config file: 5, 5s, 500ms, 1m30s."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            seconds = duration_seconds(value, "")
        except SettingsError:
            self.fail(f"{value!r} is no time; write seconds such as 5, 500ms or 1m30s", param, ctx)
        return super().convert(seconds, param, ctx)


MODEL = click.option(
    "-m", "--model", "models", multiple=True, callback=_model, metavar="PROVIDER/MODEL",
    shell_complete=_complete_model, help="The model.",
)  # fmt: skip
MODELS = click.option(
    "-m", "--model", "models", multiple=True, callback=_model, metavar="PROVIDER/MODEL",
    shell_complete=_complete_model, help="The model. Give more of them as fallbacks, in order.",
)  # fmt: skip
CONFIG = click.option(
    "--config", type=click.Path(dir_okay=False, exists=True), callback=_config, metavar="FILE", is_eager=True,
    help="Settings in YAML, in place of the user's config file.",
)  # fmt: skip
ENV_FILE = click.option(
    "--env-file", default=".env", show_default=True, callback=_env_file, metavar="FILE",
    is_eager=True, help="A file of variables, such as OPENAI_API_KEY=… The default one may be absent.",
)  # fmt: skip
TIMEOUT = click.option(
    "--timeout", type=Duration(), metavar="SECONDS", help="How long the whole call may take, such as 30 or 1m30s."
)
EXPLAIN = click.option("--explain", is_flag=True, help="Print every attempt and decision on stderr.")
TRACE = click.option(
    "--trace", type=FileToWrite(), metavar="FILE",
    help="Append the trace of each call to FILE, for turnout explain, trace view and replay.",
)  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
SANDBOX = click.option(
    "--sandbox", is_flag=True, help="Use invented answers from this machine: no key, no network, no settings of yours."
)
