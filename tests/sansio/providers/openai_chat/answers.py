"""Answers of those who speak like OpenAI, with the habits of each: as the bytes of a stream, and as one document."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import strategies as st

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import ARGUMENTS, TEXT, interleaved, pieces
from turnout.chat import FinishReason, Usage
from turnout.errors import AuthenticationFailed, Overloaded, ProviderError, RateLimited, ServerError
from turnout.events import Reasoning, Token

FINISHES = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "network_error": FinishReason.ERROR,
    "abort": FinishReason.ERROR,
    "tool_use": FinishReason.TOOL_CALLS,
    "stop_sequence": FinishReason.STOP,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "something_new": FinishReason.UNKNOWN,
}
# How a vendor tells the model's reasoning: one field or the other, both with OpenRouter's details, those alone, or
# Mistral's content in parts.
REASONINGS = ("reasoning", "reasoning_content", "both", "details", "parts")
# How it tells which call a fragment is of: by index, by id with one index for all, by id alone, or by being whole.
CALLINGS = ("index", "same index", "id", "whole", "whole without id")
USAGES = ("own chunk", "null choices", "with the finish", "growing", "null before", "x_groq", "after the finish")
NOISE: list[dict[str, Any] | bytes] = [
    b": OPENROUTER PROCESSING\n\n",
    b": keep-alive\n",
    b"id: 7\nretry: 100\n\n",
    {"choices": []},
    {"choices": None},
    {"id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    {"choices": [], "usage": {}},
    {"choices": [{"index": 0, "delta": None}]},
    {"choices": [{"index": 0, "delta": {"content": None}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "", "role": "assistant"}}], "obfuscation": "aZ3k"},
    {"choices": [{"index": 0, "content_filter_offsets": {"check_offset": 3}}]},
    {"id": "chatcmpl-1", "x_groq": {"id": "req_1"}, "choices": [], "usage": None},
]
# The first index with content is ours, so this one comes later.
ANOTHER = {"choices": [{"index": 1, "delta": {"content": "another choice"}, "finish_reason": "length"}]}
DETAIL = {"type": "reasoning.text", "index": 0, "format": "unknown"}


@attrs.frozen
class Call:
    id: str | None
    name: str
    arguments: dict[str, Any]


@attrs.frozen
class Counted:
    """The tokens of an answer."""

    prompt: int
    completion: int
    cached: int | None
    reasoning: int | None

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            cached_tokens=self.cached,
            reasoning_tokens=self.reasoning,
        )


@attrs.frozen
class Answer:
    """What was said, how, and what a client must report of it.

    events    the events of the stream; `opened` of them stand before the finish reason
    told      the text and reasoning in the order of the stream
    document  the same answer as no stream
    """

    name: str
    calls: tuple[Call, ...]
    refusal: str
    finish: str
    counted: Counted | None
    reasonings: str
    told: tuple[Token | Reasoning, ...]
    events: tuple[bytes, ...]
    opened: int
    document: dict[str, Any]

    @property
    def body(self) -> bytes:
        return b"".join(self.events)

    @property
    def text(self) -> str:
        return "".join(each.delta for each in self.told if isinstance(each, Token))

    @property
    def reasoning(self) -> str:
        return "".join(each.delta for each in self.told if isinstance(each, Reasoning))

    @property
    def reason(self) -> FinishReason:
        meant = FINISHES[self.finish]
        return FinishReason.TOOL_CALLS if self.calls and meant is FinishReason.STOP else meant

    @property
    def usage(self) -> Usage:
        return self.counted.usage if self.counted is not None else Usage(source="absent")


COUNTED = st.tuples(*[st.integers(1, 999)] * 2, st.none() | st.integers(0, 99), st.none() | st.integers(0, 99)).map(
    lambda drawn: Counted(drawn[0], drawn[1] + (drawn[3] or 0), drawn[2], drawn[3])
)


@st.composite
def usage_wire(draw: st.DrawFn, counted: Counted) -> dict[str, Any]:
    """Usage under the names of one vendor."""
    wire: dict[str, Any] = {"prompt_tokens": counted.prompt, "completion_tokens": counted.completion}
    if counted.cached is not None:
        own = ["prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"]
        name = draw(st.sampled_from(["details", *own]))
        wire |= (
            {"prompt_tokens_details": {"cached_tokens": counted.cached}}
            if name == "details"
            else {name: counted.cached}
        )
    if counted.reasoning is not None:
        wire["completion_tokens_details"] = {"reasoning_tokens": counted.reasoning}
    total = draw(st.sampled_from(["told", "left out", "reasoning apart"]))
    if total != "left out":
        wire["total_tokens"] = counted.prompt + counted.completion
    if total == "reasoning apart":  # xAI: the completion leaves its reasoning out, and the total has it
        wire["completion_tokens"] -= counted.reasoning or 0
    if draw(st.booleans()):
        wire["prompt_tokens"] = float(counted.prompt)
    return wire


@st.composite
def arguments_text(draw: st.DrawFn, call: Call, finish: str) -> str:
    if not call.arguments and finish != "length":  # there, no arguments may be arguments that never came
        return draw(st.sampled_from(["", "{}", "null", "{ }"]))
    return json.dumps(call.arguments, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))


@st.composite
def fragments(draw: st.DrawFn, calls: tuple[Call, ...], calling: str, finish: str) -> list[tuple[int, dict[str, Any]]]:
    """The deltas' `tool_calls` entries in the order in which they are sent, each with the place of its call."""
    rows: list[list[dict[str, Any]]] = []
    for place, call in enumerate(calls):
        text = draw(arguments_text(call, finish))
        where = {"index": {"index": place, "same index": 0}.get(calling)} if "index" in calling else {}
        begun: dict[str, Any] = {
            **where,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": text},
        }
        if draw(st.booleans()):
            del begun["type"]
        if "whole" in calling:
            if draw(st.booleans()) and json.loads(text or "null") is not None:
                begun["function"]["arguments"] = json.loads(text)
            rows.append([{key: value for key, value in begun.items() if value is not None}])
            continue
        first, *others = draw(pieces(text))
        begun["function"]["arguments"] = first
        row = [begun]
        for piece in others:
            rest: dict[str, Any] = {**where, "function": {"arguments": piece}}
            # Continuations name their call where nothing else says which it is; else the id may be repeated or empty.
            again = [call.id] if calling in ("id", "same index") else [None, "", call.id]
            if (id := draw(st.sampled_from(again))) is not None:
                rest["id"] = id
            if draw(st.booleans()):
                rest["function"]["name"] = draw(st.sampled_from([call.name, "", None]))
            row.append(rest)
        rows.append(row)
    # Calls are told one after the other, unless their fragments say which call they are of.
    if "whole" in calling:
        return [(place, each) for place, row in enumerate(rows) for each in row]
    return draw(interleaved(*([(place, each) for each in row] for place, row in enumerate(rows))))


def reasoning_delta(piece: str, how: str) -> dict[str, Any]:
    if how == "parts":
        return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]}
    told: dict[str, Any] = {"reasoning_details": [DETAIL | {"text": piece}]} if how in ("both", "details") else {}
    return told if how == "details" else told | {"reasoning" if how == "both" else how: piece}


@st.composite
def deltas(draw: st.DrawFn, steps: list[tuple[str, Any]], how: str) -> list[dict[str, Any]]:
    """One delta for each step, but that neighbours of different kinds may share one, as may fragments of calls."""
    order = ("reasoning", "text", "refusal", "call")
    made: list[dict[str, Any]] = []
    last = len(order)
    for kind, value in steps:
        rank = order.index(kind)
        if kind == "text" and how == "parts":
            fields: dict[str, Any] = {"content": draw(st.sampled_from([value, [{"type": "text", "text": value}]]))}
        elif kind == "text":
            fields = {"content": value}
        elif kind == "reasoning":
            fields = reasoning_delta(value, how)
        else:
            fields = {"refusal": value} if kind == "refusal" else {"tool_calls": [value]}
        sharing = made and not (set(fields) & set(made[-1])) and rank > last and draw(st.booleans())
        if sharing:
            made[-1] |= fields
        elif made and kind == "call" and last == rank and draw(st.booleans()):
            made[-1]["tool_calls"] = made[-1]["tool_calls"] + [value]
        else:
            made.append(fields)
        last = rank
    roles = draw(st.sampled_from(["first", "always", "never"]))
    if roles == "first":
        made.insert(0, {"role": "assistant", "content": ""})
    return [each | {"role": "assistant"} for each in made] if roles == "always" else made


@st.composite
def chunks(draw: st.DrawFn, made: list[dict[str, Any]], finish: str, counted: Counted | None) -> tuple[list[Any], int]:
    """The chunks of these deltas with the finish reason and the usage, and how many stand before the finish."""
    early = draw(st.sampled_from([None, "", "stop", ...]))  # what is told before the end; `...` leaves the field out
    late = draw(st.integers(0, min(1, len(made)))) if early is None else 0  # deltas that follow the finish reason
    shared = {"id": "chatcmpl-1", "model": "served", "object": "chat.completion.chunk"}

    def chunk(delta: dict[str, Any], reason: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta} | ({} if reason is ... else {"finish_reason": reason})
        return {**shared, "choices": [choice]}

    before = [chunk(delta, early) for delta in made[: len(made) - late]]
    end = chunk({}, finish)
    if before and not late and draw(st.booleans()):
        opened = len(before) - 1
        before[-1]["choices"][0]["finish_reason"] = finish
        end = before.pop()
    else:
        opened = len(before)
    after = [chunk(delta, None) for delta in made[len(made) - late :]]
    if counted is not None:
        usage = draw(usage_wire(counted))
        how = draw(st.sampled_from(USAGES))
        if how == "x_groq":
            end["x_groq"] = {"usage": usage}
        elif how == "with the finish":
            end["usage"] = usage
        elif how == "growing":
            for number, each in enumerate([*before, end]):
                each["usage"] = usage | {"completion_tokens": number, "total_tokens": None}
            end["usage"] = usage
        elif how == "after the finish":  # OpenRouter repeats the reason, or takes it back
            after.append(chunk({"content": ""}, draw(st.sampled_from([finish, None]))) | {"usage": usage})
        else:
            if how == "null before":
                before = [each | {"usage": None} for each in before]
            after.append({**shared, "choices": None if how == "null choices" else [], "usage": usage})
            if draw(st.booleans()):
                after.append({**shared, "choices": []})  # xAI
    sent = [*before, end, *after]
    if len(sent) > 1 and draw(st.sampled_from([True, False])):
        sent[-1] |= {"id": "stub", "model": ""}  # Groq's compound systems
    return sent, opened


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    how, calling = draw(st.sampled_from(REASONINGS)), draw(st.sampled_from(CALLINGS))
    finish = draw(st.sampled_from(sorted(FINISHES)))
    told = draw(st.lists(st.tuples(st.sampled_from(["reasoning", "text"]), TEXT), max_size=6))
    refusal = draw(st.just([]) | st.lists(TEXT, min_size=1, max_size=2))
    ids = st.sampled_from(["call_{}", "{}", "fc-{}", "functions.f:{}"])
    calls = tuple(
        Call(
            None if calling == "whole without id" else draw(ids).format(place), draw(st.sampled_from(["f", "g"])), each
        )
        for place, each in enumerate(draw(st.lists(ARGUMENTS, max_size=3)))
    )
    counted = draw(st.none() | COUNTED)
    steps: list[tuple[str, Any]] = [*told, *(("refusal", piece) for piece in refusal)]
    sent = draw(fragments(calls, calling, finish))
    # Calls are counted in the order in which they appear, whatever index their server gave them.
    calls = tuple(calls[place] for place in dict.fromkeys(place for place, _ in sent))
    steps = draw(interleaved(steps, [("call", each) for _, each in sent]))
    made, opened = draw(chunks(draw(deltas(steps, how)), finish, counted))
    newline, ascii = draw(st.sampled_from(["\n", "\r\n", "\r"])), draw(st.booleans())
    events: list[bytes] = []
    before_finish = 0
    begun = False
    for number, chunk in enumerate(made):
        for noise in draw(st.lists(st.sampled_from([*NOISE, ANOTHER] if begun else NOISE), max_size=1)):
            plain = noise.replace(b"\n", newline.encode()) if isinstance(noise, bytes) else sse(noise, newline=newline)
            events.append(plain)
        if number == opened:
            before_finish = len(events)
        events.append(sse(chunk, newline=newline, ascii=ascii))
        begun = begun or any(
            value for choice in chunk.get("choices") or () for name, value in choice["delta"].items() if name != "role"
        )
    end = draw(st.sampled_from(["data: [DONE]{0}{0}", "data:[DONE] {0}{0}", "data: [DONE]", ""])).format(newline)
    kinds: dict[str, type[Token | Reasoning]] = {"text": Token, "reasoning": Reasoning}
    return Answer(
        name="openrouter" if how in ("both", "details") else "openai-compatible",
        calls=calls,
        refusal="".join(refusal),
        finish=finish,
        counted=counted,
        reasonings=how,
        told=tuple(kinds[kind](text) for kind, text in (step for step in steps if step[0] in kinds)),
        events=(*events, end.encode()),
        opened=before_finish,
        document=draw(document(steps, calls, finish, counted, how)),
    )


@st.composite
def document(
    draw: st.DrawFn,
    steps: list[tuple[str, Any]],
    calls: tuple[Call, ...],
    finish: str,
    counted: Counted | None,
    how: str,
) -> dict[str, Any]:
    """The same answer as no stream."""
    said = {kind: "".join(value for each, value in steps if each == kind) for kind in ("text", "reasoning", "refusal")}
    message: dict[str, Any] = {"role": "assistant", "content": said["text"] or draw(st.sampled_from(["", None]))}
    if said["reasoning"]:
        told = reasoning_delta(said["reasoning"], how)
        message |= (
            told if "content" not in told else {"content": [*told["content"], {"type": "text", "text": said["text"]}]}
        )
    if said["refusal"] or draw(st.booleans()):
        message["refusal"] = said["refusal"] or None
    listed = draw(st.booleans())
    if calls or listed:
        message["tool_calls"] = [
            {
                **({"id": call.id} if call.id is not None else {"index": place}),
                "function": {"name": call.name, "arguments": draw(arguments_text(call, finish))},
            }
            for place, call in enumerate(calls)
        ]
    whole = {
        "id": "chatcmpl-1",
        "model": "served",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    return whole | ({"usage": draw(usage_wire(counted))} if counted is not None else {})


ANSWERS = answers()

_BUSY = {"message": "busy", "type": "invented"}
ERRORS: list[tuple[bytes, type[ProviderError]]] = [
    (sse({"error": _BUSY | {"code": 503}}), Overloaded),
    (sse({"error": _BUSY | {"code": "429"}, "choices": []}), RateLimited),
    (sse({"error": _BUSY | {"type": "rate_limit_error"}, "choices": None, "id": None}), RateLimited),
    (sse({"error": "busy"}), ServerError),
    (sse({"error": _BUSY | {"code": "invalid_api_key"}}, event="error"), AuthenticationFailed),
    (sse({"message": "busy", "code": "overloaded_error"}, event="error"), Overloaded),
    (sse({"choices": [{"delta": {}, "error": _BUSY | {"code": 502}, "finish_reason": "error"}]}), ServerError),
    (sse({"choices": [], "x_groq": {"id": "r", "error": "busy"}}), ServerError),
    (sse({"code": 50505, "message": "busy", "data": None}), ServerError),
    (sse({"errors": {"message": "busy"}, "request_id": "r"}), ServerError),
    ((json.dumps({"error": _BUSY | {"code": 503}}, indent=2) + "\n").encode(), Overloaded),
]
