"""What a server's machine writes, the client's machine reads as the same answer: whole, streamed, and cut anywhere.

The two packages have different authors and share no table, so a wrong field name on one side is found here.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.providers.playing import CUTS, Heard, feed, read
from tests.sansio.serving.answers import ANSWERER, Answer, Block, answers, inbound_of, write_stream
from turnout.chat import ChatResponse, FinishReason, Usage
from turnout.events import End, Reasoning, Token, ToolCallDelta, ToolCallReady
from turnout.serving import ChatCompletions, ChatDialect, Messages, Responses


@attrs.frozen
class Pair:
    """A server's dialect with the provider that speaks it as a client."""

    dialect: ChatDialect
    provider: str
    settings: dict[str, Any] = attrs.field(factory=dict)

    def stream(self, body: bytes, cuts: tuple[int, ...]) -> Heard:
        return feed(self.provider, body, cuts, **self.settings)

    def whole(self, answer: Answer) -> ChatResponse:
        body = self.dialect.build_response(inbound_of(), answer.response, ANSWERER)
        return read(self.provider, body, **self.settings)


CHAT = Pair(ChatCompletions(), "openai")
MESSAGES = Pair(Messages(), "anthropic")
RESPONSES = Pair(Responses(), "openai", {"api": "responses"})
PAIRS = pytest.mark.parametrize("pair", [CHAT, MESSAGES, RESPONSES], ids=["chat", "messages", "responses"])


def words_of(heard: Heard) -> list[tuple[str, str]]:
    """The runs of text and reasoning, in the order of their events."""
    pieces = [(event.type, event.delta) for event in heard.events if isinstance(event, Token | Reasoning)]
    return [
        (kind, "".join(delta for _, delta in run))
        for kind, run in itertools.groupby(pieces, key=lambda piece: piece[0])
    ]


def meant(answer: Answer) -> list[tuple[str, str]]:
    names = {"text": "token", "reasoning": "reasoning"}
    return [(names[block.kind], block.whole) for block in answer.blocks if block.kind in names]


def arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def expected_usage(answer: Answer, pair: Pair) -> Usage:
    usage = answer.usage
    if pair is MESSAGES:
        # This protocol has no place for the tokens of reasoning, and it always has numbers; 0 beside content is none.
        if usage.source == "absent" and not answer.blocks:
            return Usage(prompt_tokens=0, completion_tokens=0, cached_tokens=0, cache_write_tokens=0)
        return attrs.evolve(usage, reasoning_tokens=None)
    return usage


@pytest.mark.slow
@PAIRS
@given(st.data(), CUTS)
def test_a_stream_reads_as_the_answer(pair: Pair, data: st.DataObject, cuts: tuple[int, ...]) -> None:
    answer = data.draw(answers())
    heard = pair.stream(write_stream(pair.dialect, answer), cuts)
    assert heard.failure is None
    assert words_of(heard) == meant(answer)
    ready = [event.call for event in heard.events if isinstance(event, ToolCallReady)]
    assert [(call.id, call.name, arguments(call.arguments)) for call in ready] == [
        (block.id, block.name, arguments(block.arguments)) for block in answer.calls
    ]
    end = heard.events[-1]
    assert isinstance(end, End)
    assert end.finish_reason is answer.finish
    assert end.usage == expected_usage(answer, pair)
    assert end.skipped == 0
    # The arguments that a client sees in pieces are the whole ones.
    for index, block in enumerate(answer.calls):
        deltas = [event for event in heard.events if isinstance(event, ToolCallDelta) and event.index == index]
        assert (deltas[0].id, deltas[0].name) == (block.id, block.name)
        assert arguments("".join(delta.delta for delta in deltas) or "{}") == arguments(block.arguments)


@pytest.mark.slow
@PAIRS
@given(st.data())
def test_a_whole_answer_reads_as_the_answer(pair: Pair, data: st.DataObject) -> None:
    answer = data.draw(answers())
    response = pair.whole(answer)
    assert response.text == "".join(block.whole for block in answer.blocks if block.kind == "text")
    assert response.reasoning == "".join(block.whole for block in answer.blocks if block.kind == "reasoning")
    assert [(call.id, call.name, arguments(call.arguments)) for call in response.tool_calls] == [
        (block.id, block.name, arguments(block.arguments)) for block in answer.calls
    ]
    assert response.finish_reason is answer.finish
    assert response.usage == expected_usage(answer, pair)


@pytest.mark.slow
@PAIRS
@given(st.data(), CUTS)
def test_interleaved_pieces_lose_nothing(pair: Pair, data: st.DataObject, cuts: tuple[int, ...]) -> None:
    answer = data.draw(answers(interleaved=True))
    heard = pair.stream(write_stream(pair.dialect, answer), cuts)
    assert heard.failure is None
    for kind in ("text", "reasoning"):
        sent = [
            answer.blocks[turn].pieces[answer.turns[:place].count(turn)]
            for place, turn in enumerate(answer.turns)
            if answer.blocks[turn].kind == kind
        ]
        received = heard.result.text if kind == "text" else heard.result.reasoning
        assert received == "".join(sent)
    calls = {call.id: arguments(call.arguments) for call in heard.result.tool_calls}
    assert calls == {block.id: arguments(block.arguments) for block in answer.calls}
    assert heard.result.finish_reason is answer.finish


@PAIRS
def test_a_refusal_is_read(pair: Pair) -> None:
    usage = Usage(prompt_tokens=1, completion_tokens=2)
    answer = Answer((), (), None, FinishReason.CONTENT_FILTER, usage, refusal="I cannot help with that.")
    streamed = pair.stream(write_stream(pair.dialect, answer), ()).result
    whole = pair.whole(answer)
    for response in (streamed, whole):
        words = response.refusal or response.text
        assert words == "I cannot help with that."
        assert response.finish_reason is FinishReason.CONTENT_FILTER


@PAIRS
def test_arguments_that_are_no_json_reach_the_client(pair: Pair) -> None:
    """An answer that was cut at its length ends inside the arguments of a call."""
    call = Block("call", ('{"city": "Par',), None, "call_1", "weather")
    answer = Answer((call,), (0,), None, FinishReason.LENGTH, Usage(source="absent"))
    streamed = pair.stream(write_stream(pair.dialect, answer), ()).result
    assert streamed.tool_calls[0].arguments == '{"city": "Par'
    assert '"city\\": \\"Par' in json.dumps(pair.whole(answer).tool_calls[0].arguments) or pair is MESSAGES


@pytest.mark.parametrize("half", [("\ud83d", "\ude00"), ("x\ud83d", "\ude00y")])
@PAIRS
def test_a_surrogate_pair_can_be_cut(pair: Pair, half: tuple[str, str]) -> None:
    """Some servers cut an escaped character into two deltas. No byte of the stream is lost or invalid."""
    block = Block("text", half)
    answer = Answer((block,), (0, 0), None, FinishReason.STOP, Usage(source="absent"))
    body = write_stream(pair.dialect, answer)
    texts = [
        found
        for found in body.decode().replace("\\ud83d", "<high>").replace("\\ude00", "<low>").split("\n")
        if "<" in found
    ]
    assert "<high>" in "".join(texts)
    assert "<low>" in "".join(texts)
