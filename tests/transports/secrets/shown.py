"""Secrets that no output may show, and what reports about an exception show of its local variables."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from rich.pretty import pretty_repr

from turnout.redaction import secret_forms

__all__ = ["HEADER", "KEY", "PASSWORD", "leaks"]

# They are globals and never local variables of a test, so that no frame of a test shows them. One is longer than the
# texts that rich shows whole, as many keys are.
KEY = "sk-proj-" + "Kx7dQ2m9" * 18
HEADER = "own-Zt4 w/Y+8rLq:Nb3"
PASSWORD = "p@ss/Wd9 fJ2&vH5"
_BEGINNING = 14  # a text that is cut still shows the beginning of a secret
_FORMS = tuple(
    {
        form
        for secret in (KEY, HEADER, PASSWORD)
        for part in (secret, secret[:_BEGINNING])
        for form in secret_forms(part)
    }
)
# As rich.traceback.install(show_locals=True) shows them, and with more of each value.
_LIMITS = ((10, 80), (100, 2_000))


def leaks(error: BaseException) -> list[str]:
    """Return where a secret is shown: in an exception, its causes, or the local variables of their frames."""
    found = []
    for one in _chain(error):
        texts = {
            "str": str(one),
            "repr": repr(one),
            "vars": str(vars(one)),
            "notes": str(getattr(one, "__notes__", "")),
        }
        found += [f"{type(one).__name__}: {name}" for name, text in texts.items() if _has_secret(text)]
        for frame, line in traceback.walk_tb(one.__traceback__):
            where = f"{frame.f_code.co_filename.rpartition('/')[2]}:{line} {frame.f_code.co_name}"
            found += [f"{where}: {name}" for name, value in frame.f_locals.items() if _shows_secret(value)]
    return list(dict.fromkeys(found))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen[id(one)] = one
        yield one
        context = None if one.__suppress_context__ else one.__context__
        waiting += [one.__cause__, context, *getattr(one, "errors", ()), *getattr(one, "exceptions", ())]


def _shows_secret(value: object) -> bool:
    texts = (pretty_repr(value, max_length=length, max_string=string) for length, string in _LIMITS)
    return _has_secret(repr(value)) or any(map(_has_secret, texts))


def _has_secret(text: str) -> bool:
    return any(form in text for form in _FORMS)
