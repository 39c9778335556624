"""Made-up answers for the server's machines: the events of a stream, and the answer as far as it has arrived."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import attrs
from hypothesis import strategies as st

from turnout.chat import ChatResponse, FinishReason, ModelConfig, Usage
from turnout.events import (
    End,
    Event,
    PartReady,
    PartSigned,
    Reasoning,
    RefusalDelta,
    Token,
    ToolCallDelta,
    ToolCallReady,
)
from turnout.messages import Message, Opaque, Part, Refusal, Role, Text, Thinking, ToolCall
from turnout.serving import Answerer, ChatDialect, InboundChat, Resolve

__all__ = ["ANSWERER", "Answer", "Block", "answers", "frames", "inbound_of", "resolve_as", "write_stream", "written"]

ANSWERER = Answerer(model="vendor/model-1", id="a1b2c3", created=1_700_000_000)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
JSON_VALUES = st.none() | TEXT | st.integers(-9, 9) | st.lists(st.booleans(), max_size=2)
ARGUMENTS = st.dictionaries(TEXT, JSON_VALUES, max_size=3).map(json.dumps)


@attrs.frozen
class Block:
    """One block of an answer: `pieces` are its deltas, none of them empty but those of a call."""

    kind: Literal["text", "reasoning", "call", "opaque"]
    pieces: tuple[str, ...] = ()
    signature: str | None = None
    id: str = ""
    name: str = ""

    @property
    def whole(self) -> str:
        return "".join(self.pieces)

    @property
    def arguments(self) -> str:
        """What the vocabulary makes of the pieces of a call."""
        return "{}" if self.whole.strip() in ("", "null") else self.whole


@attrs.frozen
class Answer:
    """An answer.

    Args:
        blocks: Its blocks in order.
        turns: The order in which pieces of the blocks arrive, as positions in `blocks`.
    """

    blocks: tuple[Block, ...]
    turns: tuple[int, ...]
    origin: str | None
    finish: FinishReason
    usage: Usage
    refusal: str = ""
    raw: str | None = None

    @property
    def calls(self) -> list[Block]:
        """In the order in which they begin: Turnout numbers them so."""
        return [self.blocks[index] for index in self._call_order]

    @property
    def _call_order(self) -> list[int]:
        found = [index for index, block in enumerate(self.blocks) if block.kind == "call"]
        return sorted(found, key=self.turns.index)

    @property
    def response(self) -> ChatResponse:
        return self.partial([len(block.pieces) for block in self.blocks], ended=True)

    def partial(self, counts: list[int], *, ended: bool = False) -> ChatResponse:
        """The answer after so many pieces of each block."""
        parts: list[Part] = []
        calls: dict[int, ToolCall] = {}
        for index, (block, count) in enumerate(zip(self.blocks, counts, strict=True)):
            if not count and not (ended and block.kind == "opaque"):
                continue
            text = "".join(block.pieces[:count])
            signature = block.signature if count == len(block.pieces) else None
            match block.kind:
                case "text":
                    parts.append(Text(text))
                case "reasoning":
                    parts.append(Thinking(text, signature=signature))
                case "opaque":
                    parts.append(Opaque(block.whole.encode()))
                case "call":
                    arguments = "{}" if text.strip() in ("", "null") else text
                    calls[index] = ToolCall(block.id, block.name, arguments, signature=block.signature)
        if self.refusal and ended:
            parts.append(Refusal(self.refusal))
        return ChatResponse(
            message=Message(
                Role.ASSISTANT,
                parts,
                tool_calls=[calls[index] for index in self._call_order if index in calls],
                origin=self.origin,
            ),
            model=ModelConfig("vendor", "model-1"),
            finish_reason=self.finish,
            raw_finish_reason=self.raw,
            usage=self.usage,
        )

    def play(self) -> Iterator[tuple[Event, Callable[[], ChatResponse]]]:
        """The events of the stream, each with the answer so far."""
        counts = [0] * len(self.blocks)
        order = self._call_order
        for turn in self.turns:
            block = self.blocks[turn]
            piece = block.pieces[counts[turn]]
            first, counts[turn] = not counts[turn], counts[turn] + 1
            now = list(counts)
            match block.kind:
                case "text":
                    event: Event = Token(piece)
                case "reasoning":
                    event = Reasoning(piece)
                case "opaque":
                    event = PartReady(Opaque(piece.encode()))
                case "call":
                    # Gemini's first delta has no id: the answer so far has the one that Turnout made.
                    event = ToolCallDelta(order.index(turn), piece, None, block.name if first else None)
            yield event, lambda now=now: self.partial(now)  # type: ignore[misc]
            if block.kind == "reasoning" and block.signature and now[turn] == len(block.pieces):
                yield PartSigned("reasoning", block.signature), lambda now=now: self.partial(now)  # type: ignore[misc]
        final = self.response
        if self.refusal:
            yield RefusalDelta(self.refusal), lambda: final
        for index, call in enumerate(final.tool_calls):
            yield ToolCallReady(index, call), lambda: final
        yield End(finish_reason=self.finish, raw_finish_reason=self.raw, usage=self.usage), lambda: final


@st.composite
def _pieces(draw: st.DrawFn, text: str) -> tuple[str, ...]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return tuple(piece for start, end in itertools.pairwise([0, *cuts, len(text)]) if (piece := text[start:end]))


USAGES = st.just(Usage(source="absent")) | st.builds(
    lambda new, cached, written, out, reasoning: Usage(
        prompt_tokens=new + cached + written,
        completion_tokens=out,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    ),
    st.integers(1, 50),  # a usage of no tokens at all is none
    *[st.integers(0, 50)] * 4,
)
SIGNATURES = st.none() | st.text("ab/+=é", min_size=1, max_size=20)


@st.composite
def answers(
    draw: st.DrawFn,
    *,
    origin: str | None = None,
    interleaved: bool = False,
    reasoning_signed: bool = False,
    calls_signed: bool = False,
    opaque: tuple[str, ...] = (),
) -> Answer:
    """Answers whose neighbouring blocks differ in kind, so that the borders of blocks are visible in the events."""
    blocks: list[Block] = []
    for _ in range(draw(st.integers(0, 4))):
        kinds: list[Literal["text", "reasoning", "call", "opaque"]] = ["text", "reasoning", "call"]
        if opaque:
            kinds.append("opaque")
        kind = draw(st.sampled_from(kinds))
        if kind != "call" and any(block.kind == "call" for block in blocks) and not interleaved:
            kind = "call"
        if blocks and blocks[-1].kind == kind and kind != "call":
            continue
        match kind:
            case "call":
                arguments = draw(ARGUMENTS | st.sampled_from(["", "null", " ", "{}"]))
                pieces = draw(_pieces(arguments)) or ("",)
                signature = draw(SIGNATURES) if calls_signed else None
                name = draw(st.sampled_from(["search", "get-time", "f"]))
                blocks.append(Block(kind, pieces, signature, f"call_{len(blocks)}", name))
            case "opaque":
                blocks.append(Block(kind, (draw(st.sampled_from(opaque)),)))
            case _:
                signature = draw(SIGNATURES) if kind == "reasoning" and reasoning_signed else None
                blocks.append(Block(kind, draw(_pieces(draw(TEXT))), signature))
    turns = [index for index, block in enumerate(blocks) for _ in block.pieces]
    if interleaved:
        turns = draw(st.permutations(turns))
    has_calls = any(block.kind == "call" for block in blocks)
    finish = draw(st.sampled_from([FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER]))
    if finish is FinishReason.STOP and has_calls:
        finish = FinishReason.TOOL_CALLS
    return Answer(tuple(blocks), tuple(turns), origin, finish, draw(USAGES))


def resolve_as(provider: str) -> Resolve:
    """A gateway at which every name is a model of one provider."""
    return lambda name: (ModelConfig(provider, name),)


def inbound_of(*, include_usage: bool = True, echo: dict[str, Any] | None = None) -> InboundChat:
    """A small request."""
    from turnout.chat import ChatRequest

    request = ChatRequest("vendor/model-1", "hello")
    return InboundChat(request=request, model_name="fast", include_usage=include_usage, echo=echo or {})


def write_stream(dialect: ChatDialect, answer: Answer, *, include_usage: bool = True) -> bytes:
    """The body of the stream."""
    writer = dialect.make_writer(inbound_of(include_usage=include_usage), ANSWERER)
    return writer.opening() + b"".join(writer.events((event,), partial) for event, partial in answer.play())


def write_in_batches(dialect: ChatDialect, answer: Answer, sizes: Iterable[int]) -> bytes:
    """The same body, if several events arrive at once: the answer so far is then ahead of all but the last of them."""
    writer = dialect.make_writer(inbound_of(), ANSWERER)
    body = writer.opening()
    steps = list(answer.play())
    for size in itertools.chain(sizes, itertools.repeat(1)):
        if not steps:
            return body
        now, steps = steps[:size], steps[size:]
        body += writer.events(tuple(event for event, _ in now), now[-1][1])
    raise AssertionError


def written(dialect: ChatDialect, answer: Answer) -> Any:
    """The whole answer, decoded."""
    return json.loads(dialect.build_response(inbound_of(), answer.response, ANSWERER))


def frames(body: bytes) -> list[tuple[str, Any]]:
    """The events of a stream with their decoded data; `[DONE]` and comments as they are."""
    found: list[tuple[str, Any]] = []
    for frame in body.decode().split("\n\n")[:-1]:
        name, data = "", None
        for line in frame.split("\n"):
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = value if value == "[DONE]" else json.loads(value)
            else:
                data = line
        found.append((name, data))
    return found
