"""A broken stream is resumed over real sockets, by the same model or by another one that can continue a text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio as trio_lib

from turnout.chat import ChatRequest, FinishReason, ModelConfig
from turnout.errors import StreamFailed, StreamTruncated
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import Router
from turnout_io.trio import Router as TrioRouter

COUNTED = "One, two, three, four, five, six, seven, eight"
GOERS_ON = {
    "anthropic": "claude-haiku-4-5",
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-v4-flash",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        for provider in running.providers:
            running.answer(provider, COUNTED)
        yield running


def asking(*models: tuple[str, str]) -> ChatRequest:
    first, *rest = (ModelConfig(provider, model) for provider, model in models)
    return ChatRequest(first, "Count to eight.", fallbacks=rest)


def streamed(sandbox: Sandbox, request: ChatRequest, retries: int = 0) -> tuple[str, ModelConfig, FinishReason]:
    """Return the text of the tokens, the model and the finish reason. The stream must not restart."""
    environ = sandbox.environ()
    router = Router.from_env(
        environ=environ, dotenv=None, on_interrupt="resume", max_retries=retries, backoff_initial=0
    )
    with router, router.stream(request) as stream:
        events = list(stream)
    assert not [event for event in events if event.type == "restarted"]
    text = "".join(event.delta for event in events if event.type == "token")
    assert stream.response.text == text
    return text, stream.response.model, stream.response.finish_reason


@pytest.mark.parametrize("cut", ["end", "reset", "error"])
@pytest.mark.parametrize("provider", GOERS_ON)
def test_another_model_continues_the_text(sandbox: Sandbox, provider: str, cut: str) -> None:
    # An error in the same read as the first content prevents its delivery. So the error is several reads later.
    text_of_all = " ".join([COUNTED] * 250) if cut == "error" else COUNTED
    for name in ("openai", provider):
        sandbox.answer(name, text_of_all)
    after, error = (1200, "overloaded") if cut == "error" else (5, None)
    sandbox.script("openai", Fault(abort=cut, after_tokens=after, error=error))
    request = asking(("openai", "gpt-4o-mini"), (provider, GOERS_ON[provider]))
    text, model, finish = streamed(sandbox, request)
    assert (text, model.provider, finish) == (text_of_all, provider, FinishReason.STOP)
    asked = sandbox.requests_to(provider)[0].body["messages"][-1]
    assert asked["role"] == "assistant"
    begun = asked["content"] if isinstance(asked["content"], str) else asked["content"][0]["text"]
    assert text_of_all.startswith(begun)
    assert len(begun) > len("One, two")
    assert asked.get("prefix") is (None if provider == "anthropic" else True)


@pytest.mark.parametrize("provider", GOERS_ON)
def test_the_same_model_continues_after_each_break(sandbox: Sandbox, provider: str) -> None:
    sandbox.script(
        provider,
        Fault(abort="reset", after_tokens=5),
        Fault(abort="end", after_tokens=9 if provider == "mistral" else 3),
    )
    text, model, finish = streamed(sandbox, asking((provider, GOERS_ON[provider])), retries=3)
    assert (text, model.provider, finish) == (COUNTED, provider, FinishReason.STOP)
    assert len(sandbox.requests_to(provider)) == 3


def test_a_broken_repetition_gives_no_token_twice(sandbox: Sandbox) -> None:
    """Mistral repeats the text so far. Here the connection breaks during this repetition."""
    sandbox.script("mistral", Fault(abort="reset", after_tokens=8), Fault(abort="reset", after_tokens=3))
    text, _, finish = streamed(sandbox, asking(("mistral", "mistral-small-latest")), retries=3)
    assert (text, finish) == (COUNTED, FinishReason.STOP)


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-sonnet-5"])
def test_a_model_that_cannot_continue_receives_no_request(sandbox: Sandbox, model: str) -> None:
    sandbox.script("openai", Fault(abort="reset", after_tokens=5))
    with pytest.raises((StreamFailed, StreamTruncated)) as caught:
        streamed(sandbox, asking(("openai", "gpt-4o-mini"), ("anthropic", model)))
    assert caught.value.partial is not None
    assert COUNTED.startswith(caught.value.partial.text)
    assert caught.value.partial.text
    assert not sandbox.requests_to("anthropic")


def test_a_stream_resumes_on_trio(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="reset", after_tokens=5))

    async def told() -> str:
        async with TrioRouter.from_env(
            environ=sandbox.environ(), dotenv=None, on_interrupt="resume", max_retries=0
        ) as router:
            request = asking(("openai", "gpt-4o-mini"), ("mistral", "mistral-small-latest"))
            async with router.stream(request) as stream:
                return "".join([event.delta async for event in stream if event.type == "token"])

    assert trio_lib.run(told) == COUNTED
