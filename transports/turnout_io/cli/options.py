"""The options that several commands take."""

from __future__ import annotations

import click

from turnout.chat import ModelConfig

__all__ = ["CONFIG", "ENV_FILE", "EXPLAIN", "JSON", "MODELS", "TIMEOUT"]


def _model(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[ModelConfig]:
    try:
        return [ModelConfig.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


MODELS = click.option(
    "-m", "--model", "models", multiple=True, callback=_model, metavar="PROVIDER/MODEL",
    help="The model to ask; more of them are fallbacks, in order.",
)  # fmt: skip
CONFIG = click.option("--config", type=click.Path(dir_okay=False, exists=True), help="A YAML file of settings.")
ENV_FILE = click.option("--env-file", default=".env", show_default=True, help="A file of variables; may be absent.")
TIMEOUT = click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for the whole call.")
EXPLAIN = click.option("--explain", is_flag=True, help="Tell on stderr what was tried, and why.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
