"""The makers of models that took over OpenAI's chat completions. Each entry holds the differences.

Sources: the platforms' API references (docs.mistral.ai, api-docs.deepseek.com, docs.x.ai, docs.bigmodel.cn, docs.z.ai,
platform.kimi.ai, alibabacloud.com/help/model-studio, docs.perplexity.ai, platform.minimax.io), and their guides to the
migration from OpenAI.
"""

from __future__ import annotations

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
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from turnout.providers.catalog.hosted_models import KIMI_REPLAY
from turnout.providers.catalog.parts import COUNTS, EMBEDS, MINUTES, PENALTIES, RANKS, SAMPLING, SEES, codes
from turnout.providers.catalog.spec import ALL_CHAT, ModelRule, OpenAICompat, ProviderSpec

__all__ = ["DASHSCOPE", "DEEPSEEK", "GLM4", "MINIMAX", "MISTRAL", "MOONSHOT", "PERPLEXITY", "XAI", "ZAI"]

# Kimi's models have one temperature each, and refuse to hear of another.
_KIMI_SAMPLING = PENALTIES | {"temperature", "top_p"}

MOONSHOT = ProviderSpec(
    name="moonshot",
    title="Moonshot AI (Kimi)",
    dialect="openai-chat",
    base_url="https://api.moonshot.ai/v1",
    key_env=("MOONSHOT_API_KEY", "MOONSHOTAI_API_KEY", "KIMI_API_KEY"),
    base_url_env=("MOONSHOT_ENDPOINT", "MOONSHOT_BASE_URL", "MOONSHOTAI_BASE_URL", "MOONSHOT_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    capabilities=ALL_CHAT | SEES,
    openai_compat=OpenAICompat(
        max_tokens="max_completion_tokens",
        max_stop_sequences=5,
        max_temperature=1.0,
        tool_choices=frozenset({"auto", "none"}),
        reasoning_param="thinking",
        reasoning_replay_field="reasoning_content",
        unsupported=frozenset({"top_k", "seed"}),
    ),
    error_codes=codes(
        (QuotaExceeded, "exceeded_current_quota_error"),
        (Overloaded, "engine_overloaded_error"),
        (RateLimited, "rate_limit_reached_error"),
        (ContentFiltered, "content_filter"),
    ),
    models=(
        ModelRule(
            pattern=r"kimi-k([3-9]|\d\d)",
            unsupported=_KIMI_SAMPLING,
            reasoning_mode="reasoning_effort",
            reasoning_off="never",
            reasoning_efforts=("low", "high", "max"),
            first_token=MINUTES,
            prefill={"partial": True},
        ),
        ModelRule(
            pattern=r"kimi-k2(-thinking|\.7)|kimi-thinking",
            unsupported=_KIMI_SAMPLING,
            reasoning_off="never",
            first_token=MINUTES,
        ),
        ModelRule(
            pattern=r"kimi-(k2\.\d|latest)",
            unsupported=_KIMI_SAMPLING,
            reasons_by_default=True,
            first_token=MINUTES,
            prefill={"partial": True},
        ),
        ModelRule(pattern=r"", unsupported=frozenset({"reasoning_effort"}), prefill={"partial": True}),
    ),
    context_windows=(
        (r"kimi-k([3-9]|\d\d)", 1_048_576),
        (r"kimi-k2-0711|moonshot-v1-128k", 131_072),
        (r"kimi-", 262_144),
        (r"moonshot-v1-32k", 32_768),
        (r"moonshot-v1-8k", 8_192),
    ),
)

DASHSCOPE = ProviderSpec(
    name="dashscope",
    title="Alibaba Cloud Model Studio (Qwen)",
    dialect="openai-chat",
    base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    key_env=("DASHSCOPE_API_KEY", "ALIBABA_API_KEY"),
    base_url_env=("DASHSCOPE_ENDPOINT", "DASHSCOPE_BASE_URL", "DASHSCOPE_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | RANKS,
    embedding_batch=10,
    openai_compat=OpenAICompat(
        max_stop_sequences=None,
        reasoning_param="enable_thinking",
        tool_choices=frozenset({"auto", "none", "named"}),
        rerank_path="//compatible-api/v1/reranks",
        unsupported=frozenset({"frequency_penalty"}),
    ),
    error_codes=codes(
        (AuthenticationFailed, "invalidapikey"),
        (PermissionDenied, "accessdenied accessdenied.unpurchased model.accessdenied workspace.accessdenied"),
        (QuotaExceeded, "arrearage commoditynotpurchased prepaidbilloverdue postpaidbilloverdue"),
        (QuotaExceeded, "allocationquota.freetieronly"),
        (RateLimited, "throttling throttling.ratequota throttling.burstrate throttling.allocationquota"),
        (NotFound, "modelnotfound"),
        (ContentFiltered, "datainspectionfailed data_inspection_failed ipinfringementsuspect"),
        (Overloaded, "modelservingerror modelunavailable"),
        (ServerError, "internalerror internalerror.timeout requesttimeout"),
    ),
    models=(
        # The open ones think in streams only; those that can only think, or never do, have it in their names.
        ModelRule(pattern=r"qwen3-\d[\d.]*b(-a\d+b)?$", reasoning_streams_only=True, first_token=MINUTES),
        ModelRule(pattern=r"qwq|qvq|.*-thinking", reasoning_off="never", first_token=MINUTES),
        ModelRule(pattern=r".*(instruct|coder|-mt-|-omni)", unsupported=frozenset({"reasoning_effort"})),
        ModelRule(pattern=r"(qwen|deepseek|kimi|glm|minimax)", first_token=MINUTES),
    ),
)

MINIMAX = ProviderSpec(
    name="minimax",
    title="MiniMax",
    dialect="openai-chat",
    base_url="https://api.minimax.io/v1",
    key_env=("MINIMAX_API_KEY",),
    base_url_env=("MINIMAX_ENDPOINT", "MINIMAX_BASE_URL", "MINIMAX_API_BASE"),
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | SEES,
    openai_compat=OpenAICompat(
        max_tokens="max_completion_tokens",
        max_temperature=1.0,
        tool_choices=frozenset({"auto", "none"}),
        reasoning_param="thinking",
        reasoning_replay_field="reasoning_details",
        # Else its reasoning is in the text, between <think> and </think>.
        extra_body={"reasoning_split": True},
        unsupported=PENALTIES | {"logprobs", "top_k"},
    ),
    error_codes=codes(
        (AuthenticationFailed, "1004 2049"),
        (QuotaExceeded, "1008 2056 2061"),
        (RateLimited, "1002 1041"),
        (ContentFiltered, "1026 1027"),
        (ContextLengthExceeded, "1039"),
        (InvalidRequest, "2013 1042"),
        (Overloaded, "1001 1033"),
        (ServerError, "1000 1013 1024"),
    ),
    models=(
        ModelRule(pattern=r"(?i:minimax-m2|m2-)", reasoning_off="never", first_token=MINUTES),
        ModelRule(pattern=r"(?i:minimax-m([3-9]|\d\d))", reasons_by_default=True, first_token=MINUTES),
    ),
    context_windows=(
        (r"(?i:minimax-m([3-9]|\d\d)|minimax-01)", 1_000_000),
        (r"(?i:minimax-m2)", 204_800),
    ),
)

PERPLEXITY = ProviderSpec(
    name="perplexity",
    title="Perplexity",
    dialect="openai-chat",
    base_url="https://api.perplexity.ai",
    key_env=("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
    base_url_env=("PERPLEXITY_ENDPOINT", "PERPLEXITY_BASE_URL", "PERPLEXITY_API_BASE"),
    # It searches the web itself, and calls no tools of the caller's; it lists no models.
    capabilities=(ALL_CHAT | SEES) - {Capability.TOOLS, Capability.MODELS},
    openai_compat=OpenAICompat(
        usage_option=False,
        max_temperature=2.0,
        json_object=False,
        unsupported=frozenset({"seed", "logprobs", "stop"}),
    ),
    models=(
        ModelRule(pattern=r"sonar-deep-research", reasoning_off="never", first_token=600.0),
        ModelRule(pattern=r"sonar-reasoning|r1-", reasoning_off="never", first_token=MINUTES),
        ModelRule(pattern=r"sonar", unsupported=frozenset({"reasoning_effort"})),
    ),
    context_windows=((r"sonar-pro", 200_000), (r"sonar", 128_000)),
)

MISTRAL = ProviderSpec(
    name="mistral",
    title="Mistral",
    dialect="openai-chat",
    base_url="https://api.mistral.ai/v1",
    key_env=("MISTRAL_API_KEY",),
    base_url_env=("MISTRAL_ENDPOINT", "MISTRAL_BASE_URL", "MISTRAL_API_BASE"),
    reasoning_replay=((r"", "thinking"),),
    embedding_tokens=16_384,
    capabilities=ALL_CHAT | EMBEDS | SEES | COUNTS,
    embedding_batch=32,
    # It answers fields that it does not know with a 422, wants ids of calls as its own are, and after a tool's result
    # an assistant's message ("Unexpected role 'user' after role 'tool'").
    openai_compat=OpenAICompat(
        usage_option=False,
        max_stop_sequences=None,
        rename={"seed": "random_seed", "dimensions": "output_dimension"},
        responses_include=False,
        name_on_tool_messages_only=True,
        user_after_tool=False,
        call_id_length=9,
    ),
    apis=("chat", "responses"),
    models=(
        ModelRule(
            pattern=r"magistral",
            unsupported=frozenset({"reasoning_effort"}),
            first_token=MINUTES,
            prefill={"prefix": True},
        ),
        # Before Small 4 and Medium 3.5 no model took an effort, and smaller ones still take none.
        ModelRule(
            pattern=r"(open-|ministral|codestral|devstral|pixtral|voxtral|mistral-(tiny|saba|nemo))"
            r"|mistral-(small|medium|large)-(2[0-5]\d\d|260[12]|[23](\.[0-4])?(-|$))(?!5)",
            unsupported=frozenset({"reasoning_effort"}),
            prefill={"prefix": True},
        ),
        ModelRule(
            pattern=r"mistral-(small|medium|large)",
            reasoning_efforts=("high",),
            first_token=MINUTES,
            prefill={"prefix": True},
        ),
        ModelRule(pattern=r"", prefill={"prefix": True}),
    ),
    context_windows=(
        (r"mistral-large-([4-9]|\d\d(\D|$)|latest)", 1_048_576),
        (r"mistral-(small|medium)-([4-9]|3[.-]5|2603|latest)|mistral-large-2512", 262_144),
        (r"codestral-2|devstral-(small-|medium-)?2512|ministral-(8|14)b-2512", 262_144),
    ),
)

DEEPSEEK = ProviderSpec(
    name="deepseek",
    title="DeepSeek",
    dialect="openai-chat",
    base_url="https://api.deepseek.com",
    key_env=("DEEPSEEK_API_KEY",),
    base_url_env=("DEEPSEEK_ENDPOINT", "DEEPSEEK_BASE_URL", "DEEPSEEK_API_BASE"),
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
            first_token=MINUTES,
        ),
        ModelRule(
            pattern=r"deepseek-(v([4-9]|\d\d)|flash|pro)",
            unsupported_when_reasoning=frozenset({"logprobs", "tool_choice"}),
            reasons_by_default=True,
            reasoning_efforts=("high", "max"),
            first_token=MINUTES,
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

_XAI_REASONING = PENALTIES | {"stop"}

XAI = ProviderSpec(
    name="xai",
    title="xAI",
    dialect="openai-chat",
    base_url="https://api.x.ai/v1",
    key_env=("XAI_API_KEY",),
    base_url_env=("XAI_ENDPOINT", "XAI_BASE_URL", "XAI_API_BASE"),
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | SEES,
    openai_compat=OpenAICompat(unsupported=frozenset({"top_k"}), custom_tool_calls=False),
    models=(
        ModelRule(pattern=r"grok-([23](?!-mini)|.*non-reasoning)", unsupported=frozenset({"reasoning_effort"})),
        ModelRule(
            pattern=r"grok-3-mini", unsupported=_XAI_REASONING, reasoning_efforts=("low", "high"), first_token=MINUTES
        ),
        # They reason as much as they see fit, and refuse an effort.
        ModelRule(
            pattern=r"grok-(4$|4-|4\.1-|4\.20|code|build)",
            unsupported=_XAI_REASONING | {"reasoning_effort"},
            first_token=MINUTES,
        ),
        ModelRule(
            pattern=r"grok-4\.3",
            unsupported_when_reasoning=_XAI_REASONING,
            reasoning_efforts=("low", "medium", "high", "xhigh"),
            first_token=MINUTES,
        ),
        ModelRule(
            pattern=r"grok-4\.5",
            unsupported=_XAI_REASONING,
            reasoning_off="never",
            reasoning_efforts=("low", "medium", "high"),
            first_token=MINUTES,
        ),
        ModelRule(
            pattern=r"grok-",
            unsupported=_XAI_REASONING,
            reasoning_off="never",
            reasoning_efforts=("low", "medium", "high", "xhigh"),
            first_token=MINUTES,
        ),
    ),
    context_windows=(
        (r"grok-4[.-](1-)?fast", 2_000_000),
        (r"grok-4\.(3|20)", 1_000_000),
        (r"grok-(4\.[5-9]|[5-9]|\d\d)", 500_000),
        (r"grok-(4(-|$)|code|build)", 256_000),
        (r"grok-3", 131_072),
    ),
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
        ModelRule(pattern=r"(?i:glm-5\.2)", first_token=MINUTES),
        ModelRule(
            pattern=r"(?i:glm-(5\.([3-9]|\d\d)|[6-9]|\d\d))",
            reasoning_off="never",
            reasoning_efforts=("low", "high", "max"),
            first_token=MINUTES,
        ),
        ModelRule(pattern=r"(?i:glm-(4\.[1-9]|5|z))", reasoning_efforts=(), first_token=MINUTES),
        ModelRule(pattern=r"", reasoning_efforts=()),
    ),
    context_windows=(
        (r"(?i:glm-(5\.[2-9]|[6-9]|\d\d))", 1_000_000),
        (r"(?i:glm-(4\.[67]|5)(?!v))", 200_000),
        (r"(?i:glm-(4\.[567]|4-(air|plus|flash)(?!x$)))", 131_072),
    ),
)

ZAI = attrs.evolve(
    GLM4,
    name="zai",
    title="GLM, international (z.ai)",
    base_url="https://api.z.ai/api/paas/v4",
    key_env=("ZAI_API_KEY",),
    base_url_env=("ZAI_ENDPOINT", "ZAI_BASE_URL", "ZAI_API_BASE"),
)
