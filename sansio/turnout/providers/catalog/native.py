"""The providers that have their own dialect."""

from __future__ import annotations

from turnout.errors import (
    ContentFiltered,
)
from turnout.providers.catalog.parts import COUNTS, EMBEDS, HEARS, MINUTES, RANKS, READS, SEES, codes
from turnout.providers.catalog.spec import ALL_CHAT, ModelRule, OpenAICompat, ProviderSpec
from turnout.providers.schemas.subsets import GEMINI_SCHEMAS

__all__ = ["COHERE", "GEMINI", "OLLAMA"]

GEMINI = ProviderSpec(
    name="gemini",
    title="Google Gemini",
    dialect="gemini",
    base_url="https://generativelanguage.googleapis.com",
    key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    base_url_env=("GEMINI_ENDPOINT", "GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_BASE"),
    option_env={
        "vertex": ("GOOGLE_GENAI_USE_VERTEXAI",),
        "vertex_project": ("VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"),
        "vertex_location": ("VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"),
    },
    schemas=GEMINI_SCHEMAS,
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS | COUNTS,
    embedding_batch=100,
    models=(
        # They do not reason: images, speech, vectors, and models older than 2.5.
        ModelRule(
            pattern=r"(models/)?(gemini-(1|2\.0)|gemma-([123]n?-|\d+b)|imagen|veo|.*(embedding|-tts|-2\.5-.*image))",
            unsupported=frozenset({"reasoning_effort"}),
        ),
        ModelRule(
            pattern=r"(models/)?gemini-(2\.5|[3-9]|\d\d|[a-z-]*latest)|(models/)?gemma-([4-9]|\d\d\D)",
            first_token=MINUTES,
        ),
    ),
    context_windows=(
        (r"(models/)?gemini-1\.5-pro", 2_097_152),
        (r"(models/)?gemini-(?!.*(image|-tts|live|embedding|audio))(1\.5|[2-9]|\d\d|[a-z-]*latest)", 1_048_576),
        (r"(models/)?gemma-([4-9]|\d\d\D)", 262_144),
    ),
)

OLLAMA = ProviderSpec(
    name="ollama",
    title="Ollama",
    dialect="ollama",
    base_url="http://localhost:11434",
    key_env=("OLLAMA_API_KEY",),
    base_url_env=("OLLAMA_ENDPOINT", "OLLAMA_BASE_URL", "OLLAMA_API_BASE", "OLLAMA_HOST"),
    needs_key=False,
    capabilities=ALL_CHAT | EMBEDS | SEES,
    # A local model is loaded before its first token; a large one takes minutes from a slow disk.
    models=(ModelRule(pattern=r"", first_token=MINUTES),),
)

COHERE = ProviderSpec(
    name="cohere",
    title="Cohere",
    dialect="cohere",
    base_url="https://api.cohere.com",
    key_env=("COHERE_API_KEY", "CO_API_KEY"),
    base_url_env=("COHERE_ENDPOINT", "CO_API_URL", "COHERE_API_BASE"),
    capabilities=ALL_CHAT | EMBEDS | SEES | RANKS,
    embedding_batch=96,
    openai_compat=OpenAICompat(max_stop_sequences=5),
    # A 498 is for a forbidden token, in the request or in the answer.
    error_codes=codes((ContentFiltered, "498")),
    models=(
        # They do not think, and have no switch for it.
        ModelRule(
            pattern=r"command-(r|light|nightly)|command-a-(03|vision|translate)|c4ai-",
            unsupported=frozenset({"reasoning_effort"}),
        ),
        ModelRule(pattern=r"command-a|north", first_token=MINUTES),
    ),
    context_windows=((r"command-(a|r7b|r|r-plus)(-|$)", 128_000),),
)
