"""Fills templates of JSON values: the records of the vendors hold their fields, ids and error bodies as such templates.

A string may contain `{name}` for a value, and `{alphabet:length}` for random characters, such as `{hex:32}`. A string
that is one placeholder becomes the value itself, of whatever type; any other string becomes text.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Mapping
from typing import Any

__all__ = ["fill"]

_ALPHABETS = {
    "alnum": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "lower": "abcdefghijklmnopqrstuvwxyz0123456789",
    "hex": "0123456789abcdef",
    "crockford": "0123456789abcdefghjkmnpqrstvwxyz",
    "digits": "0123456789",
}
_PLACEHOLDER = re.compile(r"\{(\w+)(?::(\d+))?\}")


def fill(template: Any, values: Mapping[str, Any], rng: random.Random) -> Any:
    """Return the template with its placeholders replaced.

    Args:
        template: A JSON value.
        values: The values by name; `{uuid}` and the alphabets need none.
        rng: Draws the random characters.

    Raises:
        KeyError: The template names a value that is not there.
    """
    if isinstance(template, Mapping):
        return {name: fill(part, values, rng) for name, part in template.items()}
    if isinstance(template, list | tuple):
        return [fill(part, values, rng) for part in template]
    if not isinstance(template, str) or "{" not in template:
        return template
    whole = _PLACEHOLDER.fullmatch(template)
    if whole is not None:
        return _value(whole, values, rng)
    return _PLACEHOLDER.sub(lambda found: str(_value(found, values, rng)), template)


def _value(found: re.Match[str], values: Mapping[str, Any], rng: random.Random) -> Any:
    name, length = found.groups()
    if length is not None:
        return "".join(rng.choices(_ALPHABETS[name], k=int(length)))
    if name == "uuid":
        return str(uuid.UUID(int=rng.getrandbits(128), version=4))
    return values[name]
