"""The user's config file, and its section `cli`: the values that the commands use without an option.

    cli:
      model: openai/gpt-4o-mini         # of chat, if there is no -m
      fallbacks: [gemini/gemini-2.5-flash]
      system: Answer in two sentences.
      timeout: 60s
      log: true                         # whether chat keeps conversations, for `turnout chat -c` and `turnout logs`

The file is `config.yaml` in the folder that the system has for settings: `~/.config/turnout` on Linux. All other
sections are those of every configuration file (`turnout.config.settings`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs
import click

from turnout.chat import ModelConfig
from turnout.config.values import (
    SettingsError,
    duration_seconds,
    known_only,
    mapping_of,
    quoted,
    snake_keys,
    text_of,
    without_variables,
)

__all__ = [
    "KEYS",
    "MODEL_VARIABLE",
    "Defaults",
    "change_text",
    "is_several",
    "user_file",
    "user_folder",
    "write_atomically",
]

MODEL_VARIABLE = "TURNOUT_MODEL"
KEYS = ("model", "fallbacks", "system", "timeout", "log")


def user_folder() -> Path:
    """Return the folder of the user's settings and conversations. It may not exist yet."""
    return Path(click.get_app_dir("turnout"))


def user_file() -> Path:
    """Return the user's config file. It may not exist yet."""
    return user_folder() / "config.yaml"


@attrs.frozen(kw_only=True)
class Defaults:
    """The values that the commands use without an option.

    Attributes:
        model: The model of chat.
        fallbacks: Its fallbacks, in order.
        system: Instructions before every conversation.
        timeout: Seconds for a whole call.
        log: Whether chat keeps conversations.
    """

    model: ModelConfig | None = None
    fallbacks: tuple[ModelConfig, ...] = ()
    system: str | None = None
    timeout: float | None = None
    log: bool = True

    @classmethod
    def read(cls, section: Mapping[str, Any], variables: Mapping[str, str]) -> Self:
        """Return the defaults of a section `cli`. The variable TURNOUT_MODEL replaces its model and fallbacks.

        Raises:
            SettingsError: If a value cannot be used.
        """
        with without_variables(section):
            return cls._read(section, variables)

    @classmethod
    def _read(cls, section: Mapping[str, Any], variables: Mapping[str, str]) -> Self:
        values = known_only(snake_keys(section, "cli"), "cli", KEYS)
        model, fallbacks = values.get("model"), values.get("fallbacks") or []
        if not isinstance(fallbacks, list):
            raise SettingsError("cli.fallbacks: a list of models was expected")
        models = [_model(name, f"cli.fallbacks[{index}]") for index, name in enumerate(fallbacks)]
        default = _model(model, "cli.model") if model is not None else None
        if name := variables.get(MODEL_VARIABLE, "").strip():
            default, models = _model(name, MODEL_VARIABLE), []
        timeout = duration_seconds(values["timeout"], "cli.timeout") if values.get("timeout") is not None else None
        if timeout is not None and timeout <= 0:
            raise SettingsError(f"cli.timeout: more than 0 seconds were expected, not {quoted(values['timeout'])}")
        log = values.get("log", True)
        if not isinstance(log, bool):
            raise SettingsError(f"cli.log: true or false was expected, not {quoted(log)}")
        return cls(
            model=default,
            fallbacks=tuple(models),
            system=text_of(values.get("system"), "cli.system"),
            timeout=timeout,
            log=log,
        )


def _model(name: object, where: str) -> ModelConfig:
    if not isinstance(name, str):
        raise SettingsError(f"{where}: a model such as openai/gpt-4o-mini was expected, not {quoted(name)}")
    if is_several(name):
        raise SettingsError(f"{where}: give each model as an item of the list, not {quoted(name)}")
    try:
        return ModelConfig.parse(name)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None


def is_several(name: str) -> bool:
    """True if a text names several models with commas between them."""
    names = name.split(",")
    return len(names) > 1 and all("/" in one for one in names)


def change_text(text: str, key: str, value: Any) -> str:
    """Return the text of a config file with another value of `cli.KEY`. Comments and all other lines stay.

    Raises:
        SettingsError: If the text is no YAML, or is written so that the value cannot be replaced.
    """
    import yaml

    written = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    written = written.removesuffix("\n").removesuffix("\n...")
    try:
        changed = _changed(text, key, written, yaml.compose(text, yaml.SafeLoader))
        document = mapping_of(yaml.safe_load(changed), "the file")
        if mapping_of(document.get("cli"), "cli").get(key) == value:
            return changed
    except yaml.YAMLError as error:
        raise SettingsError(f"the file is not YAML: {' '.join(str(error).split())}") from None
    raise SettingsError(f"cli.{key} cannot be replaced in this file; edit it in a text editor")


def _changed(text: str, key: str, written: str, root: Any) -> str:
    section = _find(root, "cli")
    if section is None:
        start = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{start}cli:\n  {key}: {written}\n"
    name, node = section
    start, end = node.start_mark.index, node.end_mark.index
    if not node.value:  # no value, or {}
        line_end = text.find("\n", name.end_mark.index) % (len(text) + 1)
        before = text[:start] if text[start:end].strip() else text[:line_end]
        after = text[end:] if text[start:end].strip() else text[line_end:]
        return f"{before}\n  {key}: {written}{after}"
    if found := _find(node, key):
        start, end = found[1].start_mark.index, found[1].end_mark.index
        after = "\n" if text[start:end].endswith("\n") else ""
        before = "" if text[:start].endswith((" ", "\n")) else " "
        return f"{text[:start]}{before}{written}{after}{text[end:]}"
    if not isinstance(node.value, list) or not isinstance(node.value[0], tuple):
        raise SettingsError("cli: a mapping was expected")
    first = node.value[0][0].start_mark
    separator = ", " if node.flow_style else f"\n{' ' * first.column}"
    return f"{text[: first.index]}{key}: {written}{separator}{text[first.index :]}"


def _find(node: Any, key: str) -> Any:
    """Return the nodes of a key and its value in a mapping node of YAML; None if it is not there."""
    pairs = node.value if node is not None and isinstance(node.value, list) else []
    return next((pair for pair in pairs if isinstance(pair, tuple) and pair[0].value == key), None)


def write_atomically(path: Path, text: str) -> None:
    """Replace the file by one with this text. A reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.strerror is not None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
