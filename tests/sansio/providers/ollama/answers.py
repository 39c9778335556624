"""Ollama's answers: as lines, and as one document; in the form of /api/chat and in that of /api/generate."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import strategies as st

from tests.sansio.providers.bodies import ndjson
from tests.sansio.providers.playing import ARGUMENTS, TEXT
from turnout.chat import FinishReason, Usage
from turnout.events import Reasoning, Token

FINISHES = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "load": FinishReason.UNKNOWN,
    "": FinishReason.UNKNOWN,
    None: FinishReason.UNKNOWN,  # left out
}
STAMP = {"model": "served", "created_at": "2026-02-18T22:00:00.123456789Z"}
DURATIONS = {"total_duration": 8113331500, "load_duration": 6396458, "prompt_eval_duration": 61, "eval_duration": 73}
NOISE = [
    {**STAMP, "message": {"role": "assistant", "content": ""}, "done": False},
    {**STAMP, "message": {"role": "assistant", "content": "", "images": None, "tool_calls": None}, "done": False},
    {**STAMP, "remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443", "done": False},
    {"status": "loading model"},
]


@attrs.frozen
class Call:
    id: str | None
    name: str
    arguments: dict[str, Any]


@attrs.frozen
class Answer:
    """What was said, how, and what a client must report of it. The last line is the one that ends the answer."""

    told: tuple[Token | Reasoning, ...]
    calls: tuple[Call, ...]
    finish: str | None
    usage: Usage
    lines: tuple[dict[str, Any], ...]
    document: dict[str, Any]
    newline: str

    @property
    def body(self) -> bytes:
        return self.written(self.lines)

    def written(self, lines: tuple[dict[str, Any], ...]) -> bytes:
        return ndjson(*lines, newline=self.newline)

    @property
    def text(self) -> str:
        return "".join(each.delta for each in self.told if isinstance(each, Token))

    @property
    def reasoning(self) -> str:
        return "".join(each.delta for each in self.told if isinstance(each, Reasoning))

    @property
    def reason(self) -> FinishReason:
        if self.calls and self.finish in ("stop", "", None):
            return FinishReason.TOOL_CALLS
        return FINISHES[self.finish]


@st.composite
def call_wire(draw: st.DrawFn, call: Call, place: int) -> dict[str, Any]:
    """A call as one server or another writes it: its arguments as an object, or as text."""
    function: dict[str, Any] = {
        "name": call.name,
        "arguments": draw(st.sampled_from([call.arguments, json.dumps(call.arguments)])),
    }
    if draw(st.booleans()):
        function["index"] = place
    return ({"id": call.id} if call.id is not None else {}) | {"function": function}


def line(
    generating: bool, *, done: bool = False, text: str = "", thinking: str = "", calls: Any = None
) -> dict[str, Any]:
    if generating:
        return {**STAMP, "response": text, **({"thinking": thinking} if thinking else {}), "done": done}
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {**STAMP, "message": message, "done": done}


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    generating = draw(st.booleans())
    told = tuple(
        draw(st.lists(st.builds(Reasoning, TEXT), max_size=3)) + draw(st.lists(st.builds(Token, TEXT), max_size=4))
    )
    arguments = [] if generating else draw(st.lists(ARGUMENTS, max_size=3))
    calls = tuple(
        Call(draw(st.sampled_from([None, "", f"call_{place}"])), draw(st.sampled_from(["f", "g"])), each)
        for place, each in enumerate(arguments)
    )
    wires = [draw(call_wire(call, place)) for place, call in enumerate(calls)]
    lines = [
        line(generating, text=each.delta) if isinstance(each, Token) else line(generating, thinking=each.delta)
        for each in told
    ]
    cut = draw(st.integers(0, len(wires)))
    lines += [line(generating, calls=group) for group in (wires[:cut], wires[cut:]) if group]
    # Without content, these are no answer: "load" says that nothing was generated.
    finish = draw(st.sampled_from([each for each in FINISHES if each not in ("load", "", None) or told or calls]))
    prompt, completion = draw(st.none() | st.integers(1, 999)), draw(st.none() | st.integers(1, 999))
    counted = {name: count for name, count in (("prompt_eval_count", prompt), ("eval_count", completion)) if count}
    end = DURATIONS | counted | ({"done_reason": finish} if finish is not None else {})
    last = line(generating, done=True)
    together: bool = draw(st.booleans())
    if lines and together:
        last = lines.pop() | {"done": True}  # the last piece and the end in one line
    for at in draw(st.lists(st.integers(0, len(lines)), max_size=2)):
        lines.insert(at, draw(st.sampled_from(NOISE)))
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion) if counted else Usage(source="absent")
    said = {kind: "".join(each.delta for each in told if isinstance(each, kind)) for kind in (Token, Reasoning)}
    whole = line(generating, done=True, text=said[Token], thinking=said[Reasoning], calls=wires)
    return Answer(
        told=told,
        calls=calls,
        finish=finish,
        usage=usage,
        lines=(*lines, last | end),
        document=whole | end,
        newline=draw(st.sampled_from(["\n", "\r\n", "\n\n", "\n \n"])),
    )


ANSWERS = answers()
