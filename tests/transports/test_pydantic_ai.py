"""Agents of Pydantic AI over a router: the real package, with answers of a script."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import turnout_io.sync
from turnout import Message, ModelConfig
from turnout.errors import RateLimited
from turnout.messages import Opaque, Role, Text, Thinking, ToolCall
from turnout_io.asyncio import Router
from turnout_io.testing import AsyncScriptedTransport, Fault, Reply, ScriptedAnswer, ScriptedCall

pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed; .ci/full.d/pydantic-ai installs it")

import pydantic
from pydantic_ai import (  # pyright: ignore[reportMissingImports]
    Agent,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    NativeOutput,
    PromptedOutput,
    ToolOutput,
)
from pydantic_ai import exceptions as agent_errors  # pyright: ignore[reportMissingImports]
from pydantic_ai.messages import (  # pyright: ignore[reportMissingImports]
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models import ModelRequestParameters  # pyright: ignore[reportMissingImports]

from turnout_io.pydantic_ai import TurnoutModel
from turnout_io.pydantic_ai.requests import STORED, request_messages

MODEL = "openai/gpt-4o-mini"
GEMINI = "gemini/gemini-2.5-flash"


class City(pydantic.BaseModel):
    """A city."""

    name: str
    people: int = 0


class Played:
    """A router with a script, and the requests that it sent."""

    def __init__(self, *answers: Any, provider: str = "openai") -> None:
        self.transport = AsyncScriptedTransport()
        for answer in answers:
            if isinstance(answer, Fault):
                self.transport.answer(provider, fault=answer)
            else:
                self.transport.answer(provider, answer)

    def run(self, use: Callable[[Router], Awaitable[Any]], **policy: Any) -> Any:
        async def main() -> Any:
            keys = {"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
            async with Router.from_env(
                environ=keys, dotenv=None, transport=self.transport, max_retries=0, **policy
            ) as router:
                return await use(router)

        return asyncio.run(main())

    def ask(self, prompt: Any = "Why do points freeze?", model: str = MODEL, **settings: Any) -> Any:
        """Return the result of one agent's run."""
        agent_settings = {name: settings.pop(name) for name in ("output_type", "instructions") if name in settings}
        run_settings = settings.pop("model_settings", None)
        return self.run(
            lambda router: Agent(TurnoutModel(router, model, **settings), **agent_settings).run(
                prompt, model_settings=run_settings
            )
        )

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.transport.requests]


def test_an_agent_gets_an_answer_with_usage_and_details() -> None:
    played = Played("Because water does.")
    result = played.ask(instructions="Be short.")
    assert result.output == "Because water does."
    answer = result.all_messages()[-1]
    assert (answer.provider_name, answer.model_name, answer.finish_reason) == ("openai", "gpt-4o-mini", "stop")
    assert answer.provider_details["turnout_model"] == MODEL
    assert answer.provider_details["attempts"] == 1
    assert answer.provider_response_id
    assert result.usage.input_tokens > 0
    assert result.usage.output_tokens > 0
    assert [message["role"] for message in played.bodies[0]["messages"]] == ["system", "user"]
    assert played.bodies[0]["messages"][0]["content"] == "Be short."


def test_settings_of_the_model_and_of_the_run() -> None:
    played = Played("Yes.")
    settings = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "stop_sequences": ["."],
        "seed": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logit_bias": {"5": 1},
        "extra_body": {"user": "ada"},
        "timeout": 20,
        "max_retries": 1,
    }
    played.ask(temperature=0.1, top_p=0.1, model_settings=settings)
    body = played.bodies[0]
    assert (body["temperature"], body["top_p"], body["seed"], body["stop"]) == (0.5, 0.9, 3, ["."])
    assert 7 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert (body["presence_penalty"], body["frequency_penalty"]) == (0.1, 0.2)
    assert (body["logit_bias"], body["user"]) == ({"5": 1}, "ada")


def test_thinking_becomes_the_reasoning_effort() -> None:
    played = Played("Yes.")
    played.ask(model="openai/gpt-5", model_settings={"thinking": "low"})
    assert "low" in json.dumps(played.bodies[0])


def test_a_tool_is_called_and_its_error_goes_to_the_model() -> None:
    call = ScriptedCall("temperature", {"city": "Bern"})
    played = Played(ScriptedAnswer(tool_calls=(call,)), ScriptedAnswer(tool_calls=(call,)), "Ten degrees.")
    seen: list[str] = []

    async def use(router: Router) -> Any:
        agent = Agent(TurnoutModel(router, MODEL))

        @agent.tool_plain
        def temperature(city: str) -> str:
            """Measure the temperature."""
            seen.append(city)
            if len(seen) == 1:
                raise agent_errors.ModelRetry("the thermometer is not ready")
            return "10"

        return await agent.run("How warm is Bern?")

    result = played.run(use)
    assert result.output == "Ten degrees."
    assert seen == ["Bern", "Bern"]
    tool = played.bodies[0]["tools"][0]["function"]
    assert (tool["name"], tool["description"]) == ("temperature", "Measure the temperature.")
    second, third = (body["messages"][-1] for body in played.bodies[1:])
    assert "the thermometer is not ready" in json.dumps(second)
    assert (third["role"], third["content"]) == ("tool", "10")
    assert third["tool_call_id"] == played.bodies[2]["messages"][-2]["tool_calls"][0]["id"]


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (City, ScriptedAnswer(tool_calls=(ScriptedCall("final_result", {"name": "Bern"}),))),
        (ToolOutput(City, name="city"), ScriptedAnswer(tool_calls=(ScriptedCall("city", {"name": "Bern"}),))),
        (NativeOutput(City), '{"name": "Bern", "people": 0}'),
        (PromptedOutput(City), '{"name": "Bern", "people": 0}'),
    ],
    ids=["default", "tool", "native", "prompted"],
)
@pytest.mark.parametrize("model", [MODEL, GEMINI, "anthropic/claude-haiku-4-5"])
def test_every_output_mode_gives_the_value(output: Any, answer: Any, model: str) -> None:
    played = Played(answer, provider=model.partition("/")[0])
    assert played.ask(model=model, output_type=output).output == City(name="Bern")


def test_the_output_modes_use_what_the_provider_has() -> None:
    native = Played('{"name": "Bern", "people": 0}')
    native.ask(output_type=NativeOutput(City))
    assert native.bodies[0]["response_format"]["type"] == "json_schema"
    schema = native.bodies[0]["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("City", False), "`people` is not required"
    tool = Played(ScriptedAnswer(tool_calls=(ScriptedCall("final_result", {"name": "Bern"}),)))
    tool.ask(output_type=City)
    assert tool.bodies[0]["tool_choice"] == {"type": "function", "function": {"name": "final_result"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, (None, ["a", "b"])),
        ("auto", (None, ["a", "b"])),
        ("none", ("none", ["a", "b"])),
        ("required", ("required", ["a", "b"])),
        (["a"], ({"type": "function", "function": {"name": "a"}}, ["a"])),
    ],
)
def test_tool_choices(choice: Any, sent: tuple[Any, list[str]]) -> None:
    played = Played("Yes.", ScriptedAnswer(tool_calls=(ScriptedCall("a", {}),)), "Yes.")

    async def use(router: Router) -> Any:
        agent = Agent(TurnoutModel(router, MODEL), tools=[a, b])
        parameters = None

        async def request(messages: Any, settings: Any, given: Any) -> Any:
            nonlocal parameters
            parameters = given
            return ModelResponse([TextPart("Yes.")])

        model = agent.model
        assert isinstance(model, TurnoutModel)
        original, model.request = model.request, request  # type: ignore[method-assign, assignment]
        await agent.run("Hi")
        return await original([ModelRequest.user_text_prompt("Hi")], {"tool_choice": choice}, parameters)

    played.run(use)
    body = played.bodies[0]
    assert (body.get("tool_choice"), [tool["function"]["name"] for tool in body["tools"]]) == sent


def a() -> str:
    """Do a."""
    return "a"


def b() -> str:
    """Do b."""
    return "b"


def test_a_stream_gives_text_reasoning_tools_and_usage() -> None:
    call = ScriptedCall("temperature", {"city": "Bern"})
    first = ScriptedAnswer(text="Let me look.", reasoning="Measure first.", tool_calls=(call,))
    played = Played(first, "Ten degrees, and no wind.", provider="anthropic")

    async def use(router: Router) -> Any:
        agent = Agent(TurnoutModel(router, "anthropic/claude-haiku-4-5"))

        @agent.tool_plain
        def temperature(city: str) -> str:
            """Measure the temperature."""
            return f"10 in {city}"

        parts: list[str] = []
        async with agent.run_stream("How warm is Bern?") as stream:
            parts += [text async for text in stream.stream_text(delta=True)]
        return stream, parts

    stream, parts = played.run(use)
    history = stream.all_messages()
    # A text ends the run of a stream, so the call of the first answer was made before it.
    assert "".join(parts)
    answer = next(message for message in history if message.kind == "response")
    kinds = [type(part) for part in answer.parts]
    assert kinds == [ThinkingPart, TextPart, ToolCallPart]
    assert answer.parts[0].content == "Measure first."
    assert answer.parts[2].args_as_dict() == {"city": "Bern"}
    assert answer.usage.output_tokens > 0
    assert answer.finish_reason == "tool_call"
    assert Message.from_dict(answer.provider_details[STORED]).tool_calls[0].name == "temperature"


def test_a_stream_of_text_ends_complete() -> None:
    played = Played("One two three four.")

    async def use(router: Router) -> Any:
        async with Agent(TurnoutModel(router, MODEL)).run_stream("Count.") as stream:
            return [text async for text in stream.stream_text(delta=True, debounce_by=None)], stream

    pieces, stream = played.run(use)
    assert len(pieces) > 1
    assert "".join(pieces) == "One two three four."
    answer = stream.all_messages()[-1]
    assert (answer.state, answer.finish_reason) == ("complete", "stop")
    assert stream.usage.output_tokens > 0


def test_a_stream_that_is_left_closes_its_connection() -> None:
    played = Played("One two three four. " * 50)

    async def use(router: Router) -> Any:
        async with Agent(TurnoutModel(router, MODEL)).run_stream("Count.") as stream:
            async for _ in stream.stream_text(delta=True, debounce_by=None):
                break
        return router.health()

    (health,) = played.run(use)
    assert health.in_flight == 0


def test_fallbacks_of_the_router_answer() -> None:
    played = Played(Fault(status=503))
    played.transport.answer("gemini", "Because water does.")
    result = played.ask(fallbacks=[GEMINI])
    assert result.output == "Because water does."
    assert result.all_messages()[-1].provider_name == "gemini"
    assert result.all_messages()[-1].provider_details["attempts"] == 2


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(error="rate-limit"), agent_errors.ModelRateLimitError),
        (Fault(error="quota"), agent_errors.ModelQuotaExceededError),
        (Fault(status=401), agent_errors.ModelAuthenticationError),
        (Fault(status=404), agent_errors.ModelNotFoundError),
        (Fault(status=500), agent_errors.ModelServerError),
        (Fault(error="context-length"), agent_errors.ModelContextWindowExceededError),
        (Fault(abort="close"), agent_errors.ModelConnectionError),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_errors_are_those_of_pydantic_ai(fault: Fault, kind: type[Exception], streams: bool) -> None:
    async def use(router: Router) -> None:
        agent = Agent(TurnoutModel(router, MODEL))
        if not streams:
            await agent.run("Hi")
        else:
            async with agent.run_stream("Hi") as stream:
                await stream.get_output()

    with pytest.raises(kind) as raised:
        Played(fault).run(use)
    assert raised.value.__cause__ is not None
    assert raised.value.__cause__.trace.attempts == 1  # type: ignore[attr-defined]


def test_the_wait_of_a_rate_limit_is_kept() -> None:
    fault = Fault(error="rate-limit", headers={"retry-after": "20"})
    with pytest.raises(agent_errors.ModelRateLimitError) as raised:
        Played(fault).ask()
    assert (raised.value.status_code, raised.value.retry_after) == (429, 20)
    assert isinstance(raised.value.__cause__, RateLimited)


def test_an_error_of_the_program_stays() -> None:
    from turnout.errors import ProviderNotRegistered

    with pytest.raises(ProviderNotRegistered):
        Played().ask(model="nobody/model")


def test_a_stream_that_breaks_is_an_error_with_the_trace() -> None:
    async def use(router: Router) -> None:
        async with Agent(TurnoutModel(router, MODEL)).run_stream("Hi") as stream:
            await stream.get_output()

    with pytest.raises(agent_errors.ModelAPIError) as raised:
        Played(Fault(abort="close", after_tokens=2)).run(use)
    assert raised.value.__cause__.partial.text  # type: ignore[union-attr, unused-ignore]


def test_files_of_a_prompt() -> None:
    played = Played("A yard.")
    played.ask(
        [
            "What is this?",
            ImageUrl("https://example.com/yard.jpg"),
            BinaryContent(b"png", media_type="image/png"),
            BinaryContent(b"wav", media_type="audio/wav"),
            BinaryContent(b"pdf", media_type="application/pdf"),
        ]
    )
    content = played.bodies[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "image_url", "input_audio", "file"]
    assert content[1]["image_url"]["url"] == "https://example.com/yard.jpg"
    assert base64.b64encode(b"png").decode() in content[2]["image_url"]["url"]


def test_a_document_by_url_reaches_a_provider_that_takes_it() -> None:
    played = Played("Text.", provider="anthropic")
    played.ask(["Read:", DocumentUrl("https://example.com/a.pdf")], model="anthropic/claude-haiku-4-5")
    assert "https://example.com/a.pdf" in json.dumps(played.bodies[0])


def _history(response: ModelResponse) -> list[Message]:
    messages = [ModelRequest.user_text_prompt("Hi"), response]
    again = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(messages))
    return request_messages(again, ModelRequestParameters())


def test_a_stored_message_goes_back_with_its_signatures() -> None:
    stored = Message(
        Role.ASSISTANT,
        [Thinking("Measure first.", signature="s"), Text("Let me look."), Opaque(b'{"a": 1}')],
        tool_calls=[ToolCall("c", "look", '{"a":1}', signature="t")],
        origin="anthropic",
    )
    parts = [ThinkingPart("Measure first."), TextPart("Let me look."), ToolCallPart("look", {"a": 1}, "c")]
    response = ModelResponse(parts, provider_details={STORED: stored.to_dict()})
    assert _history(response)[-1] == stored


@pytest.mark.parametrize("details", [None, {}, {STORED: 5}, {STORED: {"role": "guest"}}])
def test_another_history_goes_back_as_it_reads(details: Any) -> None:
    parts = [ThinkingPart("Measure first."), TextPart("Let me look."), ToolCallPart("look", {"a": 1}, "c")]
    message = _history(ModelResponse(parts, provider_details=details))[-1]
    assert (message.text, message.reasoning) == ("Let me look.", "")
    assert message.tool_calls == (ToolCall("c", "look", '{"a":1}'),)


def test_a_text_that_was_edited_goes_back_as_edited() -> None:
    stored = Message.assistant("My number is 5.")
    response = ModelResponse([TextPart("My number is …")], provider_details={STORED: stored.to_dict()})
    assert _history(response)[-1].text == "My number is …"


def test_an_empty_response_is_left_out() -> None:
    assert [message.role for message in _history(ModelResponse([]))] == ["user"]


def test_a_cache_and_other_options_belong_to_each_call() -> None:
    from turnout_io.caching import MemoryCache

    transport = Played("Because water does.").transport

    async def main() -> Any:
        async with Router.from_env(
            environ={"OPENAI_API_KEY": "k"}, dotenv=None, transport=transport, cache=MemoryCache()
        ) as router:
            agent = Agent(TurnoutModel(router, ModelConfig("openai", "gpt-4o-mini"), timeout=5, affinity="ada"))
            return [(await agent.run("Why?")).output for _ in range(2)]

    assert asyncio.run(main()) == ["Because water does."] * 2
    assert len(transport.requests) == 1


def test_tokens_are_counted_before_the_request() -> None:
    played = Played()
    played.transport.add(Reply(200, {"input_tokens": 12}))

    async def use(router: Router) -> Any:
        model = TurnoutModel(router, "anthropic/claude-haiku-4-5")
        return await model.count_tokens([ModelRequest.user_text_prompt("Hi")], None, ModelRequestParameters())

    assert played.run(use).input_tokens == 12


def test_the_blocking_router_is_refused() -> None:
    with pytest.raises(TypeError, match=r"needs a router of turnout_io\.asyncio, not turnout_io\.sync\.Router"):
        TurnoutModel(turnout_io.sync.Router(), MODEL)  # type: ignore[arg-type]
