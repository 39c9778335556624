"""Answers of the Responses API made up of items, as the bytes of a stream or as one document; the reading of both."""

from __future__ import annotations

import itertools
import json
from typing import Any

import attrs
from hypothesis import strategies as st

from tests.sansio.providers import playing
from tests.sansio.providers.playing import ARGUMENTS, TEXT, Heard, pieces
from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.exchange import HttpExchange

MODEL = ModelConfig("openai", "gpt-5.1")
CITATION = {"type": "url_citation", "url": "https://x.test", "title": "t", "start_index": 0, "end_index": 1}
USAGE = {
    "input_tokens": 19,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 17,
    "output_tokens_details": {"reasoning_tokens": 7},
    "total_tokens": 36,
}


def ids(prefix: str) -> st.SearchStrategy[str]:
    return st.uuids().map(lambda made: f"{prefix}_{made.hex}")


def item(type: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(type), **fields})


TEXT_PART = item("output_text", text=TEXT, annotations=st.lists(st.just(CITATION), max_size=2))
MESSAGE = item(
    "message",
    id=ids("msg"),
    role=st.just("assistant"),
    status=st.just("completed"),
    content=st.lists(TEXT_PART | item("refusal", refusal=TEXT), min_size=1, max_size=2),
)
CALL = item(
    "function_call",
    id=ids("fc"),
    call_id=ids("call"),
    name=st.sampled_from(["f", "g"]),
    arguments=ARGUMENTS.map(json.dumps),
    status=st.just("completed"),
)
CUSTOM = item(
    "custom_tool_call",
    id=ids("ctc"),
    call_id=ids("call"),
    name=st.just("code"),
    input=TEXT | st.just(""),
    status=st.just("completed"),
)
REASONING = item(
    "reasoning",
    id=ids("rs"),
    summary=st.lists(item("summary_text", text=TEXT), max_size=2),
    encrypted_content=TEXT,
)
OPEN_REASONING = item(
    "reasoning",
    id=ids("rs"),
    summary=st.just([]),
    content=st.lists(item("reasoning_text", text=TEXT), min_size=1, max_size=2),
)
SEARCH = item("web_search_call", id=ids("ws"), status=st.just("completed"), action=st.just({"query": "q"}))
INVENTED = item("something_new", id=ids("new"), payload=TEXT)
ITEMS = st.lists(MESSAGE | CALL | CUSTOM | REASONING | OPEN_REASONING | SEARCH | INVENTED, max_size=5)

# How an answer ends: its status, and why it is incomplete.
ENDS = {"completed": None, "max_output_tokens": "incomplete", "content_filter": "incomplete", "later": "incomplete"}


def event(type: str, *, newline: str = "\n", **fields: Any) -> bytes:
    data = json.dumps({"type": type, **fields}, ensure_ascii=False)
    return f"event: {type}{newline}data: {data}{newline * 2}".encode()


def whole(items: list[dict[str, Any]], end: str = "completed") -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "model": "served",
        "status": ENDS[end] or end,
        "error": None,
        "incomplete_details": {"reason": end} if ENDS[end] else None,
        "output": items,
        "usage": USAGE,
    }


@st.composite
def streamed(draw: st.DrawFn, items: list[dict[str, Any]], end: str) -> list[bytes]:
    """The events of a stream of these items. A server may leave out deltas, the ends of parts, or the last output."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    deltas, ends = draw(st.booleans()), draw(st.booleans())
    events: list[bytes] = []
    numbers = itertools.count()

    def say(type: str, **fields: Any) -> None:
        events.append(event(type, newline=newline, sequence_number=next(numbers), **fields))
        for noise in draw(st.lists(st.sampled_from(["keepalive", "response.invented", "comment"]), max_size=1)):
            events.append(b": hm\n\n" if noise == "comment" else event(noise, newline=newline))

    def words(name: str, text: str, field: str = "text", **where: Any) -> None:
        if deltas:
            for piece in draw(pieces(text)):
                say(f"response.{name}.delta", delta=piece, **where)
        if ends:
            say(f"response.{name}.done", **{field: text}, **where)

    life = {**whole([]), "status": "in_progress", "usage": None}
    say("response.created", response=life)
    say("response.in_progress", response=life)
    for place, meant in enumerate(items):
        where = {"output_index": place, "item_id": meant["id"]}
        early = {"content": [], "summary": [], "arguments": "", "input": "", "encrypted_content": ""}
        begun = {name: early.get(name, value) for name, value in meant.items()}
        say("response.output_item.added", output_index=place, item={**begun, "status": "in_progress"})
        if meant["type"] == "message":
            for index, part in enumerate(meant["content"]):
                at = {**where, "content_index": index}
                empty = {**part, **({"text": "", "annotations": []} if "text" in part else {"refusal": ""})}
                say("response.content_part.added", part=empty, **at)
                if "text" in part:
                    words("output_text", part["text"], **at)
                    for number, annotation in enumerate(part["annotations"] if deltas else ()):
                        say(
                            "response.output_text.annotation.added",
                            annotation=annotation,
                            annotation_index=number,
                            **at,
                        )
                else:
                    words("refusal", part["refusal"], "refusal", **at)
                say("response.content_part.done", part=part, **at)
        elif meant["type"] == "reasoning":
            for index, part in enumerate(meant["summary"]):
                at = {**where, "summary_index": index}
                say("response.reasoning_summary_part.added", part={"type": "summary_text", "text": ""}, **at)
                words("reasoning_summary_text", part["text"], **at)
            for index, part in enumerate(meant.get("content", ())):
                words("reasoning_text", part["text"], **where, content_index=index)
        elif meant["type"] == "function_call":
            words("function_call_arguments", meant["arguments"], "arguments", **where)
        elif meant["type"] == "custom_tool_call":
            words("custom_tool_call_input", meant["input"], "input", **where)
        say("response.output_item.done", output_index=place, item=meant)
    status = draw(st.sampled_from([ENDS[end] or end, "done"]))
    last = whole(items if draw(st.booleans()) else [], end)
    events.append(event(f"response.{status}", newline=newline, response=last))
    return events


@attrs.frozen
class Answer:
    items: list[dict[str, Any]]
    end: str
    events: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.events)

    @property
    def text(self) -> str:
        return "".join(part.get("text", "") for one in self.of("message") for part in one["content"])

    @property
    def reasoning(self) -> str:
        told = ""
        for one in self.of("reasoning"):
            told += "".join(part["text"] for part in one.get("content") or one["summary"])
        return told

    def of(self, *types: str) -> list[dict[str, Any]]:
        return [one for one in self.items if one["type"] in types]


ANSWERS = st.tuples(ITEMS, st.sampled_from(sorted(ENDS))).flatmap(
    lambda pair: st.builds(Answer, st.just(pair[0]), st.just(pair[1]), streamed(*pair))
)


def exchange_of(stream: bool) -> HttpExchange[ChatResponse]:
    return playing.exchange_of("openai", stream=stream, model=MODEL.model_id, api="responses")


def feed(body: bytes, cuts: tuple[int, ...] = ()) -> Heard:
    return playing.feed("openai", body, cuts, model=MODEL.model_id, api="responses")


def read(document: Any) -> ChatResponse:
    return playing.read("openai", document, model=MODEL.model_id, api="responses")


def sent_back(message: Message) -> list[dict[str, Any]]:
    """The items that the next turn holds of this one."""
    request = ChatRequest(MODEL, [Message.user("x"), message])
    body = json.loads(create("openai", api_key="k", api="responses").chat(request).request.body)
    return list(body["input"][1:])
