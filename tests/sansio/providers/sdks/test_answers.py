"""Answers written with the types of the vendors' own SDKs, as their servers would, are read as what they say."""

from __future__ import annotations

import json
from typing import Any, Literal

import attrs
import pytest
from google.genai import types as genai
from groq.types import chat as groq
from groq.types import completion_usage as groq_usage
from groq.types.chat import chat_completion as groq_whole
from groq.types.chat import chat_completion_chunk as groq_chunk
from hypothesis import given, settings
from hypothesis import strategies as st
from mistralai.client import models as mistral
from ollama import _types as ollama
from openai.types import chat as openai
from openai.types import completion_usage as openai_usage
from openai.types.chat import chat_completion as openai_whole
from openai.types.chat import chat_completion_chunk as openai_chunk
from openai.types.chat import chat_completion_message_function_tool_call as openai_call

from tests.sansio.providers.bodies import ndjson, sse
from tests.sansio.providers.gemini import answers as gemini_answers
from tests.sansio.providers.ollama import answers as ollama_answers
from tests.sansio.providers.playing import ARGUMENTS, CUTS, TEXT, feed, read
from tests.sansio.providers.sdks.types import dumped
from turnout.chat import ChatResponse, FinishReason

Stop = Literal["stop", "length", "tool_calls"]
FINISHES: dict[Stop, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
}


@attrs.frozen
class Meant:
    """What a server wants to say."""

    reasoning: str
    text: tuple[str, ...]
    calls: tuple[tuple[str, str, dict[str, Any]], ...]
    prompt: int
    completion: int
    cached: int

    @property
    def stop(self) -> Stop:
        return "tool_calls" if self.calls else "stop" if self.completion % 2 else "length"


MEANT = st.builds(
    Meant,
    st.just("") | TEXT,
    st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    st.lists(ARGUMENTS, max_size=2).map(
        lambda drawn: tuple((f"call{place}abcd", "f", arguments) for place, arguments in enumerate(drawn))
    ),
    st.integers(1, 999),  # 0 tokens beside an answer are no report
    *[st.integers(0, 999)] * 2,
)


def assert_said(
    meant: Meant, result: ChatResponse, *, reasoning: bool = True, cached: bool = True, finish: str | None = None
) -> None:
    assert result.text == "".join(meant.text)
    assert result.reasoning == (meant.reasoning if reasoning else "")
    assert [(call.id, call.name, call.parsed()) for call in result.tool_calls] == list(meant.calls)
    assert (result.raw_finish_reason, result.finish_reason) == (finish or meant.stop, FINISHES[meant.stop])
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (meant.prompt, meant.completion)
    assert result.usage.cached_tokens == (meant.cached if cached else None)
    assert result.served_model == "served"


def arguments_of(call: tuple[str, str, dict[str, Any]]) -> str:
    return json.dumps(call[2])


@given(MEANT, CUTS)
@settings(deadline=None, max_examples=60)
def test_openai_s_types(meant: Meant, cuts: tuple[int, ...]) -> None:
    usage = openai_usage.CompletionUsage(
        prompt_tokens=meant.prompt,
        completion_tokens=meant.completion,
        total_tokens=meant.prompt + meant.completion,
        prompt_tokens_details=openai_usage.PromptTokensDetails(cached_tokens=meant.cached),
        completion_tokens_details=openai_usage.CompletionTokensDetails(reasoning_tokens=0),
    )
    message = openai.ChatCompletionMessage(
        role="assistant",
        content="".join(meant.text),
        tool_calls=[
            openai.ChatCompletionMessageFunctionToolCall(
                id=call[0],
                type="function",
                function=openai_call.Function(name=call[1], arguments=arguments_of(call)),
            )
            for call in meant.calls
        ],
    )
    whole = openai.ChatCompletion(
        id="chatcmpl-1",
        object="chat.completion",
        created=1,
        model="served",
        choices=[openai_whole.Choice(index=0, message=message, finish_reason=meant.stop)],
        usage=usage,
    )
    assert_said(meant, read("openai", whole.model_dump(mode="json")), reasoning=False)

    def chunk(*choices: openai_chunk.Choice, told: openai_usage.CompletionUsage | None = None) -> Any:
        made = openai.ChatCompletionChunk(
            id="chatcmpl-1",
            object="chat.completion.chunk",
            created=1,
            model="served",
            choices=list(choices),
            usage=told,
        )
        return made.model_dump(mode="json")

    def delta(**fields: Any) -> Any:
        return chunk(openai_chunk.Choice(index=0, delta=openai_chunk.ChoiceDelta(**fields)))

    chunks = [delta(role="assistant", content="", refusal=None), *(delta(content=piece) for piece in meant.text)]
    for index, call in enumerate(meant.calls):
        begun = openai_chunk.ChoiceDeltaToolCallFunction(name=call[1], arguments="")
        rest = openai_chunk.ChoiceDeltaToolCallFunction(arguments=arguments_of(call))
        first = openai_chunk.ChoiceDeltaToolCall(index=index, id=call[0], type="function", function=begun)
        chunks += [
            delta(tool_calls=[each]) for each in (first, openai_chunk.ChoiceDeltaToolCall(index=index, function=rest))
        ]
    end = openai_chunk.Choice(index=0, delta=openai_chunk.ChoiceDelta(), finish_reason=meant.stop)
    heard = feed("openai", sse(*chunks, chunk(end), chunk(told=usage), "[DONE]"), cuts)
    assert heard.failure is None
    assert_said(meant, heard.result, reasoning=False)


@given(MEANT, CUTS)
@settings(deadline=None, max_examples=60)
def test_groq_s_types(meant: Meant, cuts: tuple[int, ...]) -> None:
    usage = groq_usage.CompletionUsage(
        prompt_tokens=meant.prompt,
        completion_tokens=meant.completion,
        total_tokens=meant.prompt + meant.completion,
        prompt_tokens_details=groq_usage.PromptTokensDetails(cached_tokens=meant.cached),
        queue_time=0.1,
    )
    calls = [
        groq.ChatCompletionMessageToolCall.model_validate(
            {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": arguments_of(call)}}
        )
        for call in meant.calls
    ]
    message = groq.ChatCompletionMessage(
        role="assistant", content="".join(meant.text), reasoning=meant.reasoning or None, tool_calls=calls or None
    )
    whole = groq.ChatCompletion(
        id="chatcmpl-1",
        object="chat.completion",
        created=1,
        model="served",
        choices=[groq_whole.Choice(index=0, message=message, finish_reason=meant.stop)],
        usage=usage,
        x_groq=groq_whole.XGroq(id="req_1"),
    )
    assert_said(meant, read("groq", whole.model_dump(mode="json")))

    def chunk(own: groq_chunk.XGroq | None = None, finish: Stop | None = None, **fields: Any) -> Any:
        made = groq.ChatCompletionChunk(
            id="chatcmpl-1",
            object="chat.completion.chunk",
            created=1,
            model="served",
            choices=[groq_chunk.Choice(index=0, delta=groq_chunk.ChoiceDelta(**fields), finish_reason=finish)],
            x_groq=own,
        )
        return made.model_dump(mode="json")

    chunks = [chunk(groq_chunk.XGroq(id="req_1"), role="assistant", content="")]
    if meant.reasoning:
        chunks.append(chunk(reasoning=meant.reasoning))
    chunks += [chunk(content=piece) for piece in meant.text]
    for index, each in enumerate(calls):
        chunks.append(
            chunk(tool_calls=[groq_chunk.ChoiceDeltaToolCall.model_validate({**each.model_dump(), "index": index})])
        )
    last = chunk(groq_chunk.XGroq(id="req_1", usage=usage), meant.stop)
    heard = feed("groq", sse(*chunks, last, "[DONE]"), cuts)
    assert heard.failure is None
    assert_said(meant, heard.result)


@given(MEANT, CUTS)
@settings(deadline=None, max_examples=60)
def test_mistral_s_types(meant: Meant, cuts: tuple[int, ...]) -> None:
    usage = mistral.UsageInfo(
        prompt_tokens=meant.prompt, completion_tokens=meant.completion, total_tokens=meant.prompt + meant.completion
    )
    calls = [
        mistral.ToolCall(id=call[0], index=index, function=mistral.FunctionCall(name=call[1], arguments=call[2]))
        for index, call in enumerate(meant.calls)
    ]
    thought = mistral.ThinkChunk(thinking=[mistral.TextChunk(text=meant.reasoning)], closed=True)
    content: list[Any] = [*([thought] if meant.reasoning else []), mistral.TextChunk(text="".join(meant.text))]
    whole = mistral.ChatCompletionResponse(
        id="1",
        object="chat.completion",
        created=1,
        model="served",
        usage=usage,
        choices=[
            mistral.ChatCompletionChoice(
                index=0,
                finish_reason=meant.stop,
                message=mistral.AssistantMessage(content=content, tool_calls=calls),
            )
        ],
    )
    assert_said(meant, read("mistral", whole.model_dump(mode="json", by_alias=True)), cached=False)

    def chunk(finish: Stop | None = None, told: mistral.UsageInfo | None = None, **fields: Any) -> Any:
        delta = mistral.DeltaMessage(**fields)
        choice = mistral.CompletionResponseStreamChoice(index=0, delta=delta, finish_reason=finish)
        made = mistral.CompletionChunk(id="1", model="served", choices=[choice], usage=told)
        return made.model_dump(mode="json", by_alias=True)

    chunks = [chunk(role="assistant", content="")]
    if meant.reasoning:
        chunks.append(chunk(content=[thought]))
    chunks += [chunk(content=piece) for piece in meant.text]
    if calls:
        chunks.append(chunk(tool_calls=calls))
    heard = feed("mistral", sse(*chunks, chunk(meant.stop, usage, content=""), "[DONE]"), cuts)
    assert heard.failure is None
    assert_said(meant, heard.result, cached=False)


@given(MEANT, CUTS)
@settings(deadline=None, max_examples=60)
def test_gemini_s_types(meant: Meant, cuts: tuple[int, ...]) -> None:
    parts = [genai.Part(text=meant.reasoning, thought=True)] if meant.reasoning else []
    parts += [genai.Part(text=piece) for piece in meant.text]
    parts += [
        genai.Part(function_call=genai.FunctionCall(id=call[0], name=call[1], args=call[2])) for call in meant.calls
    ]
    finish = genai.FinishReason.MAX_TOKENS if meant.stop == "length" else genai.FinishReason.STOP
    usage = genai.GenerateContentResponseUsageMetadata(
        prompt_token_count=meant.prompt,
        candidates_token_count=meant.completion,
        cached_content_token_count=meant.cached,
        total_token_count=meant.prompt + meant.completion,
    )

    def answer(told: list[genai.Part], **more: Any) -> Any:
        end = more.pop("finish_reason", None)
        candidate = genai.Candidate(content=genai.Content(role="model", parts=told), finish_reason=end)
        made = genai.GenerateContentResponse(candidates=[candidate], model_version="served", **more)
        return made.model_dump(mode="json", by_alias=True, exclude_none=True)

    whole = read("gemini", answer(parts, finish_reason=finish, usage_metadata=usage))
    assert_said(meant, whole, finish=finish.value)
    last = answer([], finish_reason=finish, usage_metadata=usage)
    heard = feed("gemini", sse(*(answer([part]) for part in parts), last, newline="\r\n"), cuts)
    assert heard.failure is None
    assert_said(meant, heard.result, finish=finish.value)


@given(MEANT, CUTS)
@settings(deadline=None, max_examples=60)
def test_ollama_s_types(meant: Meant, cuts: tuple[int, ...]) -> None:
    calls = [
        ollama.Message.ToolCall(function=ollama.Message.ToolCall.Function(name=call[1], arguments=call[2]))
        for call in meant.calls
    ]
    counted = attrs.evolve(meant, prompt=meant.prompt + 1, completion=meant.completion + 1)

    def line(done: bool = False, reason: str | None = None, **fields: Any) -> Any:
        made = ollama.ChatResponse(
            model="served",
            created_at="2026-02-18T22:00:00Z",
            message=ollama.Message(role="assistant", **fields),
            done=done,
            done_reason=reason,
            prompt_eval_count=counted.prompt if done else None,
            eval_count=counted.completion if done else None,
            total_duration=5 if done else None,
        )
        return made.model_dump(mode="json", exclude_none=True)

    stop = "length" if meant.stop == "length" else "stop"
    whole = read(
        "ollama",
        line(True, stop, content="".join(meant.text), thinking=meant.reasoning or None, tool_calls=calls or None),
    )
    lines = [line(content="", thinking=meant.reasoning)] if meant.reasoning else []
    lines += [line(content=piece) for piece in meant.text]
    lines += [line(content="", tool_calls=[call]) for call in calls]
    heard = feed("ollama", ndjson(*lines, line(True, stop, content="")), cuts)
    assert heard.failure is None
    for result in (whole, heard.result):
        assert (result.text, result.reasoning) == ("".join(meant.text), meant.reasoning)
        assert [call.parsed() for call in result.tool_calls] == [call[2] for call in meant.calls]
        assert (result.raw_finish_reason, result.finish_reason) == (stop, FINISHES[meant.stop])
        assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (counted.prompt, counted.completion)


@pytest.mark.full
@given(gemini_answers.ANSWERS)
@settings(deadline=None, max_examples=60)
def test_the_answers_made_up_for_gemini_are_ones_that_its_sdk_reads(answer: gemini_answers.Answer) -> None:
    for document in (*answer.documents, answer.whole):
        if not isinstance(answer.finish, int):  # some servers send the number, which the SDK does not know
            assert dumped(genai.GenerateContentResponse.model_validate(document)).keys() == document.keys()


@given(ollama_answers.ANSWERS)
@settings(deadline=None, max_examples=60)
def test_the_answers_made_up_for_ollama_are_ones_that_its_sdk_reads(answer: ollama_answers.Answer) -> None:
    for document in (*answer.lines, answer.document):
        calls = document.get("message", {}).get("tool_calls") or ()
        if any(isinstance(call["function"]["arguments"], str) for call in calls):
            continue  # seen from some models, and refused by the SDK
        if "message" in document:
            assert ollama.ChatResponse.model_validate(document).message.content == document["message"]["content"]
