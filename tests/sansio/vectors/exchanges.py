"""One exchange over the bytes of a vector: whole, byte by byte, and in two at every offset. All must agree.

`stream`, `chat`, `embed` and `refused` give what a client reports: its events, its result and its failure.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import attrs

from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import LocalProtocolError, ProviderError, TurnoutError
from turnout.events import Event
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.protocol import Exchange

__all__ = ["KEY", "Seen", "asking", "chat", "embed", "failed", "refused", "sent", "stream"]

KEY = "sk-vector-0123456789abcdef"
T = TypeVar("T")
HeaderFields = Iterable[tuple[str, str]]
# A body above this is not cut at every byte, which would take minutes, but into pieces as reads bring them.
SHARPEST = 20_000
# Every offset costs a reading of the whole body.
IN_TWO = 2_500


@attrs.frozen
class Seen(Generic[T]):
    """What a client reports of one exchange. `result` is None where there is none."""

    events: tuple[Event, ...]
    answer: T | None
    failure: TurnoutError | None

    @property
    def result(self) -> T:
        assert self.answer is not None, self.failure
        return self.answer

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def agreed(self) -> Any:
        """What every cut has to agree on."""
        failure = self.failure
        told = (type(failure).__name__, str(failure)) if failure is not None else None
        answer = attrs.evolve(self.answer, raw=None) if isinstance(self.answer, ChatResponse) else self.answer
        return self.events, answer, told


def asking(name: str, *messages: Message, model_id: str = "m", **more: Any) -> ChatRequest:
    return ChatRequest(ModelConfig(name, model_id), messages or (Message.user("hello"),), **more)


def sent(request: ChatRequest, name: str | None = None) -> Any:
    """The body that is sent for this request, as JSON; `name` is the catalog's provider where it is another."""
    provider = create(name or request.model.provider, api_key=KEY)
    return json.loads(provider.chat(request).request.body)


def stream(
    name: str, body: bytes, headers: HeaderFields = (), request: ChatRequest | None = None
) -> Seen[ChatResponse]:
    request = request or asking(name)
    return _played(lambda: create(name, api_key=KEY).stream(request), 200, headers, body)


def chat(
    name: str, document: Any, headers: HeaderFields = (), request: ChatRequest | None = None
) -> Seen[ChatResponse]:
    request = request or asking(name)
    return _played(lambda: create(name, api_key=KEY).chat(request), 200, headers, _bytes(document))


def embed(name: str, document: Any, inputs: Sequence[str] = ("a", "b")) -> Seen[EmbeddingResponse]:
    request = EmbeddingRequest(ModelConfig(name, "e"), inputs)
    return _played(lambda: create(name, api_key=KEY).embed(request), 200, (), _bytes(document))


def refused(name: str, status: int, document: Any, headers: HeaderFields = ()) -> ProviderError:
    """The error that the client reports for a response with this status."""
    seen = _played(lambda: create(name, api_key=KEY).chat(asking(name)), status, headers, _bytes(document))
    assert seen.events == ()
    return failed(seen)


def failed(seen: Seen[Any]) -> ProviderError:
    assert isinstance(seen.failure, ProviderError), seen.failure
    return seen.failure


def _bytes(document: Any) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def _played(make: Callable[[], Exchange[T]], status: int, headers: HeaderFields, body: bytes) -> Seen[T]:
    fields = tuple(headers)
    seen = _fed(make(), status, fields, [body])
    step = 1 if len(body) <= SHARPEST else 1009
    cuts = [[body[at : at + step] for at in range(0, len(body), step)]]
    if len(body) <= IN_TWO:
        cuts += [[body[:at], body[at:]] for at in range(1, len(body))]
    for pieces in cuts:
        assert _fed(make(), status, fields, pieces).agreed() == seen.agreed(), [len(piece) for piece in pieces[:2]]
    return seen


def _fed(exchange: Exchange[T], status: int, headers: HeaderFields, pieces: Iterable[bytes]) -> Seen[T]:
    exchange.receive_head(status, headers)
    events = list(itertools.chain.from_iterable(exchange.receive_data(piece) for piece in pieces if piece))
    events += exchange.receive_end()
    try:
        answer = exchange.result
    except LocalProtocolError:
        answer = None
    return Seen(tuple(events), answer, exchange.failure)
