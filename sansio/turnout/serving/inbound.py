"""The content of a request that a server-side dialect reads, and the interfaces of its machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias

import attrs

from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.events import Event
from turnout.messages import Message, Tool, ToolChoice
from turnout.serving.errors import RequestRejected, ServedError, invalid_request
from turnout.serving.fields import Fields

__all__ = [
    "Answerer",
    "ChatDialect",
    "InboundChat",
    "InboundEmbedding",
    "Partial",
    "ReadOptions",
    "Resolve",
    "StreamWriter",
    "build_request",
    "vocabulary_error",
]

_CLASS_NAME: Final = re.compile(r"\b[A-Z][A-Za-z]+\.(?=[a-z_])")

Resolve: TypeAlias = Callable[[str], tuple[ModelConfig, ...]]
"""Returns the model of a name, and then its fallbacks. Raises RequestRejected for a name that it does not know."""

Partial: TypeAlias = Callable[[], ChatResponse]
"""Returns the answer as far as it has arrived."""


@attrs.frozen(kw_only=True)
class ReadOptions:
    """How strictly requests are read.

    Args:
        ignore_unknown: Pass fields outside the vocabulary to providers of the same protocol, leave them out for
            others, and name them. False rejects them.
        betas: The beta features in the header of a client of Messages.
    """

    ignore_unknown: bool = True
    betas: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class InboundChat:
    """A chat request of a client.

    Args:
        request: The request in Turnout's vocabulary.
        model_name: The model as the client named it.
        stream: True if the client wants a stream.
        include_usage: True if a stream must report the usage.
        ignored: The fields that no provider receives, by their path.
        scoped: The fields that some providers receive, by their path, with the scopes of those providers.
        required: The paths in `scoped` that change the answer, so that every candidate must receive them.
        echo: Fields of the request that the answer repeats, as Responses does.
    """

    request: ChatRequest
    model_name: str
    stream: bool = False
    include_usage: bool = False
    ignored: tuple[str, ...] = ()
    scoped: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    required: tuple[str, ...] = ()
    echo: dict[str, Any] = attrs.field(factory=dict, repr=False)

    def not_received(self, scopes: Collection[str]) -> tuple[str, ...]:
        """Return the paths of the fields that a provider with these scopes does not receive."""
        return (*self.ignored, *(path for path, owners in self.scoped.items() if owners.isdisjoint(scopes)))


@attrs.frozen(kw_only=True)
class InboundEmbedding:
    """An embedding request of a client.

    Args:
        request: The request in Turnout's vocabulary.
        model_name: The model as the client named it.
        base64: True if the client wants vectors as base64 of little-endian float32.
        ignored: The fields that no provider receives.
        scoped: The fields that some providers receive, by their path, with the scopes of those providers.
    """

    request: EmbeddingRequest
    model_name: str
    base64: bool = False
    ignored: tuple[str, ...] = ()
    scoped: Mapping[str, frozenset[str]] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Answerer:
    """The facts about an answer that its envelope has.

    Args:
        model: The candidate that answered, as `provider/model`.
        id: A random text, unique to this answer, of letters and digits.
        created: Seconds since 1970.
    """

    model: str
    id: str
    created: int


class StreamWriter(Protocol):
    """Writes one streamed answer. Every method returns the bytes to send, b"" if there is nothing to send yet."""

    def opening(self) -> bytes:
        """Begin the stream. Call it once, before all other methods but `ping`."""
        ...

    def events(self, events: Iterable[Event], partial: Partial) -> bytes:
        """Write events. `partial` is called only if an event does not hold everything."""
        ...

    def ping(self) -> bytes:
        """Write a sign of life. It is valid at any time, also before `opening`."""
        ...

    def error(self, error: ServedError, request_id: str) -> bytes:
        """End the stream with an error. It is valid at any time, also before `opening`."""
        ...


class ChatDialect(Protocol):
    """The server's side of one chat protocol."""

    @property
    def name(self) -> str: ...

    def read_request(self, body: bytes, resolve: Resolve, options: ReadOptions) -> InboundChat:
        """Read a request body.

        Raises:
            RequestRejected: The request cannot be served. Its error names the field.
        """
        ...

    def build_response(self, inbound: InboundChat, response: ChatResponse, answerer: Answerer) -> bytes:
        """Return the body of a whole answer.

        Raises:
            RequestRejected: The protocol has no form for this answer.
        """
        ...

    def make_writer(self, inbound: InboundChat, answerer: Answerer) -> StreamWriter:
        """Return the writer of a streamed answer."""
        ...

    def build_error(self, error: ServedError, request_id: str) -> bytes:
        """Return the body of an error."""
        ...


def build_request(
    fields: Fields,
    resolve: Resolve,
    settings: dict[str, Any],
    messages: Iterable[Message],
    *,
    tools: Iterable[Tool] = (),
    tool_choice: ToolChoice | None = None,
    **others: Any,
) -> ChatRequest:
    """Return the request, with the client's settings over those of each candidate.

    Args:
        fields: The request body.
        resolve: Finds the candidates of the model name.
        settings: The fields of `ModelConfig` that the client set.
        messages: The conversation.
        tools: The tools of the client.
        tool_choice: Left out if there is no tool, because providers reject it then.
        **others: More fields of `ChatRequest`.

    Raises:
        RequestRejected: The vocabulary rejects a value.
    """
    name = fields.required_text("model")
    candidates = resolve(name)
    tools = tuple(tools)
    if not tools and tool_choice is not None:
        if tool_choice.mode in ("required", "named"):
            raise fields.rejected("tool_choice", "requires a tool, but `tools` has none that can be called")
        tool_choice = None
    given = {name: value for name, value in settings.items() if value not in (None, (), {})}
    try:
        if given:
            wanted = ModelConfig("client", "settings", **given)
            candidates = tuple(wanted.over(candidate) for candidate in candidates)
        model, *fallbacks = candidates
        return ChatRequest(
            model=model, messages=messages, fallbacks=fallbacks, tools=tools, tool_choice=tool_choice, **others
        )
    except (ValueError, TypeError) as error:
        raise vocabulary_error(error) from None


def vocabulary_error(error: ValueError | TypeError, path: str | None = None) -> RequestRejected:
    """Return the client's error for a value that the vocabulary rejects.

    The vocabulary names its own classes (`ModelConfig.top_p`), which a client does not know.
    """
    problem = _CLASS_NAME.sub("", str(error))
    return invalid_request(f"{path}: {problem}" if path else problem, path)
