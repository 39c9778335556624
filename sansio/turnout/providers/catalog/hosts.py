"""Hosts of other makers' models, and gateways to many of them. Each entry holds how its chat completions differ.

Sources: each host's API reference (openrouter.ai/docs, console.groq.com/docs, inference-docs.cerebras.ai,
docs.together.ai, docs.siliconflow.cn, modelscope.cn/docs, docs.fireworks.ai, deepinfra.com/docs,
docs.tokenfactory.nebius.com, docs.sambanova.ai, huggingface.co/docs/inference-providers, docs.api.nvidia.com,
vercel.com/docs/ai-gateway, docs.github.com/copilot).
"""

from __future__ import annotations

from turnout.errors import AuthenticationFailed, NotFound, Overloaded, PermissionDenied, QuotaExceeded
from turnout.providers.catalog.hosted_models import GATEWAY_MODELS, KIMI_REPLAY, OPEN_MODELS
from turnout.providers.catalog.openai_models import OPENAI_MODELS
from turnout.providers.catalog.parts import EMBEDS, HEARS, MINUTES, PENALTIES, RANKS, READS, SEES, codes
from turnout.providers.catalog.spec import ALL_CHAT, ModelRule, OpenAICompat, ProviderSpec
from turnout.providers.schemas.subsets import CEREBRAS_SCHEMAS, GROQ_SCHEMAS

__all__ = [
    "CEREBRAS",
    "DEEPINFRA",
    "FIREWORKS",
    "GITHUB",
    "GROQ",
    "HUGGINGFACE",
    "MODELSCOPE",
    "NEBIUS",
    "NVIDIA",
    "OPENROUTER",
    "SAMBANOVA",
    "SILICONFLOW",
    "TOGETHER",
    "VERCEL",
]

FIREWORKS = ProviderSpec(
    name="fireworks",
    title="Fireworks AI",
    dialect="openai-chat",
    base_url="https://api.fireworks.ai/inference/v1",
    key_env=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
    base_url_env=("FIREWORKS_ENDPOINT", "FIREWORKS_BASE_URL", "FIREWORKS_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | RANKS,
    openai_compat=OpenAICompat(
        reasoning_replay_field="reasoning_content",
        # Else it cuts an answer that does not fit beside its prompt, and reports no error.
        extra_body={"context_length_exceeded_behavior": "error"},
    ),
    models=OPEN_MODELS,
)

DEEPINFRA = ProviderSpec(
    name="deepinfra",
    title="DeepInfra",
    dialect="openai-chat",
    base_url="https://api.deepinfra.com/v1/openai",
    key_env=("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
    base_url_env=("DEEPINFRA_ENDPOINT", "DEEPINFRA_BASE_URL", "DEEPINFRA_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    capabilities=ALL_CHAT | EMBEDS | SEES,
    embedding_batch=1024,
    openai_compat=OpenAICompat(tool_choices=frozenset({"auto", "none"}), max_stop_sequences=16),
    models=OPEN_MODELS,
)

NEBIUS = ProviderSpec(
    name="nebius",
    title="Nebius Token Factory",
    dialect="openai-chat",
    base_url="https://api.tokenfactory.nebius.com/v1",
    key_env=("NEBIUS_API_KEY",),
    base_url_env=("NEBIUS_ENDPOINT", "NEBIUS_BASE_URL", "NEBIUS_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    capabilities=ALL_CHAT | EMBEDS | SEES,
    openai_compat=OpenAICompat(max_stop_sequences=None),
    models=OPEN_MODELS,
)

SAMBANOVA = ProviderSpec(
    name="sambanova",
    title="SambaNova Cloud",
    dialect="openai-chat",
    base_url="https://api.sambanova.ai/v1",
    key_env=("SAMBANOVA_API_KEY",),
    base_url_env=("SAMBANOVA_ENDPOINT", "SAMBANOVA_BASE_URL", "SAMBANOVA_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    capabilities=ALL_CHAT | EMBEDS | SEES,
    openai_compat=OpenAICompat(
        string_content_only=True,
        unsupported=PENALTIES | {"logprobs", "seed"},
    ),
    models=OPEN_MODELS,
)

HUGGINGFACE = ProviderSpec(
    name="huggingface",
    title="Hugging Face Inference Providers",
    dialect="openai-chat",
    base_url="https://router.huggingface.co/v1",
    key_env=("HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGINGFACEHUB_API_TOKEN"),
    base_url_env=("HUGGINGFACE_ENDPOINT", "HF_BASE_URL", "HUGGINGFACE_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    apis=("chat", "responses"),
    # A model's id may end in the host to use (`:together`), or in how to choose one (`:fastest`, `:cheapest`).
    capabilities=ALL_CHAT | SEES,
    models=OPEN_MODELS,
)

NVIDIA = ProviderSpec(
    name="nvidia",
    title="NVIDIA NIM",
    dialect="openai-chat",
    base_url="https://integrate.api.nvidia.com/v1",
    key_env=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
    base_url_env=("NVIDIA_ENDPOINT", "NVIDIA_BASE_URL", "NVIDIA_NIM_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    capabilities=ALL_CHAT | EMBEDS | SEES,
    # Its retrievers must know whether a text is a question, or a passage to be found.
    openai_compat=OpenAICompat(
        rename={"purpose": "input_type"},
        embedding_purposes={"document": "passage"},
        unsupported=frozenset({"top_k"}),
    ),
    models=OPEN_MODELS,
)

VERCEL = ProviderSpec(
    name="vercel",
    title="Vercel AI Gateway",
    dialect="openai-chat",
    base_url="https://ai-gateway.vercel.sh/v1",
    key_env=("AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
    base_url_env=("VERCEL_ENDPOINT", "AI_GATEWAY_BASE_URL"),
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS,
    openai_compat=OpenAICompat(
        developer_role=True,
        reasoning_param="reasoning",
        reasoning_replay_field="reasoning_details",
    ),
    models=GATEWAY_MODELS,
)

# GitHub Models ended on 30 July 2026; the models that GitHub still serves are those of Copilot's subscriptions.
GITHUB = ProviderSpec(
    name="github",
    title="GitHub Copilot",
    dialect="openai-chat",
    base_url="https://api.githubcopilot.com",
    key_env=("GITHUB_COPILOT_API_KEY", "GITHUB_COPILOT_API_TOKEN", "COPILOT_GITHUB_TOKEN"),
    base_url_env=("GITHUB_ENDPOINT", "GITHUB_COPILOT_BASE_URL", "COPILOT_API_URL"),
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES,
    openai_compat=OpenAICompat(max_tokens="max_completion_tokens", unsupported=frozenset({"top_k"})),
    # OpenAI's models refuse the same settings here.
    models=(*OPENAI_MODELS, *GATEWAY_MODELS),
)

OPENROUTER = ProviderSpec(
    name="openrouter",
    title="OpenRouter",
    dialect="openai-chat",
    base_url="https://openrouter.ai/api/v1",
    key_env=("OPENROUTER_API_KEY",),
    base_url_env=("OPENROUTER_ENDPOINT", "OPENROUTER_BASE_URL", "OPENROUTER_API_BASE"),
    option_env={"app_url": ("OPENROUTER_APP_URL",), "app_title": ("OPENROUTER_APP_TITLE",)},
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS | RANKS,
    openai_compat=OpenAICompat(
        developer_role=True,
        reasoning_param="reasoning",
        reasoning_replay_field="reasoning_details",
        embeddings_base64=True,
    ),
    models=GATEWAY_MODELS,
)

GROQ = ProviderSpec(
    name="groq",
    title="Groq",
    dialect="openai-chat",
    base_url="https://api.groq.com/openai/v1",
    key_env=("GROQ_API_KEY",),
    base_url_env=("GROQ_ENDPOINT", "GROQ_BASE_URL", "GROQ_API_BASE"),
    # Other models refuse the field, and all of them refuse `reasoning_content`.
    reasoning_replay=((r"(openai/)?gpt-oss|qwen/qwen3", "reasoning_of_calls"),),
    base_url_is_host=True,
    apis=("chat", "responses"),
    schemas=GROQ_SCHEMAS,
    capabilities=ALL_CHAT | SEES,
    openai_compat=OpenAICompat(
        max_tokens="max_completion_tokens",
        name_on_tool_messages_only=True,
        unsupported=frozenset({"logprobs", "top_k"}),
    ),
    models=(
        ModelRule(
            pattern=r"qwen/qwen(3\.([89]|\d\d)|[4-9])",
            reasoning_efforts=("default", "low", "medium", "high"),
            first_token=MINUTES,
        ),
        ModelRule(pattern=r"qwen/qwen3", reasoning_efforts=("default",), first_token=MINUTES),
        ModelRule(
            pattern=r"(meta-llama/)?llama|gemma|(groq/)?compound|moonshotai/kimi-k2-instruct|canopylabs|allam",
            unsupported=frozenset({"reasoning_effort"}),
        ),
        *OPEN_MODELS,
    ),
    # Its 413 names as "Requested" the prompt with `max_tokens`: maplibre/maplibre-agent-skills, pull request 63.
    counts_max_tokens=True,
)

CEREBRAS = ProviderSpec(
    name="cerebras",
    title="Cerebras",
    dialect="openai-chat",
    base_url="https://api.cerebras.ai/v1",
    key_env=("CEREBRAS_API_KEY",),
    base_url_env=("CEREBRAS_ENDPOINT", "CEREBRAS_BASE_URL", "CEREBRAS_API_BASE"),
    reasoning_replay=((r"gpt-oss", "reasoning_of_calls"),),
    base_url_is_host=True,
    schemas=CEREBRAS_SCHEMAS,
    capabilities=ALL_CHAT,
    openai_compat=OpenAICompat(
        max_tokens="max_completion_tokens", max_temperature=1.5, unsupported=PENALTIES | {"top_k"}
    ),
    models=OPEN_MODELS,
    counts_max_tokens=True,  # source: inference-docs.cerebras.ai/support/rate-limits, "Token Rate Limiting"
)

TOGETHER = ProviderSpec(
    name="together",
    title="Together",
    dialect="openai-chat",
    base_url="https://api.together.ai/v1",
    key_env=("TOGETHER_API_KEY",),
    base_url_env=("TOGETHER_ENDPOINT", "TOGETHER_BASE_URL", "TOGETHER_API_BASE"),
    # It takes the field of every model that reasons.
    reasoning_replay=(*KIMI_REPLAY, (r"", "reasoning_of_calls")),
    base_url_is_host=True,
    capabilities=ALL_CHAT | EMBEDS | SEES | RANKS,
    openai_compat=OpenAICompat(max_stop_sequences=None, logprobs="count"),
    models=OPEN_MODELS,
)

SILICONFLOW = ProviderSpec(
    name="siliconflow",
    title="SiliconFlow",
    dialect="openai-chat",
    base_url="https://api.siliconflow.cn/v1",
    key_env=("SILICONFLOW_API_KEY",),
    base_url_env=("SILICONFLOW_ENDPOINT", "SILICONFLOW_BASE_URL", "SILICONFLOW_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
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
    models=OPEN_MODELS,
)

MODELSCOPE = ProviderSpec(
    name="modelscope",
    title="ModelScope",
    dialect="openai-chat",
    base_url="https://api-inference.modelscope.cn/v1",
    key_env=("MODELSCOPE_API_KEY", "MODELSCOPE_SDK_TOKEN"),
    base_url_env=("MODELSCOPE_ENDPOINT", "MODELSCOPE_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    capabilities=ALL_CHAT | SEES,
    openai_compat=OpenAICompat(
        reasoning_param="enable_thinking",
        string_content_only=True,
        json_schema=False,
        unsupported=PENALTIES | {"logprobs", "top_k"},
    ),
    # Not those that can only think, or never do: the end of their names shows it.
    models=(
        ModelRule(pattern=r"Qwen/Qwen3(\.\d+)?-\d[\d.]*B(-A\d+B)?$", reasoning_streams_only=True, first_token=MINUTES),
        *OPEN_MODELS,
    ),
)
