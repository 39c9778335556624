"""Decides the response to a request once for all dialects: text, reasoning, tool calls and the token counts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from turnout.errors import LocalProtocolError
from turnout_sandbox.prose import pieces_of, reasoning_about, seeded, sentences_about
from turnout_sandbox.received import Received
from turnout_sandbox.schema_sample import sample

__all__ = ["AnswerScript", "ParsedRequest", "ScriptedAnswer", "ScriptedCall", "ToolSpec", "Turn", "compose"]


@attrs.frozen
class ToolSpec:
    """A tool that the request offers."""

    name: str
    schema: Mapping[str, Any]


@attrs.frozen
class ScriptedCall:
    """A call of a tool that the model makes."""

    name: str
    arguments: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def text(self) -> str:
        return json.dumps(self.arguments, ensure_ascii=False)


@attrs.frozen(kw_only=True)
class ParsedRequest:
    """A chat request, read out of its dialect.

    prompt          text of the last user message
    tool_results    texts of the tool results that end the conversation; () where a user message ends it
    choice          "auto", "none" or "required"; or `forced` names the one tool to call
    schema          the JSON Schema of a structured answer; {} for any JSON; None for plain text
    thinking        whether reasoning is wanted; `shown` whether its text is shown
    prefix          the text that the answer continues; `repeats_prefix` whether the answer contains it
    max_tokens      of reasoning and text together; None is no limit
    prompt_tokens   how much the whole request counts for
    """

    model: str
    prompt: str
    prompt_tokens: int
    stream: bool = False
    tool_results: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    forced_tool: str | None = None
    parallel_tool_calls: bool = True
    schema: Mapping[str, Any] | None = None
    reasoning: bool = False
    prefix: str = ""
    repeats_prefix: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1


@attrs.frozen(kw_only=True)
class ScriptedAnswer:
    """A scripted answer, for `Sandbox.answer`: the text, the reasoning and the tool calls."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()


AnswerScript: TypeAlias = ScriptedAnswer | str | Callable[[Received], "ScriptedAnswer | str"]
"""What a user may script: a text, an answer, or a function of the request that gives one of them."""


@attrs.frozen(kw_only=True)
class Turn:
    """One answer, cut into the pieces that a stream sends. `finish` is "stop", "length" or "tool_calls"."""

    reasoning: tuple[str, ...]
    text: tuple[str, ...]
    calls: tuple[ScriptedCall, ...]
    finish: str
    prompt_tokens: int
    completion_tokens: int  # reasoning included
    reasoning_tokens: int

    @property
    def whole_text(self) -> str:
        return "".join(self.text)

    @property
    def whole_reasoning(self) -> str:
        return "".join(self.reasoning)


def compose(request: ParsedRequest, received: Received, scripted: AnswerScript | None, salt: str) -> Turn:
    """Return the answer to a request.

    Raises:
        LocalProtocolError: A scripted function returned something else.
    """
    if scripted is None:
        answer = _invented(request, salt)
    elif isinstance(scripted, str | ScriptedAnswer):
        answer = _to_answer(scripted)
    else:
        answer = _to_answer(scripted(received))
    return _turn(request, answer)


def _to_answer(value: object) -> ScriptedAnswer:
    if isinstance(value, ScriptedAnswer):
        return value
    if isinstance(value, str):
        return ScriptedAnswer(text=value)
    raise LocalProtocolError(f"a scripted answer is a str or an Answer, not {type(value).__name__}")


def _invented(request: ParsedRequest, salt: str) -> ScriptedAnswer:
    reasoning = reasoning_about(request.prompt, salt) if request.reasoning else ""
    rng = seeded("arguments", salt, request.prompt)
    calls = tuple(ScriptedCall(tool.name, _arguments(tool, rng, request.prompt)) for tool in _tools_to_call(request))
    if calls:
        return ScriptedAnswer(reasoning=reasoning, tool_calls=calls)
    if request.schema is not None:
        value = (
            sample(request.schema, rng, request.prompt)
            if request.schema
            else {"answer": sentences_about(request.prompt, salt)}
        )
        return ScriptedAnswer(reasoning=reasoning, text=json.dumps(value, ensure_ascii=False))
    if request.tool_results:
        results = "; ".join(request.tool_results)
        return ScriptedAnswer(reasoning=reasoning, text=f"The tool gave this: {results}. That answers your question.")
    return ScriptedAnswer(reasoning=reasoning, text=sentences_about(request.prompt, salt))


def _arguments(tool: ToolSpec, rng: Any, prompt: str) -> Mapping[str, Any]:
    value = sample(tool.schema, rng, prompt)
    return value if isinstance(value, dict) else {}


# Words in the names of tools that do not describe their topic.
_VERB_WORDS = "get set list find make call give show tell ask use run tool function current with from for"
_VERBS = frozenset(_VERB_WORDS.split())


def _tools_to_call(request: ParsedRequest) -> tuple[ToolSpec, ...]:
    if not request.tools or request.tool_choice == "none":
        return ()
    if request.forced_tool is not None:
        return tuple(tool for tool in request.tools if tool.name == request.forced_tool)
    if request.tool_results:  # the tools have answered; now it is the model's turn to speak
        return ()
    named = tuple(tool for tool in request.tools if _names(request.prompt, tool.name))
    if not named and request.tool_choice == "required":
        named = request.tools[:1]
    return named if request.parallel_tool_calls else named[:1]


def _names(prompt: str, tool: str) -> bool:
    """True if the prompt has the name of the tool, or a word of the name that describes its topic."""
    low = prompt.lower()
    if tool.lower() in low:
        return True
    words = (word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", tool))
    spoken = set(re.findall(r"[^\W_]+", low))
    return any(word in spoken for word in words if len(word) > 2 and word not in _VERBS)


def _turn(request: ParsedRequest, answer: ScriptedAnswer) -> Turn:
    text = answer.text
    ends = [position for stop in request.stop if stop and (position := text.find(stop)) >= 0]
    text = (text[: min(ends)] if ends else text).removeprefix(request.prefix)
    reasoning, pieces = pieces_of(answer.reasoning), pieces_of(text)
    if request.repeats_prefix:
        pieces = pieces_of(request.prefix) + pieces
    called = sum(len(pieces_of(call.text)) + 1 for call in answer.tool_calls)
    finish = "tool_calls" if answer.tool_calls else "stop"
    if request.max_tokens is not None and len(reasoning) + len(pieces) + called > request.max_tokens:
        reasoning = reasoning[: request.max_tokens]
        pieces = pieces[: request.max_tokens - len(reasoning)]
        # Cut arguments would be invalid JSON, so a call is kept complete, and its tokens are counted.
        finish = "length" if not answer.tool_calls else finish
    return Turn(
        reasoning=tuple(reasoning),
        text=tuple(pieces),
        calls=answer.tool_calls,
        finish=finish,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=max(1, len(reasoning) + len(pieces) + called),
        reasoning_tokens=len(reasoning),
    )
