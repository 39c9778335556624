"""Refuses keywords that nothing knows, and names the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from turnout.chat import ChatRequest, ModelConfig, as_model, as_models

__all__ = ["CALL", "MODEL", "REQUEST", "apply_settings", "unknown_keyword"]

MODEL = frozenset(field.name for field in attrs.fields(ModelConfig)[2:])
"""The settings of a model."""
REQUEST = frozenset(field.name for field in attrs.fields(ChatRequest)[2:])
"""The fields of a request besides its model and its messages."""
CALL = ("timeout", "total_timeout", "policy", "collect", "affinity", "api_keys")
"""The keywords of a call."""

_CLIENT = "it belongs to the provider: turnout.providers.create('openai', {0}=…)"
# The names that other libraries use.
_HABITS = {
    "stream": "call router.stream(…) to receive the answer as it arrives",
    "n": "every call gives one answer: call again for another",
    "max_completion_tokens": "write max_tokens=…",
    "max_output_tokens": "write max_tokens=…",
    "max_new_tokens": "write max_tokens=…",
    "stop_sequences": "write stop=[…]",
    "extra_body": "write extra={…}: its fields are merged into the body",
    "extra_headers": "headers belong to the provider: turnout.providers.create('openai', headers={…})",
    "extra_query": "write the query into the base_url of the provider",
    "max_retries": "write policy=Policy(max_retries=…), or Router.from_env(max_retries=…)",
    "num_retries": "write policy=Policy(max_retries=…), or Router.from_env(max_retries=…)",
    "retries": "write policy=Policy(max_retries=…), or Router.from_env(max_retries=…)",
    "request_timeout": "write timeout=…",
    "api_key": "write api_keys={'openai': '…'}, or give the key to turnout.providers.create",
    "base_url": _CLIENT,
    "api_base": "it belongs to the provider: turnout.providers.create('openai', base_url=…)",
    "headers": _CLIENT,
    "system": "write messages=[Message.system('…'), …]",
    "instructions": "write messages=[Message.system('…'), …]",
    "prompt": "write messages='…'",
    "input": "write messages='…'",
    "functions": "write tools=[…]",
    "function_call": "write tool_choice='…'",
    "response_model": "write response_format=…, and read reply.parsed(…)",
    "output_type": "write response_format=…, and read reply.parsed(…)",
    "json_schema": "write response_format=ResponseFormat({…})",
    "reasoning": "write reasoning_effort='low'",
    "effort": "write reasoning_effort='low'",
    "thinking": "write reasoning_effort='low', or extra={'anthropic': {'thinking': {…}}}",
    "top_logprobs": "write logprobs=…: the number of alternatives",
    "user": "write metadata={'user': '…'} for your own records, or extra={'openai': {'user': '…'}}",
    "logit_bias": "write extra={'logit_bias': {…}}",
    "service_tier": "write extra={'service_tier': '…'}",
    "model_id": "write model='provider/model'",
    "provider": "write model='provider/model'",
    "stream_options": "a stream always reports its usage",
    "fallback": "write fallbacks=['provider/model', …]",
    "models": "write fallbacks=['provider/model', …]",
}


def unknown_keyword(where: str, name: str, known: Iterable[str]) -> TypeError:
    """Return the error for a keyword that `where` does not have, with the spelling that was probably meant."""
    if name in _HABITS:
        return TypeError(f"{where} has no {name!r}: {_HABITS[name].replace('{0}', name)}")
    import difflib

    close = difflib.get_close_matches(name, sorted(known), n=1)
    if close:
        return TypeError(f"{where} has no {name!r}: did you mean {close[0]!r}?")
    return TypeError(f"{where} has no {name!r}: fields that only one vendor knows go into extra={{'{name}': …}}")


def apply_settings(model: Any, fallbacks: Any, settings: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """Return the model and its fallbacks with settings over their own.

    Raises:
        TypeError: If a setting is not known.
    """
    for name in settings.keys() - MODEL:
        raise unknown_keyword("ChatRequest", name, (*MODEL, *REQUEST))
    over = ModelConfig("any", "any", **settings)

    def applied(value: Any) -> Any:
        return over.over(value) if isinstance(value, ModelConfig) else value

    return applied(as_model(model)), tuple(applied(each) for each in as_models(fallbacks))
