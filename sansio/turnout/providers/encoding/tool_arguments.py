"""A tool call's arguments for the dialects that want them back as an object, not as the text that the model wrote."""

from __future__ import annotations

import json
from typing import Any

from turnout.messages import ToolCall

__all__ = ["arguments_object"]


def arguments_object(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object; what is none (an answer that was cut, say) goes inside one, under `arguments`."""
    try:
        document = json.loads(call.arguments or "{}", strict=False)  # models write raw line breaks into their strings
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"arguments": call.arguments}
