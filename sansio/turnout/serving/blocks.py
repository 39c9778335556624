"""Orders the events of an answer into blocks, of which one is open at a time.

Messages and Responses stream an answer as a sequence of blocks: text, reasoning, tool calls, and others. Turnout's
events can interleave: a provider can send pieces of two tool calls in turn, or text between them. `BlockSequencer`
keeps the events of other blocks back until the JSON of the open call is complete, and then releases them in their
order.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias, assert_never

import attrs

from turnout.events import (
    AudioDelta,
    CommentaryDelta,
    End,
    Event,
    LogprobsDelta,
    PartReady,
    PartSigned,
    Reasoning,
    RefusalDelta,
    Restarted,
    Token,
    ToolCallDelta,
    ToolCallReady,
)
from turnout.messages import Audio, Image, Opaque
from turnout.serving.errors import restart_not_possible
from turnout.serving.held_arguments import HeldArguments
from turnout.serving.request_json import decode_value

__all__ = ["BlockClosed", "BlockDelta", "BlockKind", "BlockOpened", "BlockSequencer", "Step", "WholePart"]


class BlockKind(enum.Enum):
    TEXT = "text"
    COMMENTARY = "commentary"
    REFUSAL = "refusal"
    REASONING = "reasoning"
    CALL = "tool call"


@attrs.frozen
class BlockOpened:
    """A block begins. `call` is the index of its tool call, -1 for other blocks."""

    kind: BlockKind
    call: int = -1


@attrs.frozen
class BlockDelta:
    """A piece of the open block, never empty."""

    delta: str


@attrs.frozen
class BlockClosed:
    """The open block ends. `signature` is the provider's proof for it, None if there is none."""

    kind: BlockKind
    call: int = -1
    signature: str | None = None


@attrs.frozen
class WholePart:
    """A part that is a separate block. No block is open."""

    part: Image | Audio | Opaque


Step: TypeAlias = BlockOpened | BlockDelta | BlockClosed | WholePart

_NO_CALL: Final = -1


@attrs.define(eq=False)
class BlockSequencer:
    """Turns events into steps. After `finish`, every block that was opened is closed.

    Args:
        open: The kind of the open block, None if no block is open.
    """

    open: BlockKind | None = attrs.field(default=None, init=False)
    _call: int = attrs.field(default=_NO_CALL, init=False)
    _begun: set[int] = attrs.field(factory=set, init=False)
    _arguments: HeldArguments = attrs.field(factory=HeldArguments, init=False)
    _pieces: list[str] = attrs.field(factory=list, init=False)
    _waiting: list[Event] = attrs.field(factory=list, init=False)

    def receive(self, event: Event) -> list[Step]:
        """Return the steps that an event allows, in their order."""
        steps: list[Step] = []
        self._take(event, steps)
        return steps

    def finish(self) -> list[Step]:
        """Close the open block, and release everything that waits."""
        steps: list[Step] = []
        while self.open is not None:
            self._close(steps)
            self._release(steps)
        return steps

    def _take(self, event: Event, steps: list[Step]) -> None:
        match event:
            case Token(delta):
                self._text(BlockKind.TEXT, delta, event, steps)
            case Reasoning(delta):
                self._text(BlockKind.REASONING, delta, event, steps)
            case CommentaryDelta(delta):
                self._text(BlockKind.COMMENTARY, delta, event, steps)
            case RefusalDelta(delta):
                self._text(BlockKind.REFUSAL, delta, event, steps)
            case PartSigned(kind, signature):
                self._sign(BlockKind.REASONING if kind == "reasoning" else BlockKind.TEXT, signature, event, steps)
            case PartReady(part):
                if self._make_room(event, steps):
                    steps.append(WholePart(part))
            case ToolCallDelta(index, delta):
                if self._is_call(index):
                    self._add_arguments(self._arguments.receive(delta), steps)
                elif index not in self._begun and self._make_room(event, steps):
                    self._open_call(index, steps)
                    self._add_arguments(self._arguments.receive(delta), steps)
            case ToolCallReady(index, call):
                if not self._is_call(index):
                    if index in self._begun or not self._make_room(event, steps):
                        return
                    self._open_call(index, steps)
                self._add_arguments(self._arguments.rest(call.arguments), steps)
                if self._is_call(index):  # otherwise these arguments completed it, and another block is open
                    self._close(steps)
                    self._release(steps)
            case End():
                steps += self.finish()
            case Restarted():
                raise restart_not_possible()
            case AudioDelta() | LogprobsDelta():
                pass  # no protocol with blocks has a place for them
            case _:
                assert_never(event)

    def _text(self, kind: BlockKind, delta: str, event: Event, steps: list[Step]) -> None:
        if self.open is not kind:
            if not self._make_room(event, steps):
                return
            self.open = kind
            steps.append(BlockOpened(kind))
        steps.append(BlockDelta(delta))

    def _sign(self, kind: BlockKind, signature: str, event: Event, steps: list[Step]) -> None:
        """End the block that is signed. A signature without a block is one of an empty block."""
        if self.open is not kind:
            if kind is BlockKind.TEXT or not self._make_room(event, steps):
                return
            self.open = kind
            steps.append(BlockOpened(kind))
        self._close(steps, signature)

    def _is_call(self, index: int) -> bool:
        return self.open is BlockKind.CALL and self._call == index

    def _open_call(self, index: int, steps: list[Step]) -> None:
        self.open, self._call = BlockKind.CALL, index
        self._begun.add(index)
        self._arguments = HeldArguments()
        self._pieces = []
        steps.append(BlockOpened(BlockKind.CALL, index))

    def _add_arguments(self, delta: str, steps: list[Step]) -> None:
        if not delta:
            return
        self._pieces.append(delta)
        steps.append(BlockDelta(delta))
        if self._waiting and self._is_complete():
            self._close(steps)
            self._release(steps)

    def _make_room(self, event: Event, steps: list[Step]) -> bool:
        """Close the open block if it is complete. Otherwise keep the event, and return False."""
        if self.open is BlockKind.CALL and (self._waiting or not self._is_complete()):
            self._waiting.append(event)
            return False
        if self.open is not None:
            self._close(steps)
        return True

    def _is_complete(self) -> bool:
        """True if the arguments of the open call are a whole JSON object, which no further piece can extend."""
        if not self._pieces or not self._pieces[-1].rstrip().endswith("}"):
            return False
        try:
            return isinstance(decode_value("".join(self._pieces)), dict)
        except ValueError:
            return False

    def _close(self, steps: list[Step], signature: str | None = None) -> None:
        assert self.open is not None
        steps.append(BlockClosed(self.open, self._call if self.open is BlockKind.CALL else _NO_CALL, signature))
        self.open, self._call = None, _NO_CALL

    def _release(self, steps: list[Step]) -> None:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._take(event, steps)
