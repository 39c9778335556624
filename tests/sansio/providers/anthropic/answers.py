"""Answers made up of Anthropic's blocks, as the bytes of a stream or as one document, and the reading of both."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import strategies as st

from tests.sansio.providers import playing
from tests.sansio.providers.playing import ARGUMENTS, TEXT, Heard, pieces
from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelConfig
from turnout.messages import Message
from turnout.providers import create

MODEL = ModelConfig("anthropic", "claude-opus-4-6")
CITATION = {"type": "web_search_result_location", "url": "https://x.test", "encrypted_index": "Eo8", "cited_text": "c"}
USAGE = {"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 17}


def block(type: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(type), **fields})


def calls(type: str, prefix: str) -> st.SearchStrategy[dict[str, Any]]:
    ids = st.uuids().map(lambda made: f"{prefix}_{made.hex}")
    return block(type, id=ids, name=st.sampled_from(["f", "g"]), input=ARGUMENTS)


CALLERS = st.sampled_from([{"type": "direct"}, {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}])
BLOCKS = st.lists(
    block("text", text=TEXT)
    | block("text", text=TEXT, citations=st.lists(st.just(CITATION), min_size=1, max_size=2))
    | block("thinking", thinking=st.just("") | TEXT, signature=TEXT)
    | block("redacted_thinking", data=TEXT)
    | calls("tool_use", "toolu")
    | st.tuples(calls("tool_use", "toolu"), CALLERS).map(lambda pair: {**pair[0], "caller": pair[1]})
    | calls("server_tool_use", "srvtoolu")
    | block("web_search_tool_result", tool_use_id=TEXT, content=st.lists(st.fixed_dictionaries({"url": TEXT}))),
    max_size=6,
)
STOPS = {
    "end_turn": FinishReason.STOP,
    "pause_turn": FinishReason.LENGTH,  # the turn is to be continued
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
    "something_new": FinishReason.UNKNOWN,
}


def event(type: str, *, pad: str = "", newline: str = "\n", ascii: bool = False, **fields: Any) -> bytes:
    data = json.dumps({"type": type, **fields}, ensure_ascii=ascii)
    return f"event: {type}{newline}data: {data[:-1]}{pad}}}{newline * 2}".encode()


def whole(blocks: list[dict[str, Any]], stop: str | None = "end_turn") -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served",
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": USAGE,
    }


@st.composite
def streamed(draw: st.DrawFn, blocks: list[dict[str, Any]], stop: str) -> list[bytes]:
    """The events of the stream of these blocks, with what servers put between them."""
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    ascii = draw(st.booleans())
    events: list[bytes] = []

    def say(type: str, **fields: Any) -> None:
        pad = " " * draw(st.integers(0, 3))
        events.append(event(type, pad=pad, newline=newline, ascii=ascii, **fields))
        for noise in draw(st.lists(st.sampled_from(["ping", "invented", "comment"]), max_size=1)):
            events.append(b": hm\n\n" if noise == "comment" else event(noise, newline=newline))

    def delta(index: int, type: str, **fields: Any) -> None:
        say("content_block_delta", index=index, delta={"type": type, **fields})

    start = whole([], None)
    start["usage"] = {**USAGE, "output_tokens": 1}
    say("message_start", message=start)
    if draw(st.booleans()):
        say("message_start", message=start)
    for index, meant in enumerate(blocks):
        fields = dict(meant)
        early: dict[str, Any] = {"text": "", "thinking": "", "signature": "", "input": {}}
        empty = {name: early[name] for name in early if name in fields}
        citations = fields.pop("citations", [])
        say("content_block_start", index=index, content_block={**fields, **empty})
        for citation in citations:
            delta(index, "citations_delta", citation=citation)
        if "text" in meant:
            for piece in draw(pieces(meant["text"])):
                delta(index, "text_delta", text=piece)
        if "thinking" in meant:
            for piece in draw(pieces(meant["thinking"])):
                delta(index, "thinking_delta", thinking=piece)
            delta(index, "signature_delta", signature=meant["signature"])
        if "input" in meant:
            # A call without arguments comes with no piece at all, with an empty one, or with an empty object.
            text = json.dumps(meant["input"]) if meant["input"] or draw(st.booleans()) else ""
            for piece in draw(pieces(text)):
                delta(index, "input_json_delta", partial_json=piece)
        say("content_block_stop", index=index)
    say("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=USAGE)
    events.append(event("message_stop", newline=newline))
    return events


@attrs.frozen
class Answer:
    blocks: list[dict[str, Any]]
    stop: str
    events: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.events)


ANSWERS = st.tuples(BLOCKS, st.sampled_from(sorted(STOPS))).flatmap(
    lambda pair: st.builds(Answer, st.just(pair[0]), st.just(pair[1]), streamed(*pair))
)


def feed(body: bytes, cuts: tuple[int, ...] = ()) -> Heard:
    return playing.feed("anthropic", body, cuts, model=MODEL.model_id)


def read(document: Any) -> ChatResponse:
    return playing.read("anthropic", document, model=MODEL.model_id)


def sent_back(message: Message) -> list[dict[str, Any]]:
    # With messages behind it: blanks at the end of the last one are refused, and left out.
    behind = [Message.tool(call, "done") for call in message.tool_calls] or [Message.user("y")]
    request = ChatRequest(MODEL, [Message.user("x"), message, *behind])
    turns = json.loads(create("anthropic", api_key="k").chat(request).request.body)["messages"]
    return list(turns[1]["content"]) if len(turns) > 1 else []


def as_input(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks as they go back: without fields of no meaning, and without blank text, which is refused."""
    silent = {"text": ("citations", None), "tool_use": ("caller", {"type": "direct"})}
    return [
        {name: value for name, value in each.items() if (name, value) != silent.get(each["type"])}
        for each in blocks
        if each["type"] != "text" or each["text"].strip()
    ]
