"""Settings from files and the environment: `.env`, a YAML file, and the process's variables.

The process's variables come before those of `.env`. Nothing is written into `os.environ`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from turnout.config.settings import Settings, SettingsError
from turnout.providers import ProviderSpec

__all__ = ["load_settings", "read_yaml"]


def load_settings(
    path: str | Path | None = None,
    *,
    dotenv: str | Path | None = ".env",
    environ: Mapping[str, str] | None = None,
    entries: Iterable[ProviderSpec] = (),
) -> Settings:
    """Read the settings.

    path     a YAML file (see `turnout.config.settings`); None for the environment alone
    dotenv   a file of variables; it may be absent; None reads none
    environ  instead of the process's variables
    entries  providers of your own, known beside those of the catalog

    Raises SettingsError where a file cannot be read or says what cannot be, FileNotFoundError where `path` is absent.
    """
    env = {**_read_dotenv(dotenv), **(os.environ if environ is None else environ)}
    return Settings.from_mapping(read_yaml(Path(path)) if path is not None else {}, env, entries)


def _read_dotenv(path: str | Path | None) -> dict[str, str]:
    if path is None or not Path(path).is_file():
        return {}
    try:
        from dotenv import dotenv_values
    except ImportError:
        raise SettingsError(f'to read {path}, pip install "turnout[config]", or give dotenv=None') from None
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def read_yaml(path: Path) -> Mapping[str, Any]:
    """The mapping that a YAML file holds; an empty file holds an empty one. Raises SettingsError, OSError."""
    try:
        import yaml
    except ImportError:
        raise SettingsError(f'to read {path}, pip install "turnout[config]"') from None
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise SettingsError(f"{path}{line}: this is not YAML: {problem}") from None
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        raise SettingsError(f"{path}: a mapping was expected, such as `providers: …`")
    return document
