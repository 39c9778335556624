"""The events of a stream.

Every event has `type`, a plain string, and `done`, which is true on the last one. Both of these work:

    if event.type == "token": print(event.delta)
    match event:
        case Token(delta): ...

Content commits a stream: once it has reached the caller, another attempt cannot begin unseen. `commits` decides which
events are content. A signature, an opaque part or log probabilities alone are none: a stream holds them back until
content follows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import attrs

from turnout._utils.serialization import Plain
from turnout.messages import Audio, Image, Opaque, ToolCall
from turnout.responses import FinishReason, Usage

if TYPE_CHECKING:
    from turnout.responses import ChatResponse

__all__ = [
    "CONTENT",
    "AudioDelta",
    "CommentaryDelta",
    "End",
    "Event",
    "LogprobsDelta",
    "PartReady",
    "PartSigned",
    "Reasoning",
    "RefusalDelta",
    "Restarted",
    "Token",
    "ToolCallDelta",
    "ToolCallReady",
    "commits",
]


class _Event(Plain):
    __slots__ = ()

    def to_dict(self: Any) -> dict[str, Any]:
        """Return plain values for JSON, with `type`. Bytes become base64."""
        return {"type": self.type, **Plain.to_dict(self)}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name, "Event")


# `define` and not `frozen` for the events of each token: half the cost, measured (0.17 against 0.38 µs an object).


@attrs.define(unsafe_hash=True)
class Token(_Event):
    """A piece of the answer's text, verbatim, never empty."""

    delta: str
    type: ClassVar[Literal["token"]] = "token"
    done: ClassVar[Literal[False]] = False


@attrs.define(unsafe_hash=True)
class Reasoning(_Event):
    """A piece of the model's reasoning, verbatim, never empty."""

    delta: str
    type: ClassVar[Literal["reasoning"]] = "reasoning"
    done: ClassVar[Literal[False]] = False


@attrs.define(unsafe_hash=True)
class CommentaryDelta(_Event):
    """A piece of a `Commentary` part: text for the user that is not the final answer. Verbatim, never empty."""

    delta: str
    type: ClassVar[Literal["commentary"]] = "commentary"
    done: ClassVar[Literal[False]] = False


@attrs.define(unsafe_hash=True)
class RefusalDelta(_Event):
    """A piece of a `Refusal` part: the model's reason not to answer. Verbatim, never empty."""

    delta: str
    type: ClassVar[Literal["refusal"]] = "refusal"
    done: ClassVar[Literal[False]] = False


@attrs.define(unsafe_hash=True)
class AudioDelta(_Event):
    """A piece of an `Audio` part, for a player that does not wait for the whole. `PartReady` has the part.

    Attributes:
        data: Bytes of sound in the part's format; b"" if this piece only has a transcript.
        transcript: A piece of the transcript, verbatim; "" if this piece only has sound.
    """

    data: bytes = attrs.field(default=b"", repr=lambda value: f"<{len(value)} bytes>")
    transcript: str = ""
    type: ClassVar[Literal["audio"]] = "audio"
    done: ClassVar[Literal[False]] = False


@attrs.define(unsafe_hash=True)
class ToolCallDelta(_Event):
    """A piece of one tool call.

    The first delta of a call has its name, and its id if the provider sent one. If a later delta has a name or an id,
    it repeats the known values of both.

    Attributes:
        index: The number of the call in this response, from 0, in the order of their appearance.
        delta: A piece of the JSON text of the arguments; "" if this piece only announces the call.
        id: The id of the call, on a delta that announces it.
        name: The name of the tool, on a delta that announces the call.
    """

    index: int
    delta: str
    id: str | None = None
    name: str | None = None
    type: ClassVar[Literal["tool_call_delta"]] = "tool_call_delta"
    done: ClassVar[Literal[False]] = False


@attrs.frozen
class ToolCallReady(_Event):
    """A tool call is complete: no further delta of it follows."""

    index: int
    call: ToolCall
    type: ClassVar[Literal["tool_call"]] = "tool_call"
    done: ClassVar[Literal[False]] = False


@attrs.frozen
class PartSigned(_Event):
    """The provider signed the newest part of this kind: further deltas of the kind belong to another part.

    If no deltas of this kind were received since the last signature, an empty part is signed. A tool call has its
    signature on `ToolCallReady.call`.

    Attributes:
        kind: The kind of the part: `reasoning` for a `Thinking` part, `text` for a `Text` part.
        signature: The proof that goes back to the provider with the part.
    """

    kind: Literal["reasoning", "text"]
    signature: str = attrs.field(repr=False)
    type: ClassVar[Literal["signature"]] = "signature"
    done: ClassVar[Literal[False]] = False


@attrs.frozen
class PartReady(_Event):
    """A part of the message that arrives complete: an image, sound, or data that only its provider understands."""

    part: Image | Audio | Opaque
    type: ClassVar[Literal["part"]] = "part"
    done: ClassVar[Literal[False]] = False


@attrs.frozen
class LogprobsDelta(_Event):
    """Log probabilities of the tokens before this event, as the provider sent them (see `ChatResponse.logprobs`)."""

    logprobs: Any = attrs.field(hash=False)
    type: ClassVar[Literal["logprobs"]] = "logprobs"
    done: ClassVar[Literal[False]] = False


@attrs.frozen
class Restarted(_Event):
    """The events so far are invalid: the answer starts again, from another attempt.

    Attributes:
        attempt: The number of the attempt that begins, from 1.
        partial: The partial response of the attempt that failed.
    """

    attempt: int
    partial: ChatResponse | None = attrs.field(default=None, repr=False)
    type: ClassVar[Literal["restarted"]] = "restarted"
    done: ClassVar[Literal[False]] = False


@attrs.frozen(kw_only=True)
class End(_Event):
    """The answer is complete. This is the last event of every stream that does not raise.

    Attributes:
        finish_reason: Why the answer ended.
        raw_finish_reason: The provider's own finish reason, if it sent one.
        usage: The usage, if the provider reported it.
        skipped: The number of events that could not be read and were skipped.
        unmet: The demands of the request that the answer does not meet (see `ChatResponse.unmet`).
    """

    finish_reason: FinishReason
    raw_finish_reason: str | None = None
    usage: Usage = Usage(source="absent")
    skipped: int = 0
    unmet: tuple[str, ...] = ()
    type: ClassVar[Literal["end"]] = "end"
    done: ClassVar[Literal[True]] = True


Event: TypeAlias = (
    Token
    | Reasoning
    | CommentaryDelta
    | RefusalDelta
    | AudioDelta
    | ToolCallDelta
    | ToolCallReady
    | PartSigned
    | PartReady
    | LogprobsDelta
    | Restarted
    | End
)

CONTENT: frozenset[type] = frozenset(
    {Token, Reasoning, CommentaryDelta, RefusalDelta, AudioDelta, ToolCallDelta, ToolCallReady}
)
"""The event types that always commit a stream (see `commits`)."""


def commits(event: Event) -> bool:
    """Return whether the event is content, so that a stream that has delivered it is committed."""
    return type(event) in CONTENT or (type(event) is PartReady and not isinstance(event.part, Opaque))


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
