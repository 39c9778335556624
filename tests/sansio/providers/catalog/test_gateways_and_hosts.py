"""Makers, hosts, gateways and local servers with OpenAI's chat completions: what each of them wants otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.catalog.test_vendors import WEATHER, asked, body
from tests.sansio.providers.playing import read
from turnout.chat import Capability, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import (
    AuthenticationFailed,
    CapabilityUnsupported,
    ContentFiltered,
    ContextLengthExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
)
from turnout.messages import Message, Role, Text, Thinking, ToolChoice
from turnout.providers import CATALOG, create
from turnout.providers.protocol import Reranker
from turnout.reranking import RerankRequest

HOSTS = {
    "moonshot": "https://api.moonshot.ai/v1",
    "dashscope": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "minimax": "https://api.minimax.io/v1",
    "perplexity": "https://api.perplexity.ai",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
    "nebius": "https://api.tokenfactory.nebius.com/v1",
    "sambanova": "https://api.sambanova.ai/v1",
    "huggingface": "https://router.huggingface.co/v1",
    "nvidia": "https://integrate.api.nvidia.com/v1",
    "vercel": "https://ai-gateway.vercel.sh/v1",
    "github": "https://api.githubcopilot.com",
    "lm-studio": "http://localhost:1234/v1",
    "vllm": "http://localhost:8000/v1",
    "llama-cpp": "http://127.0.0.1:8080/v1",
}
LOCAL = ("lm-studio", "vllm", "llama-cpp")


@pytest.mark.parametrize("name", HOSTS)
def test_chat_and_its_key(name: str) -> None:
    request = asked(create(name, api_key="secret-key"), model="m")
    assert request.url == f"{HOSTS[name]}/chat/completions"
    assert request.headers.get("authorization") == "Bearer secret-key"
    assert json.loads(request.body)["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("name", HOSTS)
def test_a_key_is_missing_unless_the_server_is_the_user_s(name: str) -> None:
    spec = CATALOG[name]
    assert create(name).missing_env == (() if name in LOCAL else spec.key_env[:1])
    assert spec.base_url_env


@pytest.mark.parametrize("name", [name for name in HOSTS if "responses" in CATALOG[name].apis])
def test_responses(name: str) -> None:
    assert asked(create(name, api_key="k", api="responses"), model="m").url == f"{HOSTS[name]}/responses"


def test_names_and_variables_are_unique() -> None:
    for field in ("key_env", "base_url_env"):
        seen = [variable for spec in CATALOG.values() for variable in getattr(spec, field)]
        assert len(seen) == len(set(seen)), field


# -- makers ------------------------------------------------------------------------------------------------------------


def test_moonshot_has_one_temperature_per_model() -> None:
    for model in ("kimi-k3", "kimi-k2.6", "kimi-k2-thinking"):
        with pytest.raises(CapabilityUnsupported, match="temperature"):
            body("moonshot", model=model, temperature=0.6)
    assert body("moonshot", model="moonshot-v1-8k", temperature=0.6, max_tokens=9)["max_completion_tokens"] == 9


def test_moonshot_switches_reasoning_or_takes_an_effort() -> None:
    assert body("moonshot", model="kimi-k2.6", reasoning_effort="none")["thinking"] == {"type": "disabled"}
    sent = body("moonshot", model="kimi-k3", reasoning_effort="low")
    assert sent["reasoning_effort"] == "low"
    assert "thinking" not in sent


def test_moonshot_gets_its_reasoning_back_and_goes_on_from_a_beginning() -> None:
    turn = Message(Role.ASSISTANT, (Thinking("Hm."), Text("x")), origin="moonshot")
    assert body("moonshot", Message.user("a"), turn, Message.user("b"))["messages"][1]["reasoning_content"] == "Hm."
    assert create("moonshot").facts("kimi-k3").prefill == {"partial": True}
    assert create("moonshot").facts("kimi-k2-thinking").prefill is None


def test_minimax_keeps_reasoning_out_of_the_text() -> None:
    assert body("minimax", model="MiniMax-M3")["reasoning_split"] is True
    # The user's word is the last one.
    assert body("minimax", model="MiniMax-M3", extra={"reasoning_split": False})["reasoning_split"] is False


def test_fireworks_reports_a_prompt_that_is_too_long() -> None:
    assert body("fireworks")["context_length_exceeded_behavior"] == "error"


def test_perplexity_takes_no_tools() -> None:
    assert not {Capability.TOOLS, Capability.MODELS} & CATALOG["perplexity"].capabilities
    assert "stream_options" not in body("perplexity", stream=True)


def test_dashscope_thinks_in_streams_only_with_its_open_models() -> None:
    assert body("dashscope", model="qwen3-32b")["enable_thinking"] is False
    assert "enable_thinking" not in body("dashscope", model="qwen3-32b", stream=True)
    assert body("dashscope", model="qwen3.8-max", reasoning_effort="high")["enable_thinking"] is True


def test_dashscope_reranks_beside_its_base_url() -> None:
    made = create("dashscope", api_key="k", base_url="https://dashscope.aliyuncs.com/compatible-mode/v1")
    assert isinstance(made, Reranker)
    request = made.rerank(RerankRequest(ModelConfig("dashscope", "qwen3-rerank"), "q", ["a", "b"])).request
    assert request.url == "https://dashscope.aliyuncs.com/compatible-api/v1/reranks"
    assert json.loads(request.body)["documents"] == ["a", "b"]


@pytest.mark.parametrize(
    ("provider", "status", "code", "kind"),
    [
        ("moonshot", 429, "exceeded_current_quota_error", QuotaExceeded),
        ("moonshot", 429, "engine_overloaded_error", Overloaded),
        ("dashscope", 401, "InvalidApiKey", AuthenticationFailed),
        ("dashscope", 400, "Arrearage", QuotaExceeded),
        ("dashscope", 403, "AllocationQuota.FreeTierOnly", QuotaExceeded),
        ("dashscope", 403, "AccessDenied.Unpurchased", PermissionDenied),
        ("dashscope", 429, "Throttling.RateQuota", RateLimited),
        ("dashscope", 400, "DataInspectionFailed", ContentFiltered),
        ("dashscope", 404, "ModelNotFound", NotFound),
    ],
)
def test_error_codes(provider: str, status: int, code: str, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as raised:
        read(provider, {"error": {"message": "no", "type": code, "code": code}}, status)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1004, AuthenticationFailed), (1008, QuotaExceeded), (1002, RateLimited), (1039, ContextLengthExceeded)],
)
def test_minimax_fails_with_a_good_status(code: int, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as raised:
        read("minimax", {"base_resp": {"status_code": code, "status_msg": "no"}, "choices": None})
    assert type(raised.value) is kind


# -- hosts and gateways ------------------------------------------------------------------------------------------------


def test_nvidia_knows_what_a_vector_is_for() -> None:
    def sent(purpose: str | None) -> dict[str, Any]:
        request = EmbeddingRequest(ModelConfig("nvidia", "nv-embed"), ["x"], purpose=purpose)
        made: dict[str, Any] = json.loads(create("nvidia", api_key="k").embed(request).request.body)
        return made

    assert (sent(None)["input_type"], sent("query")["input_type"]) == ("passage", "query")


def test_sambanova_takes_text_in_one_piece() -> None:
    message = Message(Role.USER, (Text("a"), Text("b")))
    assert body("sambanova", message)["messages"][0]["content"] == "ab"
    with pytest.raises(CapabilityUnsupported, match="seed"):
        body("sambanova", seed=1)


def test_vercel_is_told_of_reasoning_as_openrouter_is() -> None:
    assert body("vercel", model="openai/gpt-6-sol", reasoning_effort="high")["reasoning"] == {"effort": "high"}


@pytest.mark.parametrize("name", ["moonshot", "minimax", "deepinfra"])
def test_no_tool_can_be_forced_here(name: str) -> None:
    assert body(name, tools=[WEATHER], tool_choice=ToolChoice("auto"))["tool_choice"] == "auto"
    with pytest.raises(CapabilityUnsupported, match="tool choice"):
        body(name, tools=[WEATHER], tool_choice=ToolChoice("required"))


@pytest.mark.parametrize("name", ["lm-studio", "llama-cpp"])
def test_local_servers_take_no_choice_of_one_tool(name: str) -> None:
    assert body(name, tools=[WEATHER], tool_choice=ToolChoice("required"))["tool_choice"] == "required"
    with pytest.raises(CapabilityUnsupported, match="tool choice"):
        body(name, tools=[WEATHER], tool_choice=ToolChoice.named("weather"))


# -- Mistral's Responses -----------------------------------------------------------------------------------------------


def test_mistral_s_responses_know_no_include() -> None:
    made = create("mistral", api_key="k", api="responses")
    request = asked(made, model="mistral-medium-3.5", reasoning_effort="high", tools=[WEATHER])
    sent = json.loads(request.body)
    assert request.url == "https://api.mistral.ai/v1/responses"
    assert "include" not in sent
    assert (sent["reasoning"], sent["store"]) == ({"effort": "high"}, False)
    with pytest.raises(CapabilityUnsupported, match="logprobs"):
        asked(made, model="mistral-medium-3.5", logprobs=1)
