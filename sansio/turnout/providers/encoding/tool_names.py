"""Names of tools as a provider accepts them.

A caller's name may be any of the Model Context Protocol: letters, digits and `_ - . : /`, up to 128 characters.
Most providers accept fewer characters and fewer of them. A name that is not accepted is replaced by one that is; the
response's tool calls get the caller's name back.

Sources: the OpenAI and Anthropic API references ("tools"), google-genai's `FunctionDeclaration`, and botocore's model
of Converse (`ToolName`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import attrs

__all__ = ["ANTHROPIC_TOOL_NAMES", "GEMINI_TOOL_NAMES", "OPENAI_TOOL_NAMES", "ToolNameRule", "wire_names"]

_HASH_LENGTH = 8


@attrs.frozen
class ToolNameRule:
    """The names that a provider accepts.

    Attributes:
        characters: The allowed characters, as the inside of a regular expression's character class.
        max_length: The number of characters.
        first: The characters that a name can begin with, likewise.
    """

    characters: str
    max_length: int
    first: str = ""
    _pattern: re.Pattern[str] = attrs.field(init=False, repr=False, eq=False)
    _not_allowed: re.Pattern[str] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        begin = f"(?=[{self.first}])" if self.first else ""
        object.__setattr__(self, "_pattern", re.compile(f"{begin}[{self.characters}]{{1,{self.max_length}}}"))
        object.__setattr__(self, "_not_allowed", re.compile(f"[^{self.characters}]"))

    def accepts(self, name: str) -> bool:
        """Return whether the provider accepts this name as it is."""
        return self._pattern.fullmatch(name) is not None

    def accepted(self, name: str, taken: Iterable[str]) -> str:
        """Return a name that the provider accepts and that is none of `taken`; the same one for the same arguments."""
        wanted = self._not_allowed.sub("_", name)
        if self.first and not re.match(f"[{self.first}]", wanted):
            wanted = f"_{wanted}"
        if len(wanted) <= self.max_length and wanted not in taken:
            return wanted
        # Two long names often differ only near their ends, so a hash of the whole name keeps them different.
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
        return f"{wanted[: self.max_length - _HASH_LENGTH - 1]}_{digest}"


OPENAI_TOOL_NAMES = ToolNameRule("A-Za-z0-9_-", 64)
"""The smallest set among the providers, so it is also used for those that do not document one."""
ANTHROPIC_TOOL_NAMES = ToolNameRule("A-Za-z0-9_-", 128)
GEMINI_TOOL_NAMES = ToolNameRule("A-Za-z0-9_.:-", 128, first="A-Za-z_")


def wire_names(names: Iterable[str], rule: ToolNameRule) -> dict[str, str]:
    """Return the replacement of each name that the provider does not accept."""
    given = dict.fromkeys(names)
    refused = [name for name in given if not rule.accepts(name)]
    if not refused:
        return {}
    taken = given.keys() - refused
    replaced: dict[str, str] = {}
    for name in refused:
        replaced[name] = rule.accepted(name, taken)
        taken.add(replaced[name])
    return replaced
