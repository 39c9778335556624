"""What made-up answers of every dialect have in common: texts, their cutting, and the feeding of an exchange."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import attrs
from hypothesis import strategies as st

from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.errors import TurnoutError
from turnout.events import Event
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.exchange import HttpExchange

__all__ = [
    "ARGUMENTS",
    "CUTS",
    "TEXT",
    "Heard",
    "agreed",
    "exchange_of",
    "feed",
    "interleaved",
    "pieces",
    "read",
    "sent_back",
]

T = TypeVar("T")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ARGUMENTS = st.dictionaries(TEXT, st.none() | TEXT | st.integers() | st.lists(st.booleans(), max_size=2), max_size=3)
CUTS = st.lists(st.integers(0, 4000), max_size=6).map(tuple)


class Heard(NamedTuple):
    """What a client made of a stream."""

    events: tuple[Event, ...]
    result: ChatResponse
    failure: TurnoutError | None

    def agreed(self) -> Any:
        """What every cut has to agree on. A delta of the wire is one event however it is cut, so events are, too."""
        told = (type(self.failure).__name__, str(self.failure)) if self.failure is not None else None
        return self.events, attrs.evolve(self.result, raw=None), told


def agreed(heard: Heard) -> Any:
    return heard.agreed()


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """The text in one to four pieces, some of which may be empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]


@st.composite
def interleaved(draw: st.DrawFn, *rows: Sequence[T]) -> list[T]:
    """All rows in one, each in its own order."""
    turns = draw(st.permutations([place for place, row in enumerate(rows) for _ in row]))
    queues = [iter(row) for row in rows]
    return [next(queues[place]) for place in turns]


def exchange_of(name: str, *, stream: bool, model: str = "m", **settings: Any) -> HttpExchange[ChatResponse]:
    """The exchange for a small question; `settings` are of the provider."""
    provider = create(name, api_key="k", **settings)
    request = ChatRequest(ModelConfig(name, model), [Message.user("x")])
    exchange = provider.stream(request) if stream else provider.chat(request)
    assert isinstance(exchange, HttpExchange)
    return exchange


def feed(
    name: str,
    body: bytes,
    cuts: tuple[int, ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
    *,
    model: str = "m",
    **settings: Any,
) -> Heard:
    exchange = exchange_of(name, stream=True, model=model, **settings)
    exchange.receive_head(200, headers)
    events: list[Event] = []
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        events += exchange.receive_data(body[start:end])
    events += exchange.receive_end()
    return Heard(tuple(events), exchange.result, exchange.failure)


def read(
    name: str,
    document: Any,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    *,
    model: str = "m",
    **settings: Any,
) -> ChatResponse:
    """The answer that is no stream: a document, or the bytes of one. Raises the error that it tells of."""
    exchange = exchange_of(name, stream=False, model=model, **settings)
    exchange.receive_head(status, headers)
    exchange.receive_data(document if isinstance(document, bytes) else json.dumps(document).encode())
    exchange.receive_end()
    if exchange.failure is not None:
        raise exchange.failure
    return exchange.result


def sent_back(name: str, message: Message) -> Any:
    """The body of the next request, with this answer in it, which was stored in between."""
    stored = json.dumps(message.to_dict())
    assert Message.from_dict(json.loads(stored)) == message
    request = ChatRequest(ModelConfig(name, "m"), [Message.user("x"), message])
    return json.loads(create(name, api_key="k").chat(request).request.body)
