"""Settings from files and the environment: `.env`, a YAML file, and the process's variables.

The variables of the process have priority over those of `.env`. `os.environ` is not changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from turnout._utils.documents import DocumentError, decode_text, parse_yaml
from turnout.config.places import line_of, spelled
from turnout.config.settings import Settings, SettingsError
from turnout.providers import ProviderSpec
from turnout.redaction import without_locals

__all__ = ["load_settings", "placed", "read_variables", "read_yaml"]

_DEFAULT = Path(".env")


@without_locals
def load_settings(
    path: str | Path | None = None,
    *,
    dotenv: str | Path | None = ".env",
    environ: Mapping[str, str] | None = None,
    entries: Iterable[ProviderSpec] = (),
) -> Settings:
    """Read the settings.

    Args:
        path: A YAML file (see `turnout.config.settings`); None for the environment alone.
        dotenv: A file of variables. Only the default may be absent. None reads no file.
        environ: Variables to use instead of the process's.
        entries: Your own providers, in addition to those of the catalog.

    Raises:
        SettingsError: A file cannot be read, or a setting cannot be used.
        FileNotFoundError: There is no `path`.
    """
    _check_path(path, "path", "the settings of a file are keywords of Router.from_env too: Router.from_env(timeout=30)")
    env = read_variables(dotenv, environ)
    if path is None:
        return Settings.from_mapping({}, env, entries)
    document = read_yaml(Path(path))
    with placed(path):
        return Settings.from_mapping(document, env, entries)


@contextlib.contextmanager
def placed(path: str | Path | None) -> Iterator[None]:
    """Begin the message of a SettingsError with the file and the line of the setting that it is about.

    Args:
        path: The YAML file; None for none. An error about something else, such as a variable, is left as it is.
    """
    try:
        yield
    except SettingsError as error:
        message = str(error)
        found = _found(Path(path), message) if path is not None and not message.startswith(str(path)) else None
        if found is None:
            raise
        line, message = found
        raise type(error)(f"{path}, line {line}: {message}") from None


# A field of what a section became, and perhaps its key: unsupported, Policy.rules['rate-limit'].
_FIELD: Final = re.compile(r"(?:[A-Z]\w*\.)?(\w+)(?:\['([^']+)'\]|: '([^']+)')?")


def _found(path: Path, message: str) -> tuple[int, str] | None:
    """Return the line that a message is about, and the message with the names as the file writes them."""
    place, colon, told = message.partition(": ")
    if not colon:
        return None
    deeper = place.partition(" (")[0]  # without the variables that may be meant
    if field := _FIELD.match(told):
        deeper = ".".join([deeper, *(part for part in field.groups() if part)])
    try:
        text = _text_of(path)
        line = line_of(text, deeper)
        return None if line is None else (line, f"{spelled(text, place)}: {told}")
    except (OSError, ValueError, RecursionError):  # it is another file by now
        return None


@without_locals
def read_variables(dotenv: str | Path | None = ".env", environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of the process, or those of `environ`, over those of the file `dotenv`.

    Raises:
        SettingsError: If the file cannot be read. If it is not the default, also if it does not exist or has a wrong
            line.
    """
    return {**_read_dotenv(dotenv), **(os.environ if environ is None else environ)}


def _read_dotenv(path: str | Path | None) -> dict[str, str]:
    _check_path(path, "dotenv", "write environ=… for a mapping of variables")
    if path is None:
        return {}
    try:
        if not Path(path).is_file():
            if Path(path) != _DEFAULT:
                raise SettingsError(f"dotenv: there is no file {path}")
            return {}
        text = _text_of(Path(path))
    except OSError as error:
        raise _cannot_be_read(path, error) from None
    try:
        from dotenv import dotenv_values
        from dotenv.parser import parse_stream
    except ImportError:
        raise SettingsError(f'to read {path}, pip install "turnout[config]", or give dotenv=None') from None
    if Path(path) != _DEFAULT:
        # The default file may be another program's: its wrong lines are only logged, by dotenv.
        for line in parse_stream(io.StringIO(text)):
            if line.error:
                written = line.original.string
                number = line.original.line + written[: len(written) - len(written.lstrip())].count("\n")
                raise SettingsError(f"{path}, line {number}: a line such as NAME=value was expected")
    values = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def _check_path(path: object, name: str, hint: str) -> None:
    if path is not None and not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name} must be the path of a file, not {type(path).__name__}; {hint}")


def _text_of(path: Path) -> str:
    try:
        return decode_text(path.read_bytes())
    except DocumentError as error:
        raise SettingsError(_at(path, error)) from None


def _cannot_be_read(path: str | Path, error: OSError) -> SettingsError:
    return SettingsError(f"{path} cannot be read: {error.strerror}")


def _at(path: Path, error: DocumentError) -> str:
    """Return the message of an error with the path before it."""
    return f"{path}{': ' if error.line is None else ', '}{error}"


@without_locals
def read_yaml(path: Path) -> Mapping[str, Any]:
    """Return the mapping that a YAML file holds; an empty one for an empty file.

    Raises:
        SettingsError: It cannot be read, is not YAML, or no mapping, or in another encoding.
        FileNotFoundError: There is no such file.
    """
    try:
        document = parse_yaml(_text_of(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _cannot_be_read(path, error) from None
    except ImportError:
        raise SettingsError(f'to read {path}, pip install "turnout[config]"') from None
    except DocumentError as error:
        raise SettingsError(_at(path, error)) from None
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        raise SettingsError(f"{path}: a mapping was expected, such as `providers: …`")
    return document
