"""The environment variables that point Turnout and the official SDKs at a sandbox.

Source of the SDKs' names: the code of each SDK. Turnout prefers its own names, so a program can have all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from turnout_sandbox.dialects import PROVIDERS

__all__ = ["key_of", "sdk_variables", "turnout_variables", "url_of"]

# The variables of keys that do not have the provider's name.
_KEY_VARIABLES = {
    "github": "GITHUB_COPILOT_API_KEY",
    "llama-cpp": "LLAMA_API_KEY",
    "vercel": "AI_GATEWAY_API_KEY",
}
_SANDBOX = "http://127.0.0.1:{port}"

_SDK_VARIABLES: Mapping[str, str] = {
    "OPENAI_BASE_URL": f"{_SANDBOX}/openai/v1",
    "ANTHROPIC_BASE_URL": f"{_SANDBOX}/anthropic",
    "GOOGLE_GEMINI_BASE_URL": f"{_SANDBOX}/gemini",
    "OLLAMA_HOST": f"{_SANDBOX}/ollama",
    "CO_API_URL": f"{_SANDBOX}/cohere",
    # These three clients add the whole path of the API themselves.
    "GROQ_BASE_URL": f"{_SANDBOX}/groq",
    "CEREBRAS_BASE_URL": f"{_SANDBOX}/cerebras",
    "TOGETHER_BASE_URL": f"{_SANDBOX}/together",
    "ZAI_BASE_URL": f"{_SANDBOX}/zai/api/paas/v4",
    "AWS_ENDPOINT_URL_BEDROCK": f"{_SANDBOX}/bedrock",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"{_SANDBOX}/bedrock",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}

# The variables of keys, with the provider of each key.
_SDK_KEYS: Mapping[str, str] = {
    "OPENAI_API_KEY": "openai",
    "ANTHROPIC_API_KEY": "anthropic",
    "GEMINI_API_KEY": "gemini",
    "MISTRAL_API_KEY": "mistral",
    "CO_API_KEY": "cohere",
    "GROQ_API_KEY": "groq",
    "CEREBRAS_API_KEY": "cerebras",
    "TOGETHER_API_KEY": "together",
    "ZAI_API_KEY": "zai",
    # The client refuses a bearer token for a URL without TLS. The sandbox checks no signature, so any secret will do.
    "AWS_ACCESS_KEY_ID": "bedrock",
    "AWS_SECRET_ACCESS_KEY": "bedrock",
}


def url_of(provider: str, port: int) -> str:
    """Return the base URL of a provider, as the settings of its clients take it."""
    return f"http://127.0.0.1:{port}/{provider}{PROVIDERS[provider].base}"


def key_of(provider: str) -> str:
    """Return the key that the provider accepts."""
    return f"sandbox-{provider}-key"


def turnout_variables(port: int) -> dict[str, str]:
    """Return NAME_API_KEY and NAME_ENDPOINT of every provider, and AWS_REGION, which Bedrock needs."""
    variables = {"AWS_REGION": "us-east-1"}
    for name in PROVIDERS:
        prefix = name.upper().replace("-", "_")
        variables[f"{prefix}_API_KEY"] = key_of(name)
        variables[f"{prefix}_ENDPOINT"] = url_of(name, port)
        if name in _KEY_VARIABLES:
            variables[_KEY_VARIABLES[name]] = key_of(name)
    return variables


def sdk_variables(port: int) -> dict[str, str]:
    """Return the variables that the official SDKs read: OPENAI_BASE_URL, OPENAI_API_KEY and so on."""
    urls = {name: value.format(port=port) for name, value in _SDK_VARIABLES.items()}
    return {**urls, **{name: key_of(provider) for name, provider in _SDK_KEYS.items()}}
