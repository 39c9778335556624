"""Reads a fault script from a file.

The file is YAML or JSON: a mapping from provider to a list of faults, played in order, one a request. A fault is a
mapping of the fields of `Fault`; an empty one ({}) is a healthy answer. A mapping may replace the list, with
`faults` (the list) and `forever: true` (play it again and again), and `answer` (the text of every chat answer).

    openai:
      - status: 429
        headers: {retry-after: "2"}
      - {delay: 0.5, abort: reset, after_tokens: 3}
      - {}
    gemini:
      faults: [{error: quota}]
      forever: true
    ollama:
      answer: The answer is always this.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import attrs

from turnout._utils.documents import DocumentError, decode_text, parse_json, parse_yaml
from turnout.errors import LocalProtocolError
from turnout_sandbox.faults import Fault

__all__ = ["ProviderScript", "read_script", "script_of"]


@attrs.frozen
class ProviderScript:
    faults: tuple[Fault, ...] = ()
    forever: bool = False
    answer: str | None = None


def read_script(path: str | pathlib.Path) -> dict[str, ProviderScript]:
    """Read a script.

    Returns:
        The scripts by provider.

    Raises:
        OSError: The file cannot be read.
        LocalProtocolError: A provider, a field or a value is unknown.
    """
    data = pathlib.Path(path).read_bytes()
    try:
        return script_of(_parsed(decode_text(data), json_only=str(path).endswith(".json")))
    except (LocalProtocolError, DocumentError) as error:
        raise LocalProtocolError(f"{path}: {error}") from error


def script_of(data: object) -> dict[str, ProviderScript]:
    """The script in plain data. Raises LocalProtocolError."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise LocalProtocolError("a script is a mapping from provider to a list of faults")
    return {str(provider): _entry(str(provider), entry) for provider, entry in data.items()}


def _entry(provider: str, entry: Any) -> ProviderScript:
    if isinstance(entry, Mapping):
        unknown = sorted(set(entry) - {"faults", "forever", "answer"})
        if unknown:
            raise LocalProtocolError(f"{provider}: {unknown[0]!r} is not known; use faults, forever, answer")
        faults, forever, answer = entry.get("faults") or [], entry.get("forever", False), entry.get("answer")
    else:
        faults, forever, answer = entry or [], False, None
    if not isinstance(faults, list) or not all(fault is None or isinstance(fault, Mapping) for fault in faults):
        raise LocalProtocolError(f"{provider}: a list of faults is expected, each a mapping")
    if not isinstance(forever, bool) or not (answer is None or isinstance(answer, str)):
        raise LocalProtocolError(f"{provider}: forever is true or false, and answer a text")
    try:
        return ProviderScript(tuple(Fault.from_mapping(fault or {}) for fault in faults), forever, answer)
    except (LocalProtocolError, TypeError, ValueError) as error:
        raise LocalProtocolError(f"{provider}: {error}") from error


def _parsed(text: str, *, json_only: bool) -> Any:
    try:
        return parse_json(text)  # all JSON is YAML, and needs no package
    except DocumentError as error:
        if json_only:
            raise LocalProtocolError(f"the script cannot be read: {error}") from error
    try:
        return parse_yaml(text)
    except ImportError:
        raise LocalProtocolError("a script in YAML needs PyYAML: pip install 'turnout[config]'") from None
    except DocumentError as error:
        raise LocalProtocolError(f"the script cannot be read: {error}") from error
