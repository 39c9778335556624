"""The providers that Turnout knows by name. Data only: a new OpenAI-shaped one is one entry.

Sources: each provider's API reference; where a provider does otherwise than it says, what it was seen to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from turnout.chat import Capability
from turnout.errors import (
    AuthenticationFailed,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from turnout.providers.entry import ALL_CHAT, CatalogEntry, Habits, ModelRule

__all__ = ["CATALOG"]

EMBEDS = frozenset({Capability.EMBEDDINGS})
SEES = frozenset({Capability.VISION})
HEARS = frozenset({Capability.AUDIO})
READS = frozenset({Capability.FILES})

SAMPLING = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"})
PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})


def _codes(*groups: tuple[type[ProviderError], str]) -> Mapping[str, type[ProviderError]]:
    return {code: kind for kind, codes in groups for code in codes.split()}


OPENAI = CatalogEntry(
    name="openai",
    title="OpenAI",
    dialect="openai-chat",
    base_url="https://api.openai.com/v1",
    key_env=("OPENAI_API_KEY",),
    endpoint_env=("OPENAI_ENDPOINT", "OPENAI_BASE_URL"),
    option_env={
        "organization": ("OPENAI_ORG", "OPENAI_ORG_ID"),
        "project": ("OPENAI_PROJECT", "OPENAI_PROJECT_ID"),
        "api_version": ("OPENAI_API_VERSION",),
    },
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS,
    embedding_batch=2048,
    habits=Habits(max_tokens="max_completion_tokens", developer=True, base64=True, refuses=frozenset({"top_k"})),
    models=(
        # Always thinking: sampling is refused, and the first token may be minutes away.
        ModelRule(
            pattern=r"o\d|gpt-5(-(mini|nano|pro|codex)|-\d{4}|$)|gpt-5\.\d+-(pro|codex)",
            refuses=SAMPLING,
            first_content=180.0,
        ),
        ModelRule(pattern=r"gpt-5\.\d", when_thinking=SAMPLING, first_content=180.0),
    ),
)

GEMINI = CatalogEntry(
    name="gemini",
    title="Google Gemini",
    dialect="gemini",
    base_url="https://generativelanguage.googleapis.com",
    key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    endpoint_env=("GEMINI_ENDPOINT", "GEMINI_BASE_URL"),
    option_env={
        "vertex_project": ("VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"),
        "vertex_location": ("VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"),
    },
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS,
    embedding_batch=100,
    models=(ModelRule(pattern=r"gemini-(2\.5|3).*pro", first_content=180.0),),
)

GLM4 = CatalogEntry(
    name="glm4",
    title="GLM (Zhipu, z.ai)",
    dialect="openai-chat",
    base_url="https://open.bigmodel.cn/api/paas/v4",
    key_env=("GLM4_API_KEY", "ZAI_API_KEY", "ZHIPUAI_API_KEY", "BIGMODEL_API_KEY"),
    endpoint_env=("GLM4_ENDPOINT", "ZAI_BASE_URL", "BIGMODEL_API_BASE"),
    capabilities=ALL_CHAT | EMBEDS | SEES,
    embedding_batch=64,
    habits=Habits(
        json_schema=False,
        tool_choices=frozenset({"auto", "none"}),
        stop_limit=1,
        effort="thinking",
        replay="reasoning_content",
        refuses=PENALTIES | {"logprobs", "top_k"},
    ),
    error_codes=_codes(
        (AuthenticationFailed, "1000 1001 1002 1003 1004 1005"),
        (PermissionDenied, "1110 1111 1112 1120 1121 1220 1309 1311 1313"),
        (QuotaExceeded, "1113 1304 1308 1310"),
        (ServerError, "1200 1230 1234"),
        (InvalidRequest, "1210 1212 1213 1214 1215 1231"),
        (NotFound, "1211 1221 1222"),
        (ContextLengthExceeded, "1261"),
        (ContentFiltered, "1301"),
        (RateLimited, "1302 1303"),
        (Overloaded, "1305 1312"),
    ),
)

OPENROUTER = CatalogEntry(
    name="openrouter",
    title="OpenRouter",
    dialect="openai-chat",
    base_url="https://openrouter.ai/api/v1",
    key_env=("OPENROUTER_API_KEY",),
    endpoint_env=("OPENROUTER_ENDPOINT", "OPENROUTER_BASE_URL"),
    option_env={"app_url": ("OPENROUTER_APP_URL",), "app_title": ("OPENROUTER_APP_TITLE",)},
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS,
    habits=Habits(developer=True, effort="reasoning", replay="reasoning_details", base64=True),
)

SILICONFLOW = CatalogEntry(
    name="siliconflow",
    title="SiliconFlow",
    dialect="openai-chat",
    base_url="https://api.siliconflow.cn/v1",
    key_env=("SILICONFLOW_API_KEY",),
    endpoint_env=("SILICONFLOW_ENDPOINT", "SILICONFLOW_BASE_URL"),
    capabilities=ALL_CHAT | EMBEDS | SEES,
    embedding_batch=32,
    habits=Habits(effort="enable_thinking", base64=True, refuses=frozenset({"logprobs"})),
    error_codes=_codes(
        (NotFound, "20012"),
        (AuthenticationFailed, "30014"),
        (QuotaExceeded, "30001"),
        (PermissionDenied, "30003"),
        (Overloaded, "50505 50508"),
    ),
)

CEREBRAS = CatalogEntry(
    name="cerebras",
    title="Cerebras",
    dialect="openai-chat",
    base_url="https://api.cerebras.ai/v1",
    key_env=("CEREBRAS_API_KEY",),
    endpoint_env=("CEREBRAS_ENDPOINT", "CEREBRAS_BASE_URL"),
    capabilities=ALL_CHAT,
    habits=Habits(max_tokens="max_completion_tokens", refuses=PENALTIES | {"top_k"}),
)

MODELSCOPE = CatalogEntry(
    name="modelscope",
    title="ModelScope",
    dialect="openai-chat",
    base_url="https://api-inference.modelscope.cn/v1",
    key_env=("MODELSCOPE_API_KEY", "MODELSCOPE_SDK_TOKEN"),
    endpoint_env=("MODELSCOPE_ENDPOINT", "MODELSCOPE_API_BASE"),
    capabilities=ALL_CHAT | SEES,
    habits=Habits(
        effort="enable_thinking", flat_text=True, json_schema=False, refuses=PENALTIES | {"logprobs", "top_k"}
    ),
)

GROQ = CatalogEntry(
    name="groq",
    title="Groq",
    dialect="openai-chat",
    base_url="https://api.groq.com/openai/v1",
    key_env=("GROQ_API_KEY",),
    endpoint_env=("GROQ_ENDPOINT", "GROQ_BASE_URL"),
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | SEES,
    habits=Habits(max_tokens="max_completion_tokens", refuses=frozenset({"logprobs", "top_k"})),
)

OLLAMA = CatalogEntry(
    name="ollama",
    title="Ollama",
    dialect="ollama",
    base_url="http://localhost:11434",
    key_env=("OLLAMA_API_KEY",),
    endpoint_env=("OLLAMA_ENDPOINT", "OLLAMA_HOST"),
    needs_key=False,
    capabilities=ALL_CHAT | EMBEDS | SEES,
    # A local model is loaded before its first token; a large one takes minutes from a slow disk.
    models=(ModelRule(pattern=r"", first_content=180.0),),
)

_CLAUDE_SAMPLING = frozenset({"temperature", "top_p", "top_k"})

ANTHROPIC = CatalogEntry(
    name="anthropic",
    title="Anthropic",
    dialect="anthropic",
    base_url="https://api.anthropic.com",
    key_env=("ANTHROPIC_API_KEY",),
    endpoint_env=("ANTHROPIC_ENDPOINT", "ANTHROPIC_BASE_URL"),
    capabilities=ALL_CHAT | SEES | READS,
    habits=Habits(refuses=PENALTIES | {"seed", "logprobs"}),
    headers={"anthropic-version": "2023-06-01"},
    error_codes=_codes(
        (ServerError, "api_error timeout_error"),
        (InvalidRequest, "request_too_large"),
    ),
    # Sources: "Thinking", "Effort" and "Structured outputs" of the platform's documentation, and its migration guides.
    models=(
        ModelRule(
            pattern=r"claude-(2|instant|3-(opus|sonnet|haiku)|3-5)",
            refuses=frozenset({"reasoning_effort", "response_format"}),
            thinking_off="omit",
        ),
        ModelRule(
            pattern=r"claude-3-7|claude-(opus|sonnet)-4(-0|-20\d{6})?$",
            refuses=frozenset({"response_format"}),
            when_thinking=frozenset({"temperature", "top_k"}),
            thinking="budget",
            thinking_off="omit",
        ),
        ModelRule(
            pattern=r"claude-(opus|sonnet|haiku)-4-[0-5]",
            when_thinking=frozenset({"temperature", "top_k"}),
            one_of=("temperature", "top_p"),
            thinking="budget",
            thinking_off="omit",
        ),
        ModelRule(
            pattern=r"claude-(opus|sonnet)-4-6",
            when_thinking=frozenset({"temperature", "top_k"}),
            one_of=("temperature", "top_p"),
            thinking_off="omit",
            efforts=("minimal", "low", "medium", "high", "max"),
        ),
        ModelRule(pattern=r"claude-opus-4-", refuses=_CLAUDE_SAMPLING, thinking_off="omit", first_content=180.0),
        ModelRule(
            pattern=r"claude-(opus-5-5|(fable|mythos)-5-[1-9])",
            refuses=_CLAUDE_SAMPLING | {"tool_choice"},
            thinking_off="never",
            first_content=180.0,
        ),
        ModelRule(
            pattern=r"claude-(fable|mythos)", refuses=_CLAUDE_SAMPLING, thinking_off="never", first_content=180.0
        ),
        ModelRule(
            pattern=r"claude-sonnet-5-5", refuses=_CLAUDE_SAMPLING, thinking_off="between_tools", first_content=180.0
        ),
        # Opus 5, Sonnet 5, Haiku 5.5, and what will come after them: they think unless told otherwise.
        ModelRule(pattern=r"claude-(opus|sonnet|haiku)-([5-9]|\d\d)", refuses=_CLAUDE_SAMPLING, first_content=180.0),
    ),
)

COHERE = CatalogEntry(
    name="cohere",
    title="Cohere",
    dialect="cohere",
    base_url="https://api.cohere.com",
    key_env=("COHERE_API_KEY", "CO_API_KEY"),
    endpoint_env=("COHERE_ENDPOINT", "CO_API_URL"),
    capabilities=ALL_CHAT | EMBEDS | SEES,
    embedding_batch=96,
    habits=Habits(stop_limit=5),
    # A 498 is for a token that must not be said, in the request or in the answer.
    error_codes=_codes((ContentFiltered, "498")),
    models=(
        # They do not think, and have no switch for it.
        ModelRule(
            pattern=r"command-(r|light|nightly)|command-a-(03|vision|translate)|c4ai-",
            refuses=frozenset({"reasoning_effort"}),
        ),
    ),
)


def _on_bedrock(rule: ModelRule) -> ModelRule:
    """A rule of Claude's for its ids on Bedrock: behind its maker and a region, and before a version."""
    pattern = rule.pattern.replace("$", r"(?=-v\d|$)")
    return attrs.evolve(rule, pattern=rf".*\banthropic\.(?:{pattern})")


BEDROCK = CatalogEntry(
    name="bedrock",
    title="Amazon Bedrock",
    dialect="bedrock",
    base_url="",  # of the user's region
    key_env=("AWS_BEARER_TOKEN_BEDROCK", "BEDROCK_API_KEY"),
    endpoint_env=("BEDROCK_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
    option_env={"region": ("AWS_REGION", "AWS_DEFAULT_REGION")},
    capabilities=ALL_CHAT | SEES | HEARS | READS,
    habits=Habits(refuses=PENALTIES | {"seed", "logprobs"}),
    error_codes=_codes(
        (ServerError, "modelerrorexception modelstreamerrorexception modeltimeoutexception internalserverexception"),
    ),
    # Sources: the guides of Amazon Nova 2 and of OpenAI's models on Bedrock; what the latter were seen to take.
    models=(
        *(_on_bedrock(rule) for rule in ANTHROPIC.models),
        ModelRule(pattern=r".*\bamazon\.nova-2", thinking="reasoningConfig", efforts=("low", "medium", "high")),
        ModelRule(
            pattern=r".*\b(openai\.gpt-oss|moonshot(ai)?\.kimi)",
            thinking="reasoning_effort",
            thinking_off="never",
            efforts=("low", "medium", "high"),
        ),
        ModelRule(
            pattern=r".*\bopenai\.",
            thinking="reasoning",
            efforts=("low", "medium", "high", "xhigh", "max"),
            first_content=180.0,
        ),
        ModelRule(pattern=r"", refuses=frozenset({"reasoning_effort"})),
    ),
)

OPENAI_COMPATIBLE = CatalogEntry(
    name="openai-compatible",
    title="Any OpenAI-compatible server",
    dialect="openai-chat",
    base_url="",  # wherever the user runs it
    key_env=("OPENAI_COMPATIBLE_API_KEY",),
    endpoint_env=("OPENAI_COMPATIBLE_ENDPOINT",),
    needs_key=False,
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS,
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            OPENAI,
            GEMINI,
            GLM4,
            OPENROUTER,
            SILICONFLOW,
            CEREBRAS,
            MODELSCOPE,
            GROQ,
            OLLAMA,
            ANTHROPIC,
            COHERE,
            BEDROCK,
            OPENAI_COMPATIBLE,
        )
    }
)
