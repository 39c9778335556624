"""Text, JSON and YAML of files that people or other programs write, with errors that name the place.

A small file can describe an endless or a huge value: deep nesting, aliases of aliases, numbers of many digits. Each is
a `DocumentError` here, and not an error of the parser.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from turnout._utils.validation import quoted

__all__ = [
    "MAX_VALUES",
    "DocumentError",
    "compose_yaml",
    "decode_text",
    "parse_json",
    "parse_json_line",
    "parse_yaml",
    "refuse_repeated_keys",
]

# Values of one document. Each alias counts as all values that it refers to. The largest real files have some thousands.
MAX_VALUES = 1_000_000
# Byte order marks. Editors of Windows write UTF-16.
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
          (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))  # fmt: skip


class DocumentError(ValueError):
    """A document that cannot be read.

    Attributes:
        problem: What is wrong, without the line.
        line: The line with the problem, from 1. None if it is not known.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem if line is None else f"line {line}: {problem}")
        self.problem = problem
        self.line = line


def decode_text(data: bytes) -> str:
    """Return the text of a file in UTF-8, or in the encoding of its byte order mark.

    Raises:
        DocumentError: If it is in another encoding.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DocumentError(f"this is not {encoding.upper()}; save the file in UTF-8", line) from None
    if "\x00" in text:
        raise DocumentError("this is UTF-16 without a byte order mark, or no text; save the file in UTF-8")
    return text


def parse_json(text: str) -> Any:
    """Return the value of a JSON document.

    Raises:
        DocumentError: If it is not JSON, or is nested too deeply, or has a number that is too large, or an object has
            a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except DocumentError:
        raise
    except json.JSONDecodeError as error:
        raise DocumentError(f"this is not JSON: {error.msg}", error.lineno) from None
    except RecursionError:
        raise DocumentError("the values are nested too deeply") from None
    except ValueError as error:  # an integer with too many digits
        raise DocumentError(f"this is not JSON that can be read: {error}") from None


def parse_json_line(line: bytes) -> Any:
    """Return the value of one line of a file with a JSON document in each line. The caller names the line.

    Raises:
        DocumentError: As `parse_json` and `decode_text`.
    """
    try:
        return parse_json(decode_text(line))
    except DocumentError as error:
        raise DocumentError(error.problem) from None


def refuse_repeated_keys(line: bytes, value: object) -> None:
    """Raise DocumentError if an object in a JSON document has a key twice.

    A fast decoder keeps one of two values, without a word. So its result has fewer colons than the document, unless
    the document spells a colon as an escape. The slow parser reads only the documents that can be wrong.

    Args:
        line: The document.
        value: What `msgspec` made of it.
    """
    if line.count(b":") != msgspec.json.encode(value).count(b":") or b"\\u003" in line:
        parse_json_line(line)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise DocumentError(f"the key {quoted(twice)} is there twice in one object")
    return fields


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML document, None if it is empty. Needs PyYAML.

    Raises:
        DocumentError: If it is not YAML, or is too deep or too large, or a mapping has a key twice.
        ImportError: If PyYAML is not installed.
    """
    import yaml

    try:
        document = yaml.load(text, Loader=_loader())
        size = _count_values(document)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise DocumentError(f"this is not YAML: {problem}", None if mark is None else mark.line + 1) from None
    except RecursionError:
        raise DocumentError("the values are nested too deeply, or an alias contains itself") from None
    if size > MAX_VALUES:
        raise DocumentError(f"the aliases stand for more than {MAX_VALUES:,} values")
    return document


def compose_yaml(text: str) -> Any:
    """Return the nodes of a YAML document, which know their lines. `parse_yaml` has read it before, so it is safe."""
    import yaml

    return yaml.compose(text, Loader=_loader())


@functools.cache
def _loader() -> Any:
    import yaml
    from yaml.composer import ComposerError

    class Loader(yaml.SafeLoader):
        """The safe loader. It also names the line of a value that cannot exist, and of a key that is there twice."""

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                    continue
                if (key.tag, key.value) in seen:
                    problem = f"the key {quoted(key.value)} is there twice in one mapping"
                    raise ComposerError(None, None, problem, key.start_mark)
                seen.add((key.tag, key.value))
            return node

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, TypeError, OverflowError, KeyError, IndexError) as error:
                problem = f"the value cannot be read ({type(error).__name__})"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    return Loader


def _count_values(document: object) -> int:
    """Return how many values a document has when each alias is replaced by its value."""
    known: dict[int, int] = {}

    def count(value: object) -> int:
        if isinstance(value, Mapping):
            parts: Any = (part for item in value.items() for part in item)
        elif isinstance(value, list | tuple | set):
            parts = value
        else:
            return 1
        found = known.get(id(value))
        if found is None:
            found = known[id(value)] = 1 + sum(map(count, parts))
        return found

    return count(document)
