"""Names the right form for values of another type, and for messages that are written as another library does."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["form_of", "form_of_part", "form_of_role"]

_FORMS: Mapping[str, str] = {
    "BreakerPolicy": "BreakerPolicy(consecutive_failures=5)",
    "Choice": "Choice('openai/gpt-4o-mini', weight=2)",
    "Hedge": "Hedge(delay=0.5)",
    "Limit": "Limit(requests_per_minute=60)",
    "Price": "Price(0.15, 0.60)",
    "Timeouts": "Timeouts(first_token=30)",
    "ToolChoice": "the name of the tool, or 'auto', 'none' or 'required'",
}
_TEXT = "write {'type': 'text', 'text': '…'}"
_IMAGE = "write {'type': 'image_url', 'image_url': {'url': '…'}}, or Image(…)"
_RESULT = "write a message: Message.tool(call, '…'), or {'role': 'tool', 'tool_call_id': '…', 'content': '…'}"
_PARTS: Mapping[str, str] = {
    **dict.fromkeys(("input_text", "output_text"), _TEXT),
    "input_image": _IMAGE,
    **dict.fromkeys(("document", "input_file"), "write File.from_path('plan.pdf')"),
    **dict.fromkeys(("tool_use", "tool_call", "function_call"), "write the call into tool_calls of the message"),
    **dict.fromkeys(("tool_result", "function_call_output"), _RESULT),
}
_ROLES: Mapping[str, str] = {
    **dict.fromkeys(("model", "ai", "bot", "chatbot"), "write 'assistant'"),
    "human": "write 'user'",
    "function": "write 'tool'",
}


def form_of(kind: str) -> str:
    """Return the end of an error about a value that is no instance of a class: how one is written."""
    return f": write {_FORMS[kind]}" if kind in _FORMS else ""


def form_of_part(name: object) -> str:
    """Return the end of an error about a kind of part that another library has."""
    return f": {_PARTS[name]}" if isinstance(name, str) and name in _PARTS else ""


def form_of_role(role: object) -> str:
    """Return the end of an error about a role that another library has, or a text in its place."""
    word = role.strip().lower() if isinstance(role, str) else ""
    if isinstance(role, Mapping):
        return ": write Message.from_dict({…})"
    if word in ("system", "developer", "user", "assistant", "tool"):
        return f": write {word!r}"
    return f": {_ROLES.get(word) or 'the role comes first; a text of the user is Message.user(…)'}"
