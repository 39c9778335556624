"""A quick look at the messages of a conversation."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

__all__ = ["all_plain_text"]

_kept = operator.attrgetter("_is_plain_text")


def all_plain_text(messages: Iterable[Any]) -> bool:
    """Return `Message.is_plain_text` of all messages together. Most of a long conversation were looked at before."""
    try:
        return all(map(_kept, messages))
    except AttributeError:
        return all([message.is_plain_text for message in messages])  # noqa: C419 - looks at all, for the next time
