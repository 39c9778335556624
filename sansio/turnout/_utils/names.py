"""Tables by the name of a provider or a model, with wildcard entries, and suggestions for names that are misspelled."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

__all__ = ["Elsewhere", "NameTable", "account_of", "did_you_mean", "matches", "vendor_of"]

T = TypeVar("T")

# Between the name of a provider and the name of one of its keys: `openai#2`.
ACCOUNT_MARK = "#"


class Elsewhere:
    """Has the place of a class attribute that other libraries have. Its error names the right spelling."""

    def __init__(self, advice: str) -> None:
        self._advice = advice
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> object:
        raise AttributeError(f"{owner.__name__} has no {self._name!r}: {self._advice}")


class NameTable(dict[str, T]):
    """A table by names, in which a key such as `openai/*` or `gpt-5*` is for every name that matches it.

    Attributes:
        patterns: The keys with a wildcard. The longest one is first, because it is the most specific.
    """

    __slots__ = ("patterns",)

    def __init__(self, entries: Mapping[str, T] | Iterable[tuple[str, T]] = ()) -> None:
        super().__init__(entries)
        wild = [key for key in self if isinstance(key, str) and "*" in key]
        self.patterns = tuple(sorted(wild, key=len, reverse=True))

    def find(self, *names: str) -> T | None:
        """Return the entry of the first name that is a key, else of the first pattern that matches a name."""
        for name in names:
            found = self.get(name)
            if found is not None:
                return found
        for pattern in self.patterns:
            if any(matches(pattern, name) for name in names):
                return self[pattern]
        return None


def matches(pattern: str, name: str) -> bool:
    """True if the name begins and ends as the pattern does around its first `*`."""
    head, _, tail = pattern.partition("*")
    return len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail)


def account_of(provider: str, key: str) -> str:
    """Return the name of one key of a provider, such as `openai#2`."""
    return f"{provider}{ACCOUNT_MARK}{key}"


def vendor_of(name: str) -> str:
    """Return a provider's name, or a model's, without the name of the key: `openai/gpt-5` for `openai#2/gpt-5`."""
    mark = name.find(ACCOUNT_MARK)
    if mark < 0:
        return name
    slash = name.find("/")
    if slash < 0:
        return name[:mark]
    return name if slash < mark else name[:mark] + name[slash:]


def did_you_mean(name: str, known: Iterable[str], similarity: float = 0.6) -> str:
    """Return the end of an error message about an unknown name: the nearest known name, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, similarity)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names) or 'none'}"
