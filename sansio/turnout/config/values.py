"""Readers of single values of a configuration. Their errors name the place of the value."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

from turnout._utils.names import did_you_mean
from turnout._utils.validation import quoted
from turnout.redaction import HIDDEN, Secret

__all__ = [
    "SettingsError",
    "VariableText",
    "address_of",
    "duration_seconds",
    "expand",
    "known_only",
    "mapping_of",
    "number_of",
    "quoted",
    "size_of",
    "snake_case",
    "snake_keys",
    "text_of",
    "whole_number",
    "without_variables",
]


class SettingsError(ValueError):
    """A setting cannot be used. The message names its place and the expected value.

    It never quotes the value of a variable, because that can be a secret.
    """


class VariableText(Secret):
    """A text that holds the values of variables. Its `repr` names them in place of the text.

    Attributes:
        values: The values, by the names of the variables.
    """

    def __new__(cls, text: str, values: Mapping[str, str] = MappingProxyType({})) -> Self:
        made = super().__new__(cls, text)
        made.values = {name: Secret(value) for name, value in values.items()}
        return made

    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"the value of {' and '.join(f'${{{name}}}' for name in self.values)}"


@contextlib.contextmanager
def without_variables(*sections: object) -> Iterator[None]:
    """Replace the values of variables in the message of a SettingsError by their names.

    The readers quote no value of a variable as a whole. But a class may quote a part of it, for example the model.

    Args:
        *sections: What is read, with its variables replaced.
    """
    try:
        yield
    except SettingsError as error:
        message = str(error)
        for value, shown in sorted(_hidden_texts(sections), key=lambda pair: len(pair[0]), reverse=True):
            message = message.replace(value, shown)
        if message == str(error):
            raise
        raise type(error)(message) from None


# A shorter value is no secret, and is found inside ordinary words.
_SHORTEST_SECRET = 6


def _hidden_texts(section: object) -> Iterator[tuple[str, str]]:
    """Yield each value of a variable in a section, with what an error shows in its place."""
    if isinstance(section, VariableText):
        pairs = [(value, f"${{{name}}}") for name, value in section.values.items()]
    elif isinstance(section, Secret):
        pairs = [(section, HIDDEN)]
    elif isinstance(section, Mapping):
        yield from _hidden_texts(list(section.values()))
        return
    elif isinstance(section, list | tuple):
        for item in section:
            yield from _hidden_texts(item)
        return
    else:
        return
    for value, shown in pairs:
        # Readers strip white space.
        if len(value.strip()) >= _SHORTEST_SECRET:
            yield value.strip(), shown


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
    values = {found[1]: env[found[1]] for found in _VARIABLE.finditer(value) if env.get(found[1])}
    if not expanded.strip():
        return None
    return VariableText(expanded, values) if values else expanded


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


_SIZE = re.compile(r"([0-9]{1,20})\s*(B|KB|MB|GB)?", re.IGNORECASE)
_SIZES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


def size_of(value: object, where: str) -> int:
    """Return the bytes of `32MB` or `256 KB`, or a number of bytes.

    Raises:
        SettingsError: It is another value.
    """
    text = quoted(value) if isinstance(value, int) else value
    found = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or isinstance(value, bool):
        raise SettingsError(f"{where}: a size such as 32MB was expected, not {quoted(value)}")
    return int(found[1]) * _SIZES[(found[2] or "B").upper()]


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


def address_of(value: object, where: str) -> str | None:
    """Return a URL; None if it is not given. An empty one is no wish for the usual address.

    Raises:
        SettingsError: It is empty, or no text.
    """
    if isinstance(value, str) and not value.strip():
        raise SettingsError(f"{where}: the address is empty; leave the line out if there is none")
    return text_of(value, where)


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


def _nowhere(name: str) -> None:
    """Know no other place of a key."""


def known_only(
    section: Mapping[str, Any], where: str, names: Iterable[str], elsewhere: Callable[[str], str | None] = _nowhere
) -> Mapping[str, Any]:
    """Return a section, if it has no other keys than these.

    Args:
        section: The section.
        where: Its place.
        names: The keys that it may have.
        elsewhere: Returns where a key belongs that another section has; None if none has it.

    Raises:
        SettingsError: It has another key.
    """
    known = list(names)
    for name in section:
        if name not in known:
            place = f"{where}.{name}" if where else str(name)
            home = elsewhere(str(name))
            advice = f": {home}" if home else did_you_mean(str(name), known)
            raise SettingsError(f"{place}: no such setting{advice}")
    return section
