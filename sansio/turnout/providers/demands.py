"""The demands of a request, and whether an answer meets them."""

from __future__ import annotations

from turnout._utils.json_text import is_json
from turnout.chat import ChatRequest

__all__ = ["demands_call", "unmet_demands"]


def demands_call(request: ChatRequest) -> bool:
    """Return whether the request demands a tool call."""
    choice = request.tool_choice
    return choice is not None and choice.mode in ("required", "named")


def unmet_demands(text: str, *, wants_json: bool, wants_call: bool, has_calls: bool, refused: bool) -> tuple[str, ...]:
    """Return the demands that an answer does not meet (see `ChatResponse.unmet`). A tool call meets all of them.

    Args:
        text: The text of the answer. It is read only if JSON is demanded.
        wants_json: Whether the request demands JSON as the text.
        wants_call: Whether the request demands a tool call.
        has_calls: Whether the answer has a tool call.
        refused: Whether the model gave a reason not to answer: its words are no JSON.
    """
    if has_calls:
        return ()
    json = ("response_format",) if wants_json and not refused and not is_json(text) else ()
    return (*json, "tool_choice") if wants_call else json
