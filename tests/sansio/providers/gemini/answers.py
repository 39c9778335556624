"""Gemini's answers: as an event stream, as the JSON array that comes without `alt=sse`, and as one document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
from hypothesis import strategies as st

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import ARGUMENTS, TEXT, pieces
from turnout.chat import FinishReason, Usage
from turnout.errors import Overloaded, ProviderError, RateLimited, ServerError

FINISHES: dict[str | int, FinishReason] = {
    "STOP": FinishReason.STOP,
    1: FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    2: FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
}
GROUNDING = {"groundingChunks": [{"web": {"uri": "https://x.test"}}]}
SIGNATURES = st.none() | st.sampled_from(["c2lnMQ==", "c2lnMg=="])
OPAQUE = st.sampled_from(
    [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"inlineData": {"mimeType": "image/png", "data": "cG5n"}},
    ]
)
NOISE: list[dict[str, Any]] = [
    {},
    {"candidates": []},
    {"candidates": [{"content": {"parts": []}}]},
    {"candidates": [{"content": {"role": "model"}, "safetyRatings": []}]},
    {"candidates": [{"content": {"parts": [{"text": ""}]}}]},
    {"promptFeedback": {"safetyRatings": []}},
    {"usageMetadata": {}},
]
# The first index seen is ours, so this one comes later.
ANOTHER: dict[str, Any] = {
    "candidates": [{"index": 1, "content": {"parts": [{"text": "another candidate"}]}, "finishReason": "MAX_TOKENS"}]
}
COUNTERS = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount")
# What a server puts into the pieces of arguments: there is no word for an empty object or list there.
LEAVES = st.none() | TEXT | st.booleans() | st.integers(-9, 9)
PLACED: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["x", "y_1", "of"]),
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=2)
            | st.dictionaries(st.sampled_from(["a", "b"]), inner, min_size=1, max_size=2)
        ),
        max_leaves=3,
    ),
    max_size=2,
)


@attrs.frozen
class Answer:
    """What was said, how, and what a client must report of it.

    parts      the parts as they were sent, calls with pieces of arguments put together
    documents  the answers of the stream; the finish reason stands in the last of them but those of usage alone
    """

    parts: tuple[dict[str, Any], ...]
    finish: str | int
    usage: Usage
    grounded: bool
    documents: tuple[dict[str, Any], ...]
    whole: dict[str, Any]
    newline: str
    array: str | None  # how the elements of the array are written; None where it is an event stream

    @property
    def body(self) -> bytes:
        return self.written(self.documents)

    def written(self, documents: tuple[dict[str, Any], ...], *, closed: bool = True) -> bytes:
        if self.array is None:
            return sse(*documents, newline=self.newline, ascii=False)
        indent = 2 if self.array == "pretty" else None
        elements = f"{self.newline},{self.newline}".join(json.dumps(each, indent=indent) for each in documents)
        return f"[{elements}{']' if closed else ''}".encode()

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self.parts if "text" in part and not part.get("thought"))

    @property
    def reasoning(self) -> str:
        return "".join(part["text"] for part in self.parts if "text" in part and part.get("thought"))

    @property
    def calls(self) -> list[tuple[str | None, str, Any]]:
        made = (part["functionCall"] for part in self.parts if "functionCall" in part)
        return [(call.get("id"), call["name"], call.get("args", {})) for call in made]

    @property
    def reason(self) -> FinishReason:
        meant = FINISHES[self.finish]
        return FinishReason.TOOL_CALLS if self.calls and meant is FinishReason.STOP else meant

    @property
    def replayed(self) -> list[dict[str, Any]]:
        """The parts as they go back: unsigned neighbours of one kind are one, signed ones stay as they are."""
        again: list[dict[str, Any]] = []
        for part in self.parts:
            if "functionCall" in part or part == {"text": ""} or part == {"text": "", "thought": True}:
                continue
            last = again[-1] if again else {}
            unsigned = "text" in part and "thoughtSignature" not in part and "thoughtSignature" not in last
            if unsigned and "text" in last and part.get("thought") == last.get("thought"):
                last["text"] += part["text"]
            else:
                again.append(dict(part))
        calls = [part for part in self.parts if "functionCall" in part]
        return again + [{**call, "functionCall": {"args": {}, **call["functionCall"]}} for call in calls]


@attrs.frozen
class Said:
    """One thing that was said: the parts that it is sent in, and the parts that it is."""

    sent: list[dict[str, Any]]
    meant: list[dict[str, Any]]

    @property
    def is_call(self) -> bool:
        return "functionCall" in self.meant[0]


@st.composite
def things(draw: st.DrawFn) -> list[Said]:
    said: list[Said] = []
    for kind in draw(st.lists(st.sampled_from(["thought", "text", "call", "pieces", "opaque"]), max_size=6)):
        signature = draw(SIGNATURES)
        signed = {"thoughtSignature": signature} if signature is not None else {}
        if kind in ("thought", "text"):
            flag = {"thought": True} if kind == "thought" else {}
            *before, last = draw(pieces(draw(TEXT | st.just(""))))
            parts: list[dict[str, Any]] = [{"text": piece, **flag} for piece in before]
            parts.append({"text": last, **flag, **signed})
            said.append(Said(parts, parts))
        elif kind == "opaque":
            part = draw(OPAQUE)
            said.append(Said([part], [part]))
        else:
            id = draw(st.none() | st.uuids().map(str))
            named: dict[str, Any] = {"name": draw(st.sampled_from(["f", "g"]))} | ({"id": id} if id is not None else {})
            args = draw(ARGUMENTS if kind == "call" else PLACED)
            told: dict[str, Any] = {"args": args} if args or draw(st.sampled_from([True, False])) else {}
            call: dict[str, Any] = {"functionCall": named | told, **signed}
            sent = [call]
            if kind == "pieces":
                first, *rest = ({"functionCall": each} for each in draw(call_in_pieces(named, args)))
                sent = [{**first, **signed}, *rest]
            said.append(Said(sent, [call]))
    return said


def leaves(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """Every leaf of a document with the path of its place."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, f"{path}[{place}]")
    else:
        yield path, value


@st.composite
def call_in_pieces(draw: st.DrawFn, named: dict[str, Any], args: dict[str, Any]) -> list[dict[str, Any]]:
    """A call whose arguments come by the paths of their places (Vertex AI); the last piece may be missing."""
    told: list[dict[str, Any]] = []
    for path, value in leaves(args):
        match value:
            case None:
                told.append({"jsonPath": path, "nullValue": "NULL_VALUE"})
            case bool():
                told.append({"jsonPath": path, "boolValue": value})
            case int():
                told.append({"jsonPath": path, "numberValue": value})
            case _:
                told += [{"jsonPath": path, "stringValue": piece} for piece in draw(pieces(value))]
    cut = draw(st.integers(0, len(told)))
    rows = [each for each in (told[:cut], told[cut:]) if each]
    sent = [named | {"willContinue": True}, *({"partialArgs": row, "willContinue": True} for row in rows)]
    return sent + ([{}] if draw(st.booleans()) else [])


@st.composite
def counted(draw: st.DrawFn, count: int) -> tuple[list[dict[str, int] | None], dict[str, int]]:
    """The usage that each of `count` documents tells, and what each counter said last."""
    told: list[dict[str, int] | None] = [draw(st.none() | st.just({})) for _ in range(count)]
    last: dict[str, int] = {}
    for name in COUNTERS:
        for place in sorted(draw(st.sets(st.integers(0, count - 1), max_size=3))):
            last[name] = draw(st.integers(1, 999))
            told[place] = {**(told[place] or {}), name: last[name]}
    return told, last


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    said = draw(things())
    finish = draw(st.sampled_from(list(FINISHES)))
    if finish in ("MAX_TOKENS", 2):
        said = [each for each in said if not each.is_call]  # an answer that was cut has no whole calls
    sent = [part for each in said for part in each.sent]
    documents: list[dict[str, Any]] = []
    while sent:
        size = draw(st.integers(1, 2))
        documents.append({"candidates": [{"content": {"parts": sent[:size], "role": "model"}}]})
        sent = sent[size:]
    for at in draw(st.lists(st.integers(0, len(documents)), max_size=2)):
        documents.insert(at, draw(st.sampled_from(NOISE)))
    ours = next((at for at, each in enumerate(documents) if each.get("candidates")), None)
    if ours is not None and draw(st.booleans()):
        documents.insert(draw(st.integers(ours + 1, len(documents))), ANOTHER)
    ending: dict[str, Any] = draw(
        st.sampled_from([{}, {"content": {}}, {"content": {"role": "model"}}, {"content": {"parts": [{"text": ""}]}}])
    )
    ended: dict[str, Any] = {"candidates": [{**ending, "finishReason": finish}]}
    documents.append(ended)
    if draw(st.booleans()):
        documents.append({"usageMetadata": {}})
    usages, last = draw(counted(len(documents)))
    documents = [
        {**each, "modelVersion": "served", "responseId": "r1"} | ({"usageMetadata": usage} if usage is not None else {})
        for each, usage in zip(documents, usages, strict=True)
    ]
    grounded = draw(st.booleans())
    if grounded:
        ended["candidates"][0]["groundingMetadata"] = GROUNDING
    meant = [part for each in said for part in each.meant]
    candidate: dict[str, Any] = {"content": {"parts": meant, "role": "model"}, "finishReason": finish}
    if grounded:
        candidate["groundingMetadata"] = GROUNDING
    return Answer(
        parts=tuple(meant),
        finish=finish,
        usage=usage_of(last),
        grounded=grounded,
        documents=tuple(documents),
        whole={"candidates": [candidate], "usageMetadata": last, "modelVersion": "served", "responseId": "r1"},
        newline=draw(st.sampled_from(["\r\n", "\n"])),
        array=draw(st.sampled_from([None, "pretty", "compact"])),
    )


def usage_of(told: dict[str, int]) -> Usage:
    answer, thoughts = told.get("candidatesTokenCount"), told.get("thoughtsTokenCount")
    return Usage(
        prompt_tokens=told.get("promptTokenCount"),
        completion_tokens=None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0),
        cached_tokens=told.get("cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        source="reported" if told else "absent",
    )


ANSWERS = answers()
BLOCKED = st.fixed_dictionaries(
    {
        "promptFeedback": st.fixed_dictionaries(
            {"blockReason": st.sampled_from(["SAFETY", "OTHER", "PROHIBITED_CONTENT", "MODEL_ARMOR", "NEW"])},
            optional={"blockReasonMessage": TEXT, "safetyRatings": st.just([])},
        ),
    },
    optional={"usageMetadata": st.just({"promptTokenCount": 7}), "candidates": st.just([]), "modelVersion": TEXT},
)
_BUSY = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
_LIMITED = {"error": {"code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED"}}
# An error as an element of the array, and as what a server writes into or behind an event stream.
ERRORS: list[tuple[Any, bytes, type[ProviderError]]] = [
    (_BUSY, sse(_BUSY, newline="\r\n"), Overloaded),
    (_LIMITED, sse(_LIMITED), RateLimited),
    (_BUSY, sse([_BUSY]), Overloaded),
    (_LIMITED, (json.dumps(_LIMITED, indent=2) + "\n").encode(), RateLimited),
    (_BUSY, (json.dumps([_BUSY], indent=2)).encode(), Overloaded),
    ({"error": "busy"}, sse('"busy"'), ServerError),
]
