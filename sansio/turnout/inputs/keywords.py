"""Refuses keywords that nothing knows, and names the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from turnout._utils.hints.keywords import CLOSE, NO_STREAM, POLICY_OF_CALL, POLICY_OF_ROUTER
from turnout.inputs.types import ModelSettings, RequestSettings
from turnout.types.models import ModelConfig, as_model, as_models

__all__ = [
    "ARGUMENT_OF",
    "CALL",
    "MODEL",
    "REQUEST",
    "apply_settings",
    "unknown_keyword",
]

MODEL = frozenset(field.name for field in attrs.fields(ModelConfig)[2:])
"""The settings of a model."""
REQUEST = frozenset(RequestSettings.__annotations__.keys() - ModelSettings.__annotations__.keys())
"""The fields of a request besides its model and its messages."""
CALL = ("timeout", "policy", "affinity", "api_keys", "priority", "cache")
"""The keywords of every call."""
ARGUMENT_OF = {
    "collect": "chat",
    "total_timeout": "stream",
    "max_rounds": "run",
    "tool_timeout": "run",
    "approve": "run",
}
"""The keywords that only one method of a router has, with the method."""
_ROUTER = ("providers", "transport", "on_trace", "shared")
_FROM_ENV = ("dotenv", "environ", "entries")

_CLIENT = "it belongs to the provider: turnout.providers.create('openai', {0}=…)"
_DEADLINE = (
    "write timeout=…, the deadline of the call; of a stream until its first token, then total_timeout=… bounds it"
)
_FIRST_TOKEN = "write policy=Policy(timeouts=Timeouts(first_token=…))"
_BETWEEN_TOKENS = "write policy=Policy(timeouts=Timeouts(first_token=…, between_tokens=…))"
_ROUNDS = "write router.run(…, max_rounds=…)"
_TRACES = "write Router(…, on_trace=…), or Router.from_env(on_trace=…)"
_TRANSPORT = "it belongs to the transport: Router.from_env(transport=…) (docs/extend/transport.md)"
_IMAGES = "write messages=[Message.user('…', Image.from_path('yard.jpg'))]"
_FALLBACKS = "write fallbacks=['provider/model', …]"
_JSON = "write response_format=ResponseFormat.json()"
_MESSAGES = "write messages='…'"
_SYSTEM = "write messages=[Message.system('…'), Message.user('…')]"
_FLAT = "write its settings as keywords, such as temperature=0.2"
# Fields of OpenAI's API that no other provider of the catalog needs to know: they never go to a fallback elsewhere.
_FIELDS_OF_OPENAI = (
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options",
)
# The names that other libraries use.
_HABITS = {
    "stream": "call router.stream(…) to receive the answer as it arrives",
    "n": "every call gives one answer: call again for another",
    "max_completion_tokens": "write max_tokens=…",
    "max_output_tokens": "write max_tokens=…",
    "max_new_tokens": "write max_tokens=…",
    "stop_sequences": "write stop=[…]",
    "extra_body": "write extra={'openai': {…}}: its fields are merged into the body, at this provider alone",
    "extra_headers": "headers belong to the provider: turnout.providers.create('openai', headers={…})",
    "extra_query": "write the query into the base_url of the provider",
    "num_retries": "write policy=Policy(max_retries=…), or Router.from_env(max_retries=…)",
    "retries": "write policy=Policy(max_retries=…), or Router.from_env(max_retries=…)",
    "request_timeout": "write timeout=…",
    **dict.fromkeys(("deadline", "time_limit", "max_time", "max_duration", "call_timeout"), _DEADLINE),
    **dict.fromkeys(("stream_timeout", "first_token", "first_token_timeout", "ttft_timeout"), _FIRST_TOKEN),
    **dict.fromkeys(
        ("token_timeout", "between_tokens", "idle_timeout", "read_timeout", "chunk_timeout"), _BETWEEN_TOKENS
    ),
    "between_tokens_timeout": _BETWEEN_TOKENS,
    "connect": "write policy=Policy(timeouts=Timeouts(connect=…))",
    "connect_timeout": "write policy=Policy(timeouts=Timeouts(connect=…))",
    "max_steps": _ROUNDS,
    "max_turns": _ROUNDS,
    "max_iterations": _ROUNDS,
    "max_tool_calls": _ROUNDS,
    "budget": "write policy=Policy(max_cost=…)",
    "max_budget": "write policy=Policy(max_cost=…)",
    "caching": "write Router(…, cache=MemoryCache()); cache=False is for one call (docs/how-to/caching.md)",
    "callbacks": _TRACES,
    "callback": _TRACES,
    "mock_response": "in a test, give the router a transport that answers: turnout_io.testing.ScriptedTransport",
    "retry_policy": "write policy=Policy(rules={…}), with an action for each class of failure",
    "context_window_fallbacks": "write policy=Policy(fallbacks={'context-length': […]})",
    "content_policy_fallbacks": "write policy=Policy(fallbacks={'content-filter': […]})",
    "drop_params": "it belongs to the provider: turnout.providers.create('openai', unsupported='drop')",
    "api_version": "it belongs to the provider: turnout.providers.create('azure', …)",
    "proxy": _TRANSPORT,
    "proxies": _TRANSPORT,
    "verify": _TRANSPORT,
    "http_client": _TRANSPORT,
    "api_key": "write api_keys={'openai': '…'}, or give the key to turnout.providers.create",
    "base_url": _CLIENT,
    "api_base": "it belongs to the provider: turnout.providers.create('openai', base_url=…)",
    "headers": _CLIENT,
    "system": _SYSTEM,
    "instructions": _SYSTEM,
    "prompt": _MESSAGES,
    "input": _MESSAGES,
    "functions": "write tools=[…]",
    "function_call": "write tool_choice='…'",
    "text_format": "write response_format=…, and read reply.parsed(…)",
    "images": _IMAGES,
    "image": _IMAGES,
    "files": "write messages=[Message.user('…', File.from_path('plan.pdf'))]",
    "response_model": "write response_format=…, and read reply.parsed(…)",
    "output_type": "write response_format=…, and read reply.parsed(…)",
    "json_schema": "write response_format=ResponseFormat({…})",
    "reasoning": "write reasoning_effort='low'",
    "effort": "write reasoning_effort='low'",
    "thinking": "write reasoning_effort='low', or extra={'anthropic': {'thinking': {…}}}",
    "top_logprobs": "write logprobs=…: the number of alternatives",
    "user": "write metadata={'user': '…'} for your own records, or extra={'openai': {'user': '…'}}",
    "logit_bias": "write extra={'openai': {'logit_bias': {…}}}",
    **dict.fromkeys(
        _FIELDS_OF_OPENAI, "write extra={'openai': {'{0}': …}}: a fallback at another provider goes without"
    ),
    "model_id": "write model='provider/model'",
    "provider": "write model='provider/model'",
    "stream_options": "a stream always reports its usage",
    **dict.fromkeys(("fallback", "fallback_models", "fallback_model", "backup"), _FALLBACKS),
    **dict.fromkeys(("models", "with_fallbacks"), _FALLBACKS),
    **dict.fromkeys(("json", "json_mode", "json_output", "format"), _JSON),
    **dict.fromkeys(("user_prompt", "question", "content", "text", "message", "query", "contents"), _MESSAGES),
    **dict.fromkeys(("verbose", "debug", "log", "log_level"), "set the variable TURNOUT_LOG=debug"),
    **dict.fromkeys(("message_history", "history", "chat_history"), "write messages=[*earlier, Message.user('…')]"),
    **dict.fromkeys(("system_prompt", "system_message", "system_instruction"), _SYSTEM),
    "cache_control": "it belongs to a part: Text('…', extra={'anthropic': {'cache_control': {…}}})",
    **dict.fromkeys(("modalities", "audio"), "write extra={'openai': {…}} with these fields of its API"),
    **dict.fromkeys(("model_settings", "generation_config", "config", "params", "options"), _FLAT),
}


def unknown_keyword(where: str, name: str, known: Iterable[str]) -> TypeError:
    """Return the error for a keyword that `where` does not have, with the spelling that was probably meant."""
    if where.startswith("router.run") and name in ("stream", "on_event", "on_token", "stream_options"):
        return TypeError(f"{where} has no {name!r}: {NO_STREAM}")
    return TypeError(f"{where} has no {name!r}: {_advice(name, sorted(known))}")


def _advice(name: str, known: list[str]) -> str:
    if name in _HABITS:
        return _HABITS[name].replace("{0}", name)
    if place := _place(name):
        return f"write {place}"
    import difflib  # only for messages of errors

    if near := difflib.get_close_matches(name, known, 1, CLOSE):
        return f"did you mean {near[0]!r}?"
    if near := difflib.get_close_matches(name, (*POLICY_OF_CALL, *POLICY_OF_ROUTER, *ARGUMENT_OF), 1, CLOSE):
        return f"did you mean {_place(near[0])}?"
    return (
        f"if it is a field of one provider's API, write extra={{'openai': {{{name!r}: …}}}}, with the provider's name"
    )


def _place(name: str) -> str | None:
    """Return how a name is written that another place has; None if no other place has it."""
    if name == "total_timeout":
        return "timeout=…; only router.stream() has total_timeout"
    if name in ARGUMENT_OF:
        return f"router.{ARGUMENT_OF[name]}(…, {name}=…)"
    if name in CALL:  # it was given to a request
        return f"router.chat(…, {name}=…)"
    if name in POLICY_OF_CALL:
        return f"policy=Policy({name}=…), or Router.from_env({name}=…)"
    if name in POLICY_OF_ROUTER:
        return f"Router(…, policy=Policy({name}=…)), or Router.from_env({name}=…)"
    if name in _ROUTER:
        return f"Router({name}=…)"
    return f"Router.from_env({name}=…)" if name in _FROM_ENV else None


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
