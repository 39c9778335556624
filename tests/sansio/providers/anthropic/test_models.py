"""What differs per model of Anthropic's: thinking, sampling, forced tools, and the ceiling on the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.anthropic.bodies import CALLS, HAIKU, NEWEST, OPUS, TOOLS, asking, sent
from turnout.chat import ChatRequest
from turnout.errors import CapabilityUnsupported
from turnout.messages import Message, Opaque, Part, Role, Text, Thinking, ToolChoice
from turnout.providers import create

THINKS: Any = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model_id", "model", "thinking", "effort", "max_tokens"),
    [
        (HAIKU, {}, None, None, 8_192),
        (HAIKU, {"reasoning_effort": "none"}, None, None, 8_192),
        (HAIKU, {"reasoning_effort": "high"}, {"type": "enabled", "budget_tokens": 16_384}, None, 24_576),
        ("claude-opus-4-1", {"reasoning_effort": "max"}, {"type": "enabled", "budget_tokens": 23_552}, None, 31_744),
        (HAIKU, {"reasoning_effort": "high", "max_tokens": 4_000},
         {"type": "enabled", "budget_tokens": 3_000}, None, 4_000),
        (HAIKU, {"reasoning_effort": "low", "max_tokens": 1_025},
         {"type": "enabled", "budget_tokens": 1_024}, None, 1_025),
        (OPUS, {}, None, None, 8_192),
        (OPUS, {"reasoning_effort": "none"}, None, None, 8_192),
        (OPUS, {"reasoning_effort": "minimal"}, THINKS, "low", 9_216),
        (OPUS, {"reasoning_effort": "max", "max_tokens": 50}, THINKS, "max", 50),
        ("claude-opus-4-8", {"reasoning_effort": "xhigh"}, THINKS, "xhigh", 31_744),
        ("claude-opus-4-8", {"reasoning_effort": "none"}, None, None, 8_192),
        ("claude-opus-5", {}, None, None, 24_576),
        ("claude-opus-5", {"reasoning_effort": "none"}, {"type": "disabled"}, None, 8_192),
        ("claude-haiku-5-5", {"reasoning_effort": "none"}, {"type": "disabled"}, None, 8_192),
        ("claude-sonnet-5-5", {"reasoning_effort": "none"}, {"type": "between_tools"}, None, 8_192),
        (NEWEST, {"reasoning_effort": "medium"}, THINKS, "medium", 16_384),
        ("served-elsewhere", {"reasoning_effort": "none", "temperature": 0.3}, {"type": "disabled"}, None, 8_192),
        (HAIKU, {"extra": {"thinking": {"type": "enabled", "budget_tokens": 3_000}}},
         {"type": "enabled", "budget_tokens": 3_000}, None, 11_192),
        (OPUS, {"reasoning_effort": "low", "extra": {"thinking": {"display": "omitted"}}},
         {"type": "adaptive", "display": "omitted"}, "low", 10_240),
    ],
)  # fmt: skip
def test_how_models_are_made_to_think(
    model_id: str, model: dict[str, Any], thinking: Any, effort: str | None, max_tokens: int
) -> None:
    body = sent(asking(model_id=model_id, model=model))
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert body["max_tokens"] == max_tokens


@pytest.mark.parametrize(
    ("model_id", "model", "refused"),
    [
        (HAIKU, {"seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0.5, "logprobs": 0},
         ("seed", "presence_penalty", "frequency_penalty", "logprobs")),
        (HAIKU, {"temperature": 1.5}, ("temperature",)),
        (HAIKU, {"temperature": 0.5, "top_p": 0.5}, ("top_p",)),
        (HAIKU, {"temperature": 0.5, "top_k": 3, "top_p": 0.5, "reasoning_effort": "low"},
         ("temperature", "top_p", "top_k")),
        (OPUS, {"temperature": 0.5, "reasoning_effort": "low"}, ("temperature",)),
        (OPUS, {"reasoning_effort": "xhigh"}, ("reasoning_effort",)),
        ("claude-opus-4-7", {"temperature": 0.5, "top_p": 0.99, "top_k": 1}, ("temperature", "top_p", "top_k")),
        ("claude-fable-5", {"reasoning_effort": "none"}, ("reasoning_effort",)),
        (NEWEST, {"reasoning_effort": "none"}, ("reasoning_effort",)),
        ("claude-3-haiku-20240307", {"reasoning_effort": "low"}, ("reasoning_effort",)),
        (HAIKU, {"reasoning_effort": "low", "max_tokens": 1_024}, ("reasoning_effort",)),
    ],
)  # fmt: skip
def test_what_a_model_refuses_is_raised_or_dropped(
    model_id: str, model: dict[str, Any], refused: tuple[str, ...]
) -> None:
    request = asking(model_id=model_id, model=model)
    with pytest.raises(CapabilityUnsupported, match=f"does not take {refused[0]}"):
        sent(request)
    exchange = create("anthropic", api_key="k", unsupported="drop").chat(request)
    assert exchange.dropped == refused
    body = json.loads(exchange.request.body)
    assert not set(refused) & set(body)
    assert ("thinking" in body) == ("reasoning_effort" in model and "reasoning_effort" not in refused)
    assert "thinking" in body or "output_config" not in body


@pytest.mark.parametrize(
    ("model_id", "model"),
    [
        (HAIKU, {"temperature": 0.5, "top_k": 3}),
        ("claude-sonnet-4-20250514", {"temperature": 0.5, "top_p": 0.5}),
        (HAIKU, {"top_p": 0.95, "reasoning_effort": "low"}),
        (OPUS, {"temperature": 0.5}),
    ],
)
def test_what_a_model_takes_is_sent(model_id: str, model: dict[str, Any]) -> None:
    body = sent(asking(model_id=model_id, model=model))
    assert {name: value for name, value in model.items() if name != "reasoning_effort"}.items() <= body.items()


def test_who_is_not_made_to_think_may_be_sampled() -> None:
    """An effort that is dropped takes no other setting with it."""
    model = {"temperature": 0.5, "top_k": 3, "reasoning_effort": "low", "max_tokens": 1_000}
    exchange = create("anthropic", api_key="k", unsupported="drop").chat(asking(model=model))
    assert exchange.dropped == ("reasoning_effort",)
    assert json.loads(exchange.request.body)["temperature"] == 0.5


def test_the_usual_temperature_is_said_to_nobody() -> None:
    """It is 1, which models that take none, or none while they think, would refuse for nothing."""
    for model_id in (HAIKU, "claude-opus-5"):
        assert "temperature" not in sent(
            asking(model_id=model_id, model={"temperature": 1.0, "reasoning_effort": "low"})
        )


def test_a_forced_tool_where_it_cannot_be_forced() -> None:
    forced: Any = {"tools": TOOLS, "tool_choice": ToolChoice("required")}
    with pytest.raises(CapabilityUnsupported, match="while it thinks"):
        sent(asking(model={"reasoning_effort": "low"}, **forced), unsupported="drop")
    with pytest.raises(CapabilityUnsupported, match="leave it the choice"):
        sent(asking(model_id=NEWEST, **forced), unsupported="drop")
    # One that decides itself how much to think may be forced all the same.
    assert sent(asking(model_id=OPUS, model={"reasoning_effort": "low"}, **forced))["tool_choice"] == {"type": "any"}


def test_a_tool_loop_begun_without_thinking_goes_on_without_it() -> None:
    def loop(*parts: Part, origin: str | None, model_id: str = HAIKU) -> ChatRequest:
        calling = Message(Role.ASSISTANT, parts, tool_calls=CALLS[:1], origin=origin)
        messages = (Message.user("x"), calling, Message.tool(CALLS[0], "12"))
        return asking(*messages, model_id=model_id, model={"reasoning_effort": "low"}, tools=TOOLS)

    for refused in (
        loop(Thinking("hm"), origin="openai"),
        loop(Thinking("hm"), origin="anthropic"),
        loop(Text("hm"), origin="anthropic"),
        loop(origin="anthropic"),
    ):
        assert "thinking" not in sent(refused)
        assert create("anthropic", api_key="k").chat(refused).dropped == ("reasoning_effort",)
    for good in (
        loop(Thinking("", signature="s"), origin="anthropic"),
        loop(Opaque(b'{"type":"redacted_thinking","data":"x"}'), origin="anthropic"),
        loop(origin="openai", model_id=OPUS),
    ):
        assert sent(good)["thinking"]
