"""Readers of single values of a configuration. Their errors name the place of the value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Self

from turnout._utils.names import did_you_mean
from turnout.redaction import Secret

__all__ = [
    "SettingsError",
    "duration_seconds",
    "expand",
    "known_only",
    "mapping_of",
    "number_of",
    "quoted",
    "snake_case",
    "snake_keys",
    "text_of",
    "whole_number",
]


class SettingsError(ValueError):
    """A setting cannot be used. The message names its place and the expected value.

    It never quotes the value of a variable, because that can be a secret.
    """


class VariableText(Secret):
    """A text that holds the values of variables. Its `repr` names them in place of the text."""

    def __new__(cls, text: str, names: Iterable[str] = ()) -> Self:
        made = super().__new__(cls, text)
        made.names = tuple(dict.fromkeys(names))
        return made

    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"the value of {' and '.join(f'${{{name}}}' for name in self.names)}"


def quoted(value: object) -> str:
    """Return a wrong value for an error message: its beginning, if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of so many digits"
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


_MOST_QUOTED = 80
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|s|m|h)")
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


_LITELLM_VARIABLE = "os.environ/"


def duration_seconds(value: object, where: str) -> float:
    """Return the seconds of `55s`, `50ms` or `1m30s`, or a number of seconds.

    Raises:
        SettingsError: It is another value.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _as_float(value, where)
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    pieces = _PIECE.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise SettingsError(f"{where}: a duration such as 55s, 50ms or 1m30s was expected, not {quoted(value)}")
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def expand(value: Any, env: Mapping[str, str]) -> Any:
    """Return the value with `${NAME}` and `${NAME:-default}` replaced, inside mappings and lists too.

    A value of which only variables that are not set remain is None, so that its line has no effect.
    """
    if isinstance(value, Mapping):
        return {key: expand(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, env) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    expanded = _VARIABLE.sub(lambda found: env.get(found[1]) or found[2] or "", value)
    names = [found[1] for found in _VARIABLE.finditer(value) if env.get(found[1])]
    if not expanded.strip():
        return None
    return VariableText(expanded, names) if names else expanded


def snake_case(name: str) -> str:
    """Return `max_provider_concurrency` for `maxProviderConcurrency`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def snake_keys(section: object, where: str) -> dict[str, Any]:
    """Return a section with its keys in snake_case.

    Raises:
        SettingsError: It is no mapping, or has one key in two spellings.
    """
    keys: dict[str, Any] = {}
    fields = {}
    for key, value in mapping_of(section, where).items():
        name = snake_case(str(key))
        if name in keys:
            raise SettingsError(f"{where}: {keys[name]} and {key} are one setting; keep one of them")
        keys[name], fields[name] = key, value
    return fields


def number_of(value: object, where: str) -> float:
    """Return a number, which may be written as text.

    Raises:
        SettingsError: It is another value.
    """
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"{where}: a number was expected, not {quoted(value)}")
    return _as_float(value, where)


def _as_float(value: float, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise SettingsError(f"{where}: the number is too large") from None


def whole_number(value: object, where: str) -> int:
    """Return a whole number, which may be written as text.

    Raises:
        SettingsError: It is another value.
    """
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,300}\s*", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingsError(f"{where}: a whole number was expected, not {quoted(value)}")
    return value


def yes_or_no(value: object, where: str) -> bool:
    """Return a bool. Raise SettingsError for anything else."""
    if not isinstance(value, bool):
        raise SettingsError(f"{where}: true or false was expected, not {quoted(value)}")
    return value


def text_of(value: object, where: str) -> str | None:
    """Return a text, or None for an empty one.

    Raises:
        SettingsError: It is another value, or the name of a variable in the form of LiteLLM.
    """
    if value is not None and not isinstance(value, str):
        raise SettingsError(f"{where}: text was expected, not {type(value).__name__}")
    if value is not None and value.startswith(_LITELLM_VARIABLE) and not isinstance(value, VariableText):
        raise SettingsError(f"{where}: write ${{{value.removeprefix(_LITELLM_VARIABLE)}}} for a variable, not {value}")
    return value or None


def mapping_of(value: object, where: str) -> Mapping[str, Any]:
    """Return a mapping; an empty one for None.

    Raises:
        SettingsError: It is another value.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        # Without the value: in its place, people write a key.
        kind = "text" if isinstance(value, str) else type(value).__name__
        raise SettingsError(f"{where}: a mapping was expected, not {kind}")
    return value


def known_only(section: Mapping[str, Any], where: str, names: Iterable[str]) -> Mapping[str, Any]:
    """Return a section, if it has no other keys than these.

    Raises:
        SettingsError: It has another key.
    """
    known = list(names)
    for name in section:
        if name not in known:
            place = f"{where}.{name}" if where else str(name)
            raise SettingsError(f"{place}: no such setting{did_you_mean(str(name), known)}")
    return section
