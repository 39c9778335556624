"""Facts per model: the newest models, and those that are newer than the tables."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.sansio.providers.catalog.test_vendors import WEATHER, asked, body
from turnout.chat import ResponseFormat
from turnout.errors import CapabilityUnsupported
from turnout.messages import ToolChoice
from turnout.providers import CATALOG, create

SAMPLING: list[dict[str, Any]] = [{"temperature": 0.2}, {"top_p": 0.5}, {"presence_penalty": 0.5}, {"logprobs": 1}]
# They reason unless told not to, and take sampling and, by chat completions, tools only then.
SWITCHED = ["gpt-5.6-luna", "gpt-5.6-sol", "gpt-6-sol", "gpt-6-sol-2026-09-01", "gpt-6-luna", "gpt-6.1-terra"]
SWITCHED += ["gpt-7-luna", "gpt-8.1-terra"]
# They always reason. Those at the end are newer than the tables.
ALWAYS = [
    "gpt-6-astra",
    "gpt-6.2-astra",
    "gpt-6.1-sol",
    "gpt-6.2-sol",
    "gpt-6.9-sol",
    "gpt-7",
    "gpt-9-nova",
    "gpt-12-sol",
]


@pytest.mark.parametrize("setting", SAMPLING)
@pytest.mark.parametrize("model", SWITCHED)
def test_sampling_is_taken_without_reasoning_alone(model: str, setting: dict[str, Any]) -> None:
    for effort in (None, "low", "max"):
        with pytest.raises(CapabilityUnsupported, match=next(iter(setting))):
            body("openai", model=model, reasoning_effort=effort, **setting)
    assert set(setting) <= set(body("openai", model=model, reasoning_effort="none", **setting))


@pytest.mark.parametrize("setting", SAMPLING)
@pytest.mark.parametrize("model", ALWAYS)
def test_a_model_that_always_reasons_never_takes_sampling(model: str, setting: dict[str, Any]) -> None:
    for effort in (None, "low", "none"):
        with pytest.raises(CapabilityUnsupported):
            body("openai", model=model, reasoning_effort=effort, **setting)


@pytest.mark.parametrize("model", [*SWITCHED, *ALWAYS])
def test_no_new_model_takes_the_effort_minimal(model: str) -> None:
    with pytest.raises(CapabilityUnsupported, match="it knows low, medium, high, xhigh, max"):
        body("openai", model=model, reasoning_effort="minimal")
    assert body("openai", model=model, reasoning_effort="xhigh")["reasoning_effort"] == "xhigh"


@pytest.mark.parametrize("model", ALWAYS)
def test_reasoning_that_has_no_switch_is_not_switched_off(model: str) -> None:
    with pytest.raises(CapabilityUnsupported, match="cannot stop"):
        body("openai", model=model, reasoning_effort="none")


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1-mini", "ft:gpt-4o-mini:me::1", "gpt-5-chat-latest", "gpt-audio-mini"]
)
def test_models_that_do_not_reason_take_sampling_and_no_effort(model: str) -> None:
    assert body("openai", model=model, temperature=0.5)["temperature"] == 0.5
    with pytest.raises(CapabilityUnsupported, match="reasoning_effort"):
        body("openai", model=model, reasoning_effort="low")


# -- the API that takes a request --------------------------------------------------------------------------------------


def path(model: str, api: Any = None, provider: str = "openai", **fields: Any) -> str:
    made = create(provider, api_key="k", base_url="https://api.test/v1", api=api)
    return (
        asked(made, model=model, **fields)
        .url.removeprefix("https://api.test")
        .removeprefix("/openai")
        .partition("?")[0]
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ALWAYS)
def test_tools_of_these_go_to_responses(model: str, stream: bool) -> None:
    assert path(model, tools=[WEATHER], stream=stream) == "/v1/responses"
    assert path(model, stream=stream) == "/v1/chat/completions"


@pytest.mark.parametrize("model", SWITCHED)
def test_tools_go_to_responses_unless_the_model_is_told_not_to_reason(model: str) -> None:
    assert path(model, tools=[WEATHER]) == "/v1/responses"
    assert path(model, tools=[WEATHER], reasoning_effort="medium") == "/v1/responses"
    assert path(model, tools=[WEATHER], reasoning_effort="none") == "/v1/chat/completions"


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-5.4-mini", "gpt-5.5", "gpt-5.6"])
def test_tools_with_an_effort_go_to_responses(model: str) -> None:
    assert path(model, tools=[WEATHER], reasoning_effort="medium") == "/v1/responses"
    assert path(model, tools=[WEATHER], reasoning_effort="none") == "/v1/chat/completions"
    assert path(model, tools=[WEATHER]) == "/v1/chat/completions"


def test_chat_completions_refuse_tools_of_a_model_that_may_reason() -> None:
    assert body("openai", model="gpt-5.6", tools=[WEATHER])["reasoning_effort"] == "none"
    assert "reasoning_effort" not in body("openai", model="gpt-5.6")
    assert "reasoning_effort" not in body("openai", model="gpt-5.4", tools=[WEATHER])


@pytest.mark.parametrize("model", ["o3-pro", "gpt-5-pro", "gpt-5.2-pro", "gpt-7-pro", "gpt-5-codex", "gpt-5.3-codex"])
def test_some_models_are_on_responses_alone(model: str) -> None:
    assert path(model) == "/v1/responses"
    with pytest.raises(CapabilityUnsupported, match="api='responses'"):
        path(model, api="chat")


def test_the_effort_max_goes_to_responses() -> None:
    assert path("gpt-6-sol", reasoning_effort="max") == "/v1/responses"
    with pytest.raises(CapabilityUnsupported, match="only Responses"):
        path("gpt-6-sol", api="chat", reasoning_effort="max")
    dropping = create("openai", api_key="k", api="chat", unsupported="drop")
    assert b"reasoning_effort" not in asked(dropping, model="gpt-6-sol", reasoning_effort="max").body


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-mini", "gpt-5.1", "gpt-5.5", "o3", "o4-mini", "somebody-s-model"])
def test_all_others_take_tools_by_chat_completions(model: str) -> None:
    assert path(model, tools=[WEATHER]) == "/v1/chat/completions"


def test_an_api_that_is_set_is_not_changed() -> None:
    with pytest.raises(CapabilityUnsupported, match="takes tools by Responses alone"):
        path("gpt-6.1-sol", api="chat", tools=[WEATHER])
    with pytest.raises(CapabilityUnsupported, match="while it reasons"):
        path("gpt-5.6-luna", api="chat", tools=[WEATHER], reasoning_effort="high")
    assert path("gpt-4o", api="responses", tools=[WEATHER]) == "/v1/responses"


def test_azure_chooses_too() -> None:
    assert path("gpt-6.1-sol", provider="azure", tools=[WEATHER]).endswith("/openai/v1/responses")
    assert path("gpt-6.1-sol", provider="azure").endswith("/openai/v1/chat/completions")


# -- timeouts and context windows --------------------------------------------------------------------------------------

REASONING = """
openai: gpt-5 gpt-5.5 gpt-6-sol gpt-7 o3 o3-deep-research
azure: gpt-6-astra
gemini: gemini-2.5-flash gemini-3.5-flash gemini-4-argon gemini-4-carbon gemini-5-pro gemini-flash-latest
  gemini-pro-latest models/gemini-3.8-flash
anthropic: claude-opus-5 claude-fable-5-2 claude-opus-7 claude-saga-1
mistral: magistral-medium-latest mistral-small-2603 mistral-medium-3.5 mistral-large-4 mistral-medium-latest
cohere: command-a-reasoning-08-2025 command-a-plus
groq: openai/gpt-oss-120b qwen/qwen3-32b qwen/qwen3.8-27b
cerebras: gpt-oss-120b zai-glm-4.7
xai: grok-4 grok-4.3 grok-4.7 grok-5
deepseek: deepseek-reasoner deepseek-v4-pro deepseek-flash deepseek-v5
glm4: glm-4.7 glm-5.2 glm-5.3-flash glm-6
openrouter: openai/gpt-oss-120b openai/gpt-6-sol anthropic/claude-opus-5 google/gemini-4-argon deepseek/deepseek-v4-pro
  moonshotai/kimi-k3 x-ai/grok-4.6 z-ai/glm-5.2 qwen/qwen3-max-thinking mistralai/magistral-medium-2509
together: openai/gpt-oss-20b deepseek-ai/DeepSeek-R1 moonshotai/Kimi-K3 zai-org/GLM-5.2 Qwen/Qwen3.8-27B
  MiniMaxAI/MiniMax-M3
siliconflow: deepseek-ai/DeepSeek-V4 Qwen/Qwen3-32B
fireworks: accounts/fireworks/models/kimi-k2p7-code accounts/fireworks/models/deepseek-v3p2
vercel: openai/gpt-6-sol google/gemini-4-argon
github: gpt-6-sol claude-opus-5.5 gemini-4-argon
moonshot: kimi-k3 kimi-k2.6
dashscope: qwen3.8-max qwen3-32b
minimax: MiniMax-M2.7 MiniMax-M3
ollama: anything
"""
QUICK = """
openai: gpt-4o gpt-4.1 gpt-5-chat-latest text-embedding-3-large
gemini: gemini-2.0-flash gemini-1.5-pro gemini-embedding-2 gemini-2.5-flash-image
anthropic: claude-3-5-sonnet-latest claude-haiku-4-5
mistral: mistral-large-2411 codestral-latest ministral-8b-2512
cohere: command-r-plus command-a-03-2025
groq: llama-3.3-70b-versatile
xai: grok-2-1212 grok-4-fast-non-reasoning
openrouter: openai/gpt-4o meta-llama/llama-4-maverick qwen/qwen3-235b-a22b-instruct-2507 openai/gpt-5-chat
together: meta-llama/Llama-3.3-70B-Instruct-Turbo Qwen/Qwen3-Next-80B-A3B-Instruct
"""


def _rows(table: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\n +", " ", table.strip())
    return [
        (name, model)
        for name, _, models in (row.partition(": ") for row in joined.splitlines())
        for model in models.split()
    ]


def _profile(provider: str, model: str) -> Any:
    return create(provider, api_key="k").facts(model)


@pytest.mark.parametrize(("provider", "model"), _rows(REASONING))
def test_what_reasons_has_more_time_for_its_first_token(provider: str, model: str) -> None:
    assert _profile(provider, model).first_content >= 180


@pytest.mark.parametrize(("provider", "model"), _rows(QUICK))
def test_what_does_not_reason_has_the_usual_time(provider: str, model: str) -> None:
    assert _profile(provider, model).first_content is None


@pytest.mark.parametrize(
    ("provider", "model", "window"),
    [
        ("openai", "gpt-4o", 128_000),
        ("openai", "gpt-4.1-mini", 1_047_576),
        ("openai", "gpt-5-mini", 400_000),
        ("openai", "gpt-5.4", 1_050_000),
        ("openai", "gpt-5.4-mini", 400_000),
        ("openai", "gpt-6-sol", 1_050_000),
        ("openai", "text-embedding-3-small", None),
        ("azure", "gpt-6-sol", 1_050_000),
        ("anthropic", "claude-haiku-4-5", 200_000),
        ("anthropic", "claude-sonnet-4-6", 1_000_000),
        ("anthropic", "claude-opus-7", 1_000_000),
        ("bedrock", "eu.anthropic.claude-opus-5-20260801-v1:0", 1_000_000),
        ("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0", 200_000),
        ("gemini", "gemini-4-argon", 1_048_576),
        ("gemini", "gemini-1.5-pro-002", 2_097_152),
        ("gemini", "gemini-2.5-flash-image", None),
        ("mistral", "mistral-large-4", 1_048_576),
        ("mistral", "mistral-small-2603", 262_144),
        ("deepseek", "deepseek-v4-flash", 1_000_000),
        ("xai", "grok-4-fast-reasoning", 2_000_000),
        ("xai", "grok-4.20", 1_000_000),
        ("xai", "grok-4.6", 500_000),
        ("xai", "grok-code-fast-1", 256_000),
        ("glm4", "GLM-5.3-Flash", 1_000_000),
        ("zai", "glm-4.7", 200_000),
        ("moonshot", "kimi-k3", 1_048_576),
        ("minimax", "MiniMax-M2.1", 204_800),
        ("perplexity", "sonar-pro", 200_000),
        ("groq", "llama-3.3-70b-versatile", None),
    ],
)
def test_context_windows(provider: str, model: str, window: int | None) -> None:
    assert CATALOG[provider].context_window(model) == window


# -- other families ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", ["claude-opus-5-5", "claude-opus-6", "claude-fable-5-2", "claude-mythos-6", "claude-saga-1"]
)
def test_the_newest_claude_models_choose_their_tools_themselves(model: str) -> None:
    with pytest.raises(CapabilityUnsupported):
        body("anthropic", model=model, tools=[WEATHER], tool_choice=ToolChoice("required"))
    with pytest.raises(CapabilityUnsupported):
        body("anthropic", model=model, temperature=0.5)


@pytest.mark.parametrize(
    "model", ["claude-opus-5", "claude-opus-5-20260801", "claude-fable-5-20260709", "claude-haiku-6"]
)
def test_a_date_is_no_version_of_claude(model: str) -> None:
    assert body("anthropic", model=model, tools=[WEATHER], tool_choice=ToolChoice("required"))["tool_choice"]


def test_claude_s_old_version_of_the_api_is_kept() -> None:
    # From 2026-10-21 on the API refuses sampling for all models.
    assert CATALOG["anthropic"].headers["anthropic-version"] == "2023-06-01"
    assert body("anthropic", model="claude-haiku-4-5", temperature=0.5)["temperature"] == 0.5


@pytest.mark.parametrize(
    ("model", "effort", "level"),
    [
        ("gemini-3.8-flash", "minimal", "LOW"),
        ("gemini-4-argon", "minimal", "LOW"),
        ("gemini-5-flash", "minimal", "LOW"),
        ("gemini-3.5-flash", "minimal", "MINIMAL"),
        ("gemini-3.1-flash-lite", "minimal", "MINIMAL"),
        ("gemini-3-pro-preview", "medium", "HIGH"),
        ("gemini-3.1-pro", "medium", "MEDIUM"),
        ("gemma-4-31b-it", "low", "MINIMAL"),
        ("gemma-4-31b-it", "medium", "HIGH"),
        ("gemini-4-argon", "xhigh", "HIGH"),
    ],
)
def test_gemini_gets_a_level_that_it_takes(model: str, effort: str, level: str) -> None:
    thinking = body("gemini", model=model, reasoning_effort=effort)["generationConfig"]["thinkingConfig"]
    assert thinking["thinkingLevel"] == level


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemini-1.5-pro", "gemma-3-27b-it"])
def test_gemini_models_that_do_not_reason_take_no_effort(model: str) -> None:
    with pytest.raises(CapabilityUnsupported, match="reasoning_effort"):
        body("gemini", model=model, reasoning_effort="low")
    dropping = create("gemini", api_key="k", unsupported="drop")
    assert b"thinkingConfig" not in asked(dropping, model=model, reasoning_effort="low").body


@pytest.mark.parametrize(
    ("provider", "model", "effort", "taken"),
    [
        ("mistral", "magistral-medium-latest", "high", False),
        ("mistral", "mistral-large-2411", "high", False),
        ("mistral", "ministral-8b-2512", "high", False),
        ("mistral", "mistral-small-2603", "high", True),
        ("mistral", "mistral-medium-3-5", "none", True),
        ("mistral", "mistral-large-5", "low", False),
        ("xai", "grok-4.5", "xhigh", False),
        ("xai", "grok-4.7", "xhigh", True),
        ("xai", "grok-4.6", "none", False),
        ("xai", "grok-4.3", "none", True),
        ("groq", "llama-3.3-70b-versatile", "low", False),
        ("groq", "qwen/qwen3.8-27b", "low", True),
        ("moonshot", "kimi-k3", "max", True),
        ("moonshot", "kimi-k3", "medium", False),
        ("perplexity", "sonar", "low", False),
        ("perplexity", "sonar-deep-research", "low", True),
    ],
)
def test_efforts(provider: str, model: str, effort: str, taken: bool) -> None:
    if taken:
        assert body(provider, model=model, reasoning_effort=effort)["reasoning_effort"] == effort
    else:
        with pytest.raises(CapabilityUnsupported, match="reasoning_effort"):
            body(provider, model=model, reasoning_effort=effort)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_facts_hold_for_both_apis(api: Any) -> None:
    made = create("openai", api_key="k", api=api)
    with pytest.raises(CapabilityUnsupported, match="temperature"):
        asked(made, model="gpt-6-sol", temperature=0.2)
    with pytest.raises(CapabilityUnsupported, match="minimal"):
        asked(made, model="gpt-6.2-astra", reasoning_effort="minimal")


def test_json_without_a_schema_where_a_server_knows_none() -> None:
    for provider in ("perplexity", "lm-studio"):
        with pytest.raises(CapabilityUnsupported, match="schema"):
            body(provider, model="m", response_format=ResponseFormat.json())
        schema = ResponseFormat({"type": "object", "properties": {}})
        assert body(provider, model="m", response_format=schema)["response_format"]["type"] == "json_schema"
