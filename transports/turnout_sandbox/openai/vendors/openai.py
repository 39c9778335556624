"""The OpenAI-shaped providers that the sandbox plays: what each takes, refuses and sends along."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.dialect import Context, token_of
from turnout_sandbox.errors import invalid
from turnout_sandbox.openai import errors as openai_errors
from turnout_sandbox.openai import variants
from turnout_sandbox.openai.chat import OpenAIChatServer, request_id
from turnout_sandbox.openai.embeddings import EmbeddingRules
from turnout_sandbox.openai.format import OpenAIFormat
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.openai.vendors.azure import AzureFormat, AzureServer, azure_errors, azure_headers
from turnout_sandbox.openai.vendors.deepseek import DEEPSEEK
from turnout_sandbox.openai.vendors.mistral import MISTRAL
from turnout_sandbox.openai.vendors.together import TOGETHER
from turnout_sandbox.openai.vendors.xai import XAI
from turnout_sandbox.rerank import RerankRules
from turnout_sandbox.server.responses import Fields

__all__ = ["OPENAI_SERVERS"]

_COMMON_FIELDS = """
model messages stream stream_options temperature top_p n stop max_tokens max_completion_tokens presence_penalty
frequency_penalty logit_bias logprobs top_logprobs user seed tools tool_choice parallel_tool_calls response_format
reasoning_effort service_tier metadata
"""
_OPENAI_FIELDS = """
store prediction modalities audio web_search_options prompt_cache_key prompt_cache_options prompt_cache_retention
safety_identifier moderation verbosity functions function_call
"""
_GROQ_FIELDS = """
reasoning_format include_reasoning disable_tool_validation search_settings compound_custom citation_options documents
exclude_domains include_domains functions function_call store
"""
_CEREBRAS_FIELDS = "min_tokens prediction prompt_cache_key reasoning_format disable_reasoning clear_thinking"
_COMMON = frozenset(_COMMON_FIELDS.split())
_OPENAI = _COMMON | frozenset(_OPENAI_FIELDS.split())
_GROQ = _COMMON | frozenset(_GROQ_FIELDS.split())
_CEREBRAS = _COMMON | frozenset(_CEREBRAS_FIELDS.split())


def _effort(body: Mapping[str, Any]) -> bool:
    return body.get("reasoning_effort") not in (None, "none")


def _check_openai(body: Mapping[str, Any], request: ParsedRequest) -> None:
    """Reject the settings that reasoning models refuse (o-series and gpt-5), and the effort for other models."""
    model = request.model.lower()
    reasons = re.match(r"o\d|gpt-5", model) is not None and "chat" not in model
    if not reasons:
        if body.get("reasoning_effort") is not None:
            raise invalid("Unrecognized request argument supplied: reasoning_effort", param="reasoning_effort")
        return
    if body.get("max_tokens") is not None:
        raise invalid(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    always = re.match(r"o\d|gpt-5(-|$)", model) is not None
    if not always and body.get("reasoning_effort") in (None, "none"):
        return
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            raise invalid(
                f"Unsupported value: '{name}' does not support {body[name]} with this model.",
                param=name,
                code="unsupported_value",
            )
    for name in ("presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"):
        if body.get(name) not in (None, 0, False):
            raise invalid(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                param=name,
                code="unsupported_parameter",
            )


def _openai_reasons(body: Mapping[str, Any]) -> bool:
    return (
        re.match(r"o\d|gpt-5(?!-chat)", str(body.get("model"))) is not None and body.get("reasoning_effort") != "none"
    )


def _openai_headers(context: Context) -> Fields:
    return (
        ("x-request-id", request_id(context)),
        ("openai-organization", "sandbox"),
        ("openai-processing-ms", "12"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "5000"),
        ("x-ratelimit-limit-tokens", "800000"),
        ("x-ratelimit-remaining-requests", str(5000 - context.number % 5000)),
        ("x-ratelimit-remaining-tokens", str(800000 - 16 * context.number % 800000)),
        ("x-ratelimit-reset-requests", "12ms"),
        ("x-ratelimit-reset-tokens", "1ms"),
    )


def _groq_headers(context: Context) -> Fields:
    return (
        ("x-request-id", f"req_01{token_of(context.rng, 24, '0123456789abcdefghjkmnpqrstvwxyz')}"),
        ("x-groq-region", "loopback"),
        ("x-ratelimit-limit-requests", "14400"),
        ("x-ratelimit-limit-tokens", "6000"),
        ("x-ratelimit-remaining-requests", str(14400 - context.number % 14400)),
        ("x-ratelimit-remaining-tokens", "5987"),
        ("x-ratelimit-reset-requests", "6s"),
        ("x-ratelimit-reset-tokens", "130ms"),
    )


def _cerebras_headers(context: Context) -> Fields:
    return (
        ("x-request-id", f"{token_of(context.rng, 16, '0123456789abcdef')}-LOC"),
        ("inference-id", f"chatcmpl-{token_of(context.rng, 32, '0123456789abcdef')}"),
        ("x-ratelimit-limit-requests-day", "1440000"),
        ("x-ratelimit-limit-tokens-minute", "1000000"),
        ("x-ratelimit-remaining-requests-day", str(1440000 - context.number % 1440000)),
        ("x-ratelimit-remaining-tokens-minute", "999122"),
        ("x-ratelimit-reset-requests-day", "24481.883708953857"),
        ("x-ratelimit-reset-tokens-minute", "1.8837089538574219"),
    )


def _glm_headers(context: Context) -> Fields:
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(context.created))
    return (("x-log-id", stamp + token_of(context.rng, 18, "0123456789abcdef")),)


def _openrouter_headers(context: Context) -> Fields:
    return (("x-generation-id", f"gen-{context.created}-{token_of(context.rng, 20)}"),)


def _siliconflow_headers(context: Context) -> Fields:
    return (("x-siliconcloud-trace-id", f"ti_{token_of(context.rng, 16, 'abcdefghijklmnopqrstuvwxyz0123456789')}"),)


def _modelscope_headers(context: Context) -> Fields:
    return (
        ("modelscope-ratelimit-requests-limit", "2000"),
        ("modelscope-ratelimit-requests-remaining", str(2000 - context.number % 2000)),
        ("modelscope-ratelimit-model-requests-limit", "500"),
        ("modelscope-ratelimit-model-requests-remaining", str(500 - context.number % 500)),
    )


def _check_groq(body: Mapping[str, Any], request: ParsedRequest) -> None:
    for name in ("logprobs", "logit_bias", "top_logprobs"):
        if body.get(name):
            raise invalid(f"property '{name}' is unsupported", code="invalid_request")
    if body.get("n") not in (None, 1):
        raise invalid("'n' : number must be at most 1")
    for index, message in enumerate(body["messages"]):
        if "name" in message and message.get("role") != "tool":
            raise invalid(f"'messages.{index}' : property 'name' is unsupported")
    if body.get("include_reasoning") is not None and body.get("reasoning_format") is not None:
        raise invalid("reasoning_format and include_reasoning exclude each other")


def _groq_reasons(body: Mapping[str, Any]) -> bool:
    hidden = body.get("reasoning_format") == "hidden" or body.get("include_reasoning") is False
    return not hidden and (_effort(body) or body.get("reasoning_format") == "parsed")


def _glm_reasons(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return _effort(body)


def _openrouter_reasons(body: Mapping[str, Any]) -> bool:
    reasoning = body.get("reasoning")
    if isinstance(reasoning, Mapping):
        wanted = reasoning.get("enabled") is True or reasoning.get("max_tokens") or reasoning.get("effort")
        return bool(wanted) and reasoning.get("effort") != "none" and not reasoning.get("exclude")
    return _effort(body)


def _switch_reasons(body: Mapping[str, Any]) -> bool:
    return body.get("enable_thinking") is True or _effort(body)


def _check_modelscope(body: Mapping[str, Any], request: ParsedRequest) -> None:
    """Reject a request without a stream for a Qwen3 model that can reason, unless it turns reasoning off."""
    hybrid = re.search(r"Qwen3-\d+(\.\d+)?B(-A\d+B)?$", request.model) is not None
    if hybrid and not request.stream and body.get("enable_thinking") is not False:
        raise invalid("parameter.enable_thinking must be set to false for non-streaming calls")


_VISION = frozenset({"text", "image_url", "video_url", "audio_url", "file_url", "input_audio", "file"})

_OPENAI_CHAT = OpenAIChatServer(
    name="openai",
    base="/v1",
    models=("gpt-4o-mini", "gpt-4o", "gpt-5-mini", "text-embedding-3-small", "text-embedding-3-large"),
    shape=OpenAIFormat,
    errors=openai_errors.openai_errors,
    rules=Rules(
        roles=frozenset({"developer", "system", "user", "assistant", "tool"}),
        parameters=_OPENAI,
        part_types=frozenset({"text", "image_url", "input_audio", "file"}),
        json_mode_needs_keyword=True,
        strict_schemas=True,
        max_choices=128,
    ),
    embeddings=EmbeddingRules(resizable="text-embedding-3"),
    reasons=_openai_reasons,
    check=_check_openai,
    headers=_openai_headers,
    responses=True,
    counts_tokens=True,
    stream_type="text/event-stream; charset=utf-8",
)

_GLM = OpenAIChatServer(
    name="glm4",
    base="/api/paas/v4",
    models=("glm-4.6", "glm-4.5-air", "glm-4.5-flash", "embedding-3", "embedding-2"),
    shape=variants.GlmFormat,
    errors=openai_errors.glm_errors,
    rules=Rules(
        max_stop_sequences=1,
        max_temperature=1.0,
        part_types=_VISION,
        honours_tool_choice=False,
        needs_user_message=True,
        formats=frozenset({"text", "json_object"}),
    ),
    embeddings=EmbeddingRules(
        batch=64,
        tokens=3072,
        base64=False,
        sizes=frozenset({256, 512, 1024, 2048}),
        resizable="embedding-3",
        counts_completion=True,
    ),
    reasons=_glm_reasons,
    headers=_glm_headers,
    stream_type="text/event-stream;charset=UTF-8",
)

OPENAI_SERVERS: tuple[OpenAIChatServer, ...] = (
    _OPENAI_CHAT,
    _GLM,
    attrs.evolve(_GLM, name="zai"),
    AzureServer(
        name="azure",
        base="/openai/v1",
        models=_OPENAI_CHAT.models,
        shape=AzureFormat,
        errors=azure_errors,
        rules=attrs.evolve(_OPENAI_CHAT.rules, part_types=frozenset({"text", "image_url", "input_audio"})),
        embeddings=_OPENAI_CHAT.embeddings,
        reasons=_OPENAI_CHAT.reasons,
        check=_check_openai,
        headers=azure_headers,
        responses=True,
    ),
    DEEPSEEK,
    MISTRAL,
    TOGETHER,
    XAI,
    OpenAIChatServer(
        name="openrouter",
        base="/api/v1",
        models=("openai/gpt-4o-mini", "google/gemini-2.5-flash", "openai/text-embedding-3-small"),
        shape=variants.OpenRouterFormat,
        errors=openai_errors.openrouter_errors,
        rules=Rules(roles=frozenset({"developer", "system", "user", "assistant", "tool"}), part_types=_VISION),
        embeddings=EmbeddingRules(priced=True),
        reasons=_openrouter_reasons,
        headers=_openrouter_headers,
        responses=True,
        reranking=RerankRules(usage=frozenset({"search_units", "total_tokens"})),
        open_models=True,
    ),
    OpenAIChatServer(
        name="siliconflow",
        base="/v1",
        models=("Qwen/Qwen3-8B", "deepseek-ai/DeepSeek-V3", "BAAI/bge-m3", "Qwen/Qwen3-Embedding-0.6B"),
        shape=variants.SiliconFlowFormat,
        errors=openai_errors.siliconflow_errors,
        rules=Rules(part_types=_VISION, context_window=131_072),
        embeddings=EmbeddingRules(batch=32, resizable="Qwen3-Embedding", counts_completion=True),
        reasons=_switch_reasons,
        headers=_siliconflow_headers,
        reranking=RerankRules(),
    ),
    OpenAIChatServer(
        name="cerebras",
        base="/v1",
        models=("gpt-oss-120b", "llama-3.3-70b", "qwen-3-32b"),
        shape=variants.CerebrasFormat,
        errors=openai_errors.cerebras_errors,
        rules=Rules(
            parameters=_CEREBRAS,
            refused=frozenset({"frequency_penalty", "presence_penalty", "logit_bias"}),
            max_temperature=1.5,
            context_window=131_072,
        ),
        reasons=_effort,
        headers=_cerebras_headers,
        stream_type="text/event-stream; charset=utf-8",
    ),
    OpenAIChatServer(
        name="modelscope",
        base="/v1",
        models=("Qwen/Qwen3-8B", "Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen3-Embedding-8B"),
        shape=variants.ModelScopeFormat,
        errors=openai_errors.modelscope_errors,
        rules=Rules(part_types=_VISION),
        embeddings=EmbeddingRules(batch=32),
        reasons=_switch_reasons,
        check=_check_modelscope,
        headers=_modelscope_headers,
        open_models=True,
    ),
    OpenAIChatServer(
        name="groq",
        base="/openai/v1",
        models=("llama-3.3-70b-versatile", "openai/gpt-oss-120b", "qwen/qwen3-32b"),
        shape=variants.GroqFormat,
        errors=openai_errors.groq_errors,
        rules=Rules(parameters=_GROQ, context_window=131_072),
        reasons=_groq_reasons,
        check=_check_groq,
        headers=_groq_headers,
        error_event="error",
        responses=True,
    ),
    OpenAIChatServer(
        name="openai-compatible",
        base="/v1",
        models=("local-model", "local-embedding-model"),
        shape=variants.CompatibleFormat,
        errors=openai_errors.openai_errors,
        rules=Rules(part_types=_VISION, max_choices=128),
        embeddings=EmbeddingRules(),
        reasons=_effort,
        needs_key=False,
        responses=True,
        reranking=RerankRules(),
    ),
)
