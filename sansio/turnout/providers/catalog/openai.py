"""The providers whose chat completions are OpenAI's, each with its habits."""

from __future__ import annotations

import attrs

from turnout.errors import (
    AuthenticationFailed,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from turnout.providers.catalog.parts import COUNTS, EMBEDS, HEARS, PENALTIES, RANKS, READS, SAMPLING, SEES, codes
from turnout.providers.catalog.spec import ALL_CHAT, ModelRule, OpenAICompat, ProviderSpec
from turnout.providers.schemas.subsets import CEREBRAS_SCHEMAS, GROQ_SCHEMAS, OPENAI_SCHEMAS

__all__ = [
    "AZURE",
    "CEREBRAS",
    "DEEPSEEK",
    "GLM4",
    "GROQ",
    "MISTRAL",
    "MODELSCOPE",
    "OPENAI",
    "OPENAI_COMPATIBLE",
    "OPENROUTER",
    "SILICONFLOW",
    "TOGETHER",
    "XAI",
    "ZAI",
]

OPENAI = ProviderSpec(
    name="openai",
    title="OpenAI",
    dialect="openai-chat",
    base_url="https://api.openai.com/v1",
    key_env=("OPENAI_API_KEY",),
    base_url_env=("OPENAI_ENDPOINT", "OPENAI_BASE_URL"),
    option_env={
        "organization": ("OPENAI_ORG", "OPENAI_ORG_ID"),
        "project": ("OPENAI_PROJECT", "OPENAI_PROJECT_ID"),
    },
    apis=("chat", "responses"),
    schemas=OPENAI_SCHEMAS,
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS | COUNTS,
    embedding_batch=2048,
    openai_compat=OpenAICompat(
        max_tokens="max_completion_tokens",
        developer_role=True,
        embeddings_base64=True,
        unsupported=frozenset({"top_k"}),
    ),
    models=(
        # They do not think, and refuse to be asked for it or for what they thought.
        ModelRule(pattern=r"(ft:)?(chat)?gpt-(3\.5|4|5-chat)", unsupported=frozenset({"reasoning_effort"})),
        # Always thinking: sampling is refused, and the first token may be minutes away.
        ModelRule(
            pattern=r"o3(?!-mini)|o4-mini", unsupported=SAMPLING | {"stop"}, reasoning_off="never", first_token=180.0
        ),
        ModelRule(
            pattern=r"o\d|gpt-5(-(mini|nano|pro|codex)|-\d{4}|$)|gpt-5\.\d+-(pro|codex)|gpt-5\.[1-3]-chat",
            unsupported=SAMPLING,
            reasoning_off="never",
            first_token=180.0,
        ),
        # From 5.5 on they think unless told not to.
        ModelRule(
            pattern=r"gpt-5\.[6-9]",
            unsupported_when_reasoning=SAMPLING,
            reasons_by_default=True,
            reasoning_efforts=("low", "medium", "high", "xhigh", "max"),
            first_token=180.0,
        ),
        ModelRule(pattern=r"gpt-5\.5", unsupported_when_reasoning=SAMPLING, reasons_by_default=True, first_token=180.0),
        ModelRule(pattern=r"gpt-5\.\d", unsupported_when_reasoning=SAMPLING, first_token=180.0),
    ),
)

AZURE = attrs.evolve(
    OPENAI,
    name="azure",
    title="Azure OpenAI",
    base_url="",  # of the user's resource
    key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
    base_url_env=("AZURE_OPENAI_ENDPOINT", "AZURE_ENDPOINT"),
    option_env={"api_version": ("OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION")},
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS,
    # By the name of the deployment, which most people call after its model. Mistral's refuse the newer ceiling.
    models=(ModelRule(pattern=r"(mi|mini|code|pix)stral", max_tokens="max_tokens"), *OPENAI.models),
)

OPENROUTER = ProviderSpec(
    name="openrouter",
    title="OpenRouter",
    dialect="openai-chat",
    base_url="https://openrouter.ai/api/v1",
    key_env=("OPENROUTER_API_KEY",),
    base_url_env=("OPENROUTER_ENDPOINT", "OPENROUTER_BASE_URL"),
    option_env={"app_url": ("OPENROUTER_APP_URL",), "app_title": ("OPENROUTER_APP_TITLE",)},
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS | RANKS,
    openai_compat=OpenAICompat(
        developer_role=True,
        reasoning_param="reasoning",
        reasoning_replay_field="reasoning_details",
        embeddings_base64=True,
    ),
)

_GPT_OSS = ModelRule(pattern=r"(openai/)?gpt-oss", reasoning_off="never", reasoning_efforts=("low", "medium", "high"))

GROQ = ProviderSpec(
    name="groq",
    title="Groq",
    dialect="openai-chat",
    base_url="https://api.groq.com/openai/v1",
    key_env=("GROQ_API_KEY",),
    base_url_env=("GROQ_ENDPOINT", "GROQ_BASE_URL"),
    apis=("chat", "responses"),
    schemas=GROQ_SCHEMAS,
    capabilities=ALL_CHAT | SEES,
    openai_compat=OpenAICompat(
        max_tokens="max_completion_tokens",
        name_on_tool_messages_only=True,
        unsupported=frozenset({"logprobs", "top_k"}),
    ),
    models=(
        _GPT_OSS,
        ModelRule(pattern=r"qwen/qwen3\.8", reasoning_efforts=("default", "low", "medium", "high")),
        ModelRule(pattern=r"qwen/qwen3", reasoning_efforts=("default",)),
    ),
)

CEREBRAS = ProviderSpec(
    name="cerebras",
    title="Cerebras",
    dialect="openai-chat",
    base_url="https://api.cerebras.ai/v1",
    key_env=("CEREBRAS_API_KEY",),
    base_url_env=("CEREBRAS_ENDPOINT", "CEREBRAS_BASE_URL"),
    schemas=CEREBRAS_SCHEMAS,
    capabilities=ALL_CHAT,
    openai_compat=OpenAICompat(
        max_tokens="max_completion_tokens", max_temperature=1.5, unsupported=PENALTIES | {"top_k"}
    ),
    models=(_GPT_OSS,),
)

GLM4 = ProviderSpec(
    name="glm4",
    title="GLM (Zhipu BigModel)",
    dialect="openai-chat",
    base_url="https://open.bigmodel.cn/api/paas/v4",
    key_env=("GLM4_API_KEY", "ZHIPUAI_API_KEY", "BIGMODEL_API_KEY"),
    base_url_env=("GLM4_ENDPOINT", "BIGMODEL_API_BASE"),
    capabilities=ALL_CHAT | EMBEDS | SEES,
    embedding_batch=64,
    openai_compat=OpenAICompat(
        json_schema=False,
        tool_choices=frozenset({"auto", "none"}),
        max_stop_sequences=1,
        max_temperature=1.0,
        reasoning_param="thinking_and_effort",
        reasoning_replay_field="reasoning_content",
        unsupported=PENALTIES | {"logprobs", "top_k"},
    ),
    error_codes=codes(
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
    models=(
        ModelRule(pattern=r"glm-5\.2"),
        ModelRule(pattern=r"glm-5\.3", reasoning_off="never", reasoning_efforts=("low", "high", "max")),
        ModelRule(pattern=r"", reasoning_efforts=()),
    ),
)

ZAI = attrs.evolve(
    GLM4,
    name="zai",
    title="GLM, international (z.ai)",
    base_url="https://api.z.ai/api/paas/v4",
    key_env=("ZAI_API_KEY",),
    base_url_env=("ZAI_ENDPOINT", "ZAI_BASE_URL"),
)

SILICONFLOW = ProviderSpec(
    name="siliconflow",
    title="SiliconFlow",
    dialect="openai-chat",
    base_url="https://api.siliconflow.cn/v1",
    key_env=("SILICONFLOW_API_KEY",),
    base_url_env=("SILICONFLOW_ENDPOINT", "SILICONFLOW_BASE_URL"),
    capabilities=ALL_CHAT | EMBEDS | SEES | RANKS,
    embedding_batch=32,
    openai_compat=OpenAICompat(
        reasoning_param="enable_thinking", embeddings_base64=True, unsupported=frozenset({"logprobs"})
    ),
    error_codes=codes(
        (NotFound, "20012"),
        (AuthenticationFailed, "30014"),
        (QuotaExceeded, "30001"),
        (PermissionDenied, "30003"),
        (Overloaded, "50505 50508"),
    ),
)

MODELSCOPE = ProviderSpec(
    name="modelscope",
    title="ModelScope",
    dialect="openai-chat",
    base_url="https://api-inference.modelscope.cn/v1",
    key_env=("MODELSCOPE_API_KEY", "MODELSCOPE_SDK_TOKEN"),
    base_url_env=("MODELSCOPE_ENDPOINT", "MODELSCOPE_API_BASE"),
    capabilities=ALL_CHAT | SEES,
    openai_compat=OpenAICompat(
        reasoning_param="enable_thinking",
        string_content_only=True,
        json_schema=False,
        unsupported=PENALTIES | {"logprobs", "top_k"},
    ),
    # Not those that can only think, or never do, which say so at the end of their names.
    models=(ModelRule(pattern=r"Qwen/Qwen3(\.\d+)?-\d[\d.]*B(-A\d+B)?$", reasoning_streams_only=True),),
)

MISTRAL = ProviderSpec(
    name="mistral",
    title="Mistral",
    dialect="openai-chat",
    base_url="https://api.mistral.ai/v1",
    key_env=("MISTRAL_API_KEY",),
    base_url_env=("MISTRAL_ENDPOINT", "MISTRAL_BASE_URL"),
    capabilities=ALL_CHAT | EMBEDS | SEES | COUNTS,
    embedding_batch=32,
    # It answers fields that it does not know with a 422, and wants ids of calls as its own are.
    openai_compat=OpenAICompat(
        usage_option=False,
        max_stop_sequences=None,
        rename={"seed": "random_seed", "dimensions": "output_dimension"},
        name_on_tool_messages_only=True,
        call_id_length=9,
    ),
    models=(ModelRule(pattern=r"", prefill={"prefix": True}),),
)

DEEPSEEK = ProviderSpec(
    name="deepseek",
    title="DeepSeek",
    dialect="openai-chat",
    base_url="https://api.deepseek.com",
    key_env=("DEEPSEEK_API_KEY",),
    base_url_env=("DEEPSEEK_ENDPOINT", "DEEPSEEK_BASE_URL"),
    apis=("chat", "responses"),
    openai_compat=OpenAICompat(
        json_schema=False,
        max_stop_sequences=16,
        reasoning_param="thinking_and_effort",
        reasoning_replay_field="reasoning_content_of_calls",
        prefill_path="/beta",
        unsupported=frozenset({"top_k", "seed"}),
    ),
    models=(
        ModelRule(
            pattern=r"deepseek-reasoner",
            unsupported=SAMPLING | {"tool_choice"},
            reasoning_efforts=(),
            first_token=180.0,
        ),
        ModelRule(
            pattern=r"deepseek-v[4-9]",
            unsupported_when_reasoning=frozenset({"logprobs", "tool_choice"}),
            reasons_by_default=True,
            reasoning_efforts=("high", "max"),
            context_window=1_000_000,
            prefill={"prefix": True},
        ),
        ModelRule(
            pattern=r"",
            unsupported_when_reasoning=frozenset({"tool_choice"}),
            reasoning_efforts=(),
            prefill={"prefix": True},
        ),
    ),
)

_XAI_THINKING = PENALTIES | {"stop"}

XAI = ProviderSpec(
    name="xai",
    title="xAI",
    dialect="openai-chat",
    base_url="https://api.x.ai/v1",
    key_env=("XAI_API_KEY",),
    base_url_env=("XAI_ENDPOINT", "XAI_BASE_URL"),
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | SEES,
    openai_compat=OpenAICompat(unsupported=frozenset({"top_k"}), custom_tool_calls=False),
    models=(
        ModelRule(pattern=r"grok-([23](?!-mini)|.*non-reasoning)", unsupported=frozenset({"reasoning_effort"})),
        ModelRule(
            pattern=r"grok-3-mini", unsupported=_XAI_THINKING, reasoning_efforts=("low", "high"), first_token=180.0
        ),
        # They think as much as they see fit, and refuse to be told how much.
        ModelRule(
            pattern=r"grok-(4$|4-|4\.20|code|build)",
            unsupported=_XAI_THINKING | {"reasoning_effort"},
            first_token=180.0,
        ),
        ModelRule(
            pattern=r"grok-4\.3",
            unsupported_when_reasoning=_XAI_THINKING,
            reasoning_efforts=("low", "medium", "high", "xhigh"),
        ),
        ModelRule(
            pattern=r"grok-",
            unsupported=_XAI_THINKING,
            reasoning_off="never",
            reasoning_efforts=("low", "medium", "high"),
            first_token=180.0,
        ),
    ),
)

TOGETHER = ProviderSpec(
    name="together",
    title="Together",
    dialect="openai-chat",
    base_url="https://api.together.xyz/v1",
    key_env=("TOGETHER_API_KEY",),
    base_url_env=("TOGETHER_ENDPOINT", "TOGETHER_BASE_URL"),
    capabilities=ALL_CHAT | EMBEDS | SEES | RANKS,
    openai_compat=OpenAICompat(max_stop_sequences=None, logprobs="count"),
)

OPENAI_COMPATIBLE = ProviderSpec(
    name="openai-compatible",
    title="Any OpenAI-compatible server",
    dialect="openai-chat",
    base_url="",  # wherever the user runs it
    key_env=("OPENAI_COMPATIBLE_API_KEY",),
    base_url_env=("OPENAI_COMPATIBLE_ENDPOINT",),
    needs_key=False,
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | RANKS,
)
