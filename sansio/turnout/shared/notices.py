"""The notices that processes exchange about candidates: cooldowns, and breakers that opened or closed.

Only durations travel. A notice can only extend a known rest, and by `most` seconds at most. Other texts are ignored. So
notices from the store never keep a candidate away for longer than the router itself would.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, cast

import attrs

from turnout.shared.store.resp import RespValue

__all__ = ["LONGEST_NOTICE", "Notice", "NoticeBoard", "NoticeKind"]

NoticeKind: TypeAlias = Literal["cooldown", "opened", "closed"]
KINDS: Final = frozenset({"cooldown", "opened", "closed"})

LONGEST_NOTICE: Final = 300.0
"""Seconds; the longest rest of a candidate that one process may tell the others."""

LONGEST_TEXT: Final = 400  # bytes of one message
MOST_FIELDS: Final = 10_000  # of a snapshot

_STORED = re.compile(r"([0-9]{1,16})\|([0-9]{1,9})\|(.{1,100})\Z", re.DOTALL)
_MESSAGE = re.compile(r"([0-9]{1,15})\|(.{1,250})\|([a-z]{1,10})\|([0-9]{1,12})\|([0-9]{1,9})\|(.{1,100})\Z", re.DOTALL)


@attrs.frozen
class Notice:
    """A fact that one process learned about a candidate.

    Attributes:
        candidate: provider/model.
        kind: A `cooldown` that the provider requested, a breaker that `opened`, or one that `closed`.
        remaining: Seconds that it lasts; 0 for `closed`.
        count: How many times the breaker has opened in a row.
    """

    candidate: str
    kind: NoticeKind
    remaining: float = 0.0
    count: int = 0


@attrs.define(eq=False)
class _Own:
    notice: Notice
    until: float


@attrs.define(eq=False)
class NoticeBoard:
    """Notices of this process on their way out, and of others on their way in.

    Attributes:
        process: The identifier of this process. It receives its own notices too, and skips them.
        most: Seconds; the longest notice that is believed.
        stale: True if notices may have been missed, so that all must be fetched.
    """

    process: str
    most: float = LONGEST_NOTICE
    stale: bool = attrs.field(default=True, init=False)
    _version: int = attrs.field(default=0, init=False)
    _own: dict[tuple[str, NoticeKind], _Own] = attrs.field(factory=dict, init=False)
    _outgoing: dict[tuple[str, NoticeKind], None] = attrs.field(factory=dict, init=False)

    @property
    def unsent(self) -> bool:
        """True if a notice of this process is to be sent."""
        return bool(self._outgoing)

    def publish(self, notice: Notice, now: float) -> None:
        """Note a fact of this process; `take_outgoing` returns it."""
        key = (notice.candidate, notice.kind)
        remaining = min(notice.remaining, self.most)
        if notice.kind == "closed":
            self._own.pop((notice.candidate, "opened"), None)
            self._outgoing.pop((notice.candidate, "opened"), None)
        else:
            self._outgoing.pop((notice.candidate, "closed"), None)
            if remaining <= 0:
                return
        self._own[key] = _Own(attrs.evolve(notice, remaining=remaining), now + remaining)
        self._outgoing[key] = None

    def take_outgoing(self, now: float) -> tuple[Notice, ...]:
        """Return the notices to send now, with what remains of them."""
        outgoing, self._outgoing = self._outgoing, {}
        found = []
        for key in outgoing:
            own = self._own.get(key)
            if own is None:
                continue
            if own.notice.kind == "closed":
                del self._own[key]  # published once
                found.append(own.notice)
            elif own.until > now:
                found.append(attrs.evolve(own.notice, remaining=own.until - now))
        return tuple(found)

    def say_again(self, now: float) -> None:
        """Send again what still holds: the store may have lost it."""
        self._own = {key: own for key, own in self._own.items() if own.until > now}
        self._outgoing.update(dict.fromkeys(self._own))

    def receive_message(self, text: bytes) -> Notice | None:
        """Return the notice that a message of the channel holds; None if it is not one, or is our own."""
        found = _MESSAGE.match(_text(text, LONGEST_TEXT))
        if found is None or found[3] not in KINDS:
            return None
        version = int(found[1])
        if version != self._version + 1:
            self.stale = True  # one was missed, or the store began again
        self._version = version
        if found[6] == self.process:
            return None
        return self._notice(found[2], found[3], int(found[4]), int(found[5]))

    def receive_snapshot(self, fields: Sequence[tuple[RespValue, RespValue]], now: int) -> tuple[Notice, ...]:
        """Return the notices of all processes that a snapshot holds.

        Args:
            fields: The hash in the store.
            now: Milliseconds; the store's clock.
        """
        self.stale = False
        found = []
        for name, value in fields[:MOST_FIELDS]:
            field, text = _text(name, LONGEST_TEXT), _text(value, LONGEST_TEXT)
            if field == "v":
                self._version = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
                continue
            candidate, _, kind = field.rpartition("|")
            stored = _STORED.match(text)
            if candidate and kind in KINDS and stored is not None and stored[3] != self.process:
                notice = self._notice(candidate, kind, int(stored[1]) - now, int(stored[2]))
                if notice is not None:
                    found.append(notice)
        return tuple(found)

    def _notice(self, candidate: str, kind: str, milliseconds: int, count: int) -> Notice | None:
        remaining = min(milliseconds / 1000, self.most)
        if kind != "closed" and remaining <= 0:
            return None
        return Notice(candidate, cast("NoticeKind", kind), max(0.0, remaining), count)


def _text(value: RespValue, most: int) -> str:
    """Return a blob as text; "" if it is something else, or too long."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) and len(value) <= most else ""
