"""The white space at the end of a prefill.

Anthropic refuses a prefill that ends in white space, and other models continue it badly, because their tokens begin
with the white space between words. So it is not sent, and the model may write it again. The caller has it already, so
the continuation is given out without its repetition: `prefill + answer` has each blank once.
"""

from __future__ import annotations

import attrs

from turnout.messages import Message, Role
from turnout.types.parts import Text

__all__ = ["trailing_blanks", "without_trailing_blanks"]


def trailing_blanks(message: Message) -> str:
    """Return the white space at the end of an assistant's text; "" if it ends in something else."""
    if message.role is not Role.ASSISTANT or message.tool_calls:
        return ""
    blanks = ""
    for part in reversed(message.content):
        if not isinstance(part, Text):
            break
        rest = part.text.rstrip()
        blanks = part.text[len(rest) :] + blanks
        if rest:
            break
    return blanks


def without_trailing_blanks(message: Message) -> Message | None:
    """Return the message without that white space; None if nothing else is in it."""
    if not trailing_blanks(message):
        return message
    content = list(message.content)
    while content and isinstance(part := content[-1], Text):
        rest = part.text.rstrip()
        content[-1:] = [attrs.evolve(part, text=rest)] if rest else []
        if rest:
            break
    return attrs.evolve(message, content=tuple(content)) if content else None
