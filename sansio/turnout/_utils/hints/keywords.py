"""Names the right spelling for keywords and settings that other libraries have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from turnout._utils.names import did_you_mean, nearest

__all__ = [
    "CLOSE",
    "FALLBACKS",
    "NO_STREAM",
    "POLICY_OF_CALL",
    "POLICY_OF_ROUTER",
    "advice_for_field",
    "advice_for_from_env",
    "router_argument",
    "unknown_field",
    "unknown_router_argument",
    "unknown_setting_of_provider",
]

POLICY_OF_CALL = frozenset(
    """attempt_timeout backoff_initial backoff_max context_windows fallbacks hedge max_attempts max_cost max_retries
    on_interrupt prices retry_mode rules short_wait timeout timeouts when_all_in_cooldown when_at_capacity""".split()
)
"""The fields of `Policy` that a call can have. They are written here because a request must not import a policy."""
POLICY_OF_ROUTER = frozenset(
    "breaker budgets learn_limits limits max_concurrency max_cooldown max_learned_wait max_pending".split()
)
"""The fields of `Policy` that only a router can have."""
NO_STREAM = (
    "no run streams, because the answers before the last one only call tools: write router.stream(…, tools=[…]), run "
    "the calls of stream.response.tool_calls, and call again (docs/how-to/tools.md)"
)
"""How tools and a stream go together."""
# A name that is less similar than this is probably not a wrong spelling of the other one.
CLOSE = 0.8

_FAILURES = "write consecutive_failures=…"
_BREAK = "write break_duration=…"
_WHOLE_CALL = "seconds for the whole call are Policy(timeout=…)"
_MODEL = "write ModelConfig('openai', 'gpt-4o-mini'), or ModelConfig.parse('openai/gpt-4o-mini')"
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "Limit": {
        "rpm": "write requests_per_minute=…",
        "tpm": "write tokens_per_minute=…",
        "concurrency": "write max_concurrency=…",
        "max_parallel_requests": "write max_concurrency=…",
    },
    "Price": {
        "input": "write prompt=…, for a million tokens",
        "output": "write completion=…, for a million tokens",
        "input_cost_per_token": "write prompt=…, for a million tokens",
        "output_cost_per_token": "write completion=…, for a million tokens",
    },
    "Timeouts": {
        "read": "write first_token=… and between_tokens=…",
        "timeout": _WHOLE_CALL,
        "total": _WHOLE_CALL,
    },
    "ModelConfig": {
        **dict.fromkeys(("name", "model", "model_name", "id"), _MODEL),
        "max_completion_tokens": "write max_tokens=…",
        "max_output_tokens": "write max_tokens=…",
        "stop_sequences": "write stop=[…]",
    },
    "Route": {
        **dict.fromkeys(("models", "model_list", "targets", "candidates", "fallbacks"), "write choices=[…]"),
        "routing_strategy": "write strategy='…'",
        "timeout": "write policy=Policy(timeout=…)",
    },
    "Choice": {"name": _MODEL, "priority": "write tier=…", "order": "write tier=…"},
    "Message": {
        **dict.fromkeys(("text", "message", "parts"), "write content='…'"),
        **dict.fromkeys(("images", "image"), "write Message.user('…', Image.from_path('yard.jpg'))"),
    },
    "Tool": {
        **dict.fromkeys(("input_schema", "schema", "args_schema"), "write parameters={…}"),
        **dict.fromkeys(("function", "func", "fn"), "write Tool.of(function)"),
        "type": "leave it out: every tool is a function",
    },
    "Image": {
        **dict.fromkeys(("path", "file"), "write Image.from_path('yard.jpg')"),
        "image_url": "write url='…'",
        **dict.fromkeys(("source", "base64", "b64_json"), "write url='…', or data=… with media_type='image/png'"),
    },
    "ResponseFormat": {
        "type": "write ResponseFormat.json(), or ResponseFormat({…}) for a JSON Schema",
        "json_schema": "write ResponseFormat({…})",
    },
    "Hedge": {**dict.fromkeys(("after", "timeout", "seconds", "delay_ms"), "write delay=…, in seconds")},
    "BreakerPolicy": {
        "allowed_fails": _FAILURES,
        "failure_threshold": _FAILURES,
        "cooldown": _BREAK,
        "cooldown_time": _BREAK,
        "recovery_timeout": _BREAK,
        "reset_timeout": _BREAK,
    },
}


def unknown_field(kind: str, name: str, known: Iterable[str]) -> TypeError:
    """Return the error for a field that a class does not have, with the one that was probably meant."""
    return TypeError(f"{kind} has no {name!r}{advice_for_field(kind, name, known)}")


def advice_for_field(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the end of the error for a field that a class does not have."""
    advice = _SETTINGS.get(kind, {}).get(name) or (_OF_ROUTER.get(name) if kind == "Policy" else None)
    return f": {advice}" if advice else did_you_mean(name, known, CLOSE)


_TRANSPORT = "it belongs to the transport: write transport=… (docs/extend/transport.md)"
_TRACES = "write on_trace=…: a function that receives the trace of each call"
_FIRST_TOKEN = "it is a field of Timeouts: timeouts=Timeouts(first_token=…) of a Policy"
_RETRIES = "it is max_retries of a Policy, or Router.from_env(max_retries=…)"
_CACHE = "write cache=MemoryCache() of turnout_io.caching, or shared=Valkey(…) to share limits"
_ROUTE = (
    "write router.add_route(Route('fast', ['openai/gpt-4o-mini', …])), with Route of turnout.routing; "
    "calls then name it 'route/fast'"
)
FALLBACKS = (
    "fallbacks are given to each call: router.chat(…, fallbacks=['groq/…']); for all calls, write "
    "router.add_route(Route('fast', ['openai/…', 'groq/…'])), and call router.chat('route/fast', …)"
)
"""How fallbacks for every failure are written."""
_FALLBACKS_BY_CLASS = "write Router.from_env(fallbacks={'context-length': ['gemini/…']}): models for each failure class"
_MONEY = "write budgets=[Budget(…, per='day')], with Budget of turnout.routing; for one call, Policy(max_cost=…)"
_LOG = "set the variable TURNOUT_LOG=debug, or use the logger 'turnout'"
_STRATEGY = "it belongs to a route: router.add_route(Route('fast', […], strategy='lowest-latency'))"
_OF_ROUTER = {
    **{
        name: f"it is {place.replace('…', advice.removeprefix('write '))} of a Policy, or of Router.from_env"
        for kind, place in (("Limit", "limits={'openai': Limit(…)}"), ("BreakerPolicy", "breaker=BreakerPolicy(…)"))
        for name, advice in _SETTINGS[kind].items()
    },
    **dict.fromkeys(("budget", "max_budget", "budget_duration"), _MONEY),
    "api_key": "a key belongs to a provider: Router([turnout.providers.create('openai', api_key='…')])",
    "base_url": "a base URL belongs to a provider: Router([turnout.providers.create('openai', base_url='…')])",
    "endpoint": "it belongs to a provider: Router([turnout.providers.create('openai', base_url='…')])",
    "api_base": "it belongs to a provider: Router([turnout.providers.create('openai', base_url='…')])",
    "api": "it belongs to a provider: Router([turnout.providers.create('openai', api=…)])",
    "headers": "headers belong to a provider: Router([turnout.providers.create('openai', headers={…})])",
    "default_headers": "headers belong to a provider: Router([turnout.providers.create('openai', headers={…})])",
    "unsupported": "it belongs to a provider: Router([turnout.providers.create('openai', unsupported=…)])",
    "drop_params": "it belongs to a provider: Router([turnout.providers.create('openai', unsupported='drop')])",
    "model": "the model is given to each call: router.chat('openai/gpt-4o-mini', '…')",
    "model_list": _ROUTE,
    "routes": _ROUTE,
    "fallbacks": FALLBACKS,
    "context_window_fallbacks": _FALLBACKS_BY_CLASS,
    "content_policy_fallbacks": _FALLBACKS_BY_CLASS,
    "default_fallbacks": FALLBACKS,
    "callback": _TRACES,
    "callbacks": _TRACES,
    **dict.fromkeys(("success_callback", "failure_callback", "input_callback"), _TRACES),
    "max_connections": "write max_concurrency=… of a Policy, or give your own transport=…",
    "proxy": _TRANSPORT,
    "proxies": _TRANSPORT,
    "verify": _TRANSPORT,
    "http_client": _TRANSPORT,
    "stream_timeout": _FIRST_TOKEN,
    "read_timeout": "the timers of one attempt are fields of Timeouts: timeouts=Timeouts(between_tokens=…) of a Policy",
    "total_timeout": "it is given to each stream: router.stream(…, total_timeout=…)",
    "caching": _CACHE,
    "cache_responses": _CACHE,
    "redis_url": _CACHE,
    "redis_host": _CACHE,
    **dict.fromkeys(("set_verbose", "verbose"), _LOG),
    **dict.fromkeys(("routing_strategy", "strategy", "load_balancing"), _STRATEGY),
    "request_timeout": "it is timeout of a Policy, or Router.from_env(timeout=…)",
    "num_retries": _RETRIES,
    "retries": _RETRIES,
    **dict.fromkeys(("debug", "log", "log_level", "logging"), _LOG),
    **dict.fromkeys(("env_file", "dotenv_path", "env", "_env_file"), "write Router.from_env(dotenv='.env')"),
    "load_dotenv": "the file .env is read, unless Router.from_env(dotenv=None) is written",
    **dict.fromkeys(("config", "config_file", "config_path", "settings"), "write Router.from_config('turnout.yaml')"),
    **dict.fromkeys(("temperature", "max_tokens"), "it is given to each call: router.chat('openai/…', '…', …)"),
}
_ARGUMENTS = ("providers", "policy", "transport", "seed", "on_trace", "cache", "shared")
_OF_FROM_ENV = ("dotenv", "environ", "transport", "seed", "on_trace", "cache", "shared", "entries")


def unknown_router_argument(name: str) -> TypeError:
    """Return the error for a keyword that `Router` does not have."""
    return TypeError(f"Router has no {name!r}: {router_argument(name)}")


def router_argument(name: str) -> str:
    """Return where a setting belongs that `Router` does not have."""
    if name in POLICY_OF_CALL | POLICY_OF_ROUTER and name not in _OF_ROUTER:
        advice = f"write Router(…, policy=Policy({name}=…)), or Router.from_env({name}=…)"
    elif name in _ARGUMENTS:
        advice = f"write Router(…, {name}=…)"
    elif name in _OF_FROM_ENV:
        advice = f"write Router.from_env({name}=…)"
    else:
        advice = _OF_ROUTER.get(name) or f"a router has {', '.join(_ARGUMENTS[:-1])} and {_ARGUMENTS[-1]}"
    return advice


_KEY = "write api_key=…"
_BASE_URL = "write base_url=…"
_OF_CREATE = {
    **dict.fromkeys(("key", "token", "apikey", "apiKey", "api_token", "auth_token"), _KEY),
    **dict.fromkeys(("endpoint", "api_base", "host", "url", "azure_endpoint"), _BASE_URL),
    **dict.fromkeys(("default_headers", "extra_headers"), "write headers={…}"),
    **dict.fromkeys(("timeout", "request_timeout"), "it is of the router or of a call: Router.from_env(timeout=…)"),
    **dict.fromkeys(("max_retries", "num_retries"), "it is of the router: Router.from_env(max_retries=…)"),
    **dict.fromkeys(("http_client", "transport", "proxy", "proxies"), "write Router(…, transport=…)"),
    **dict.fromkeys(("model", "model_id", "models"), "the model is given to each call: router.chat('openai/…', '…')"),
    **dict.fromkeys(("default_query", "extra_query"), "write the query into the base_url, if it takes one"),
    **dict.fromkeys(("deployment", "azure_deployment", "deployment_id"), "the deployment is the model: 'azure/…'"),
}
_OF_CREATE_AT: Mapping[str, Mapping[str, str]] = {
    "gemini": {
        **dict.fromkeys(("vertexai", "project", "location"), "write vertex=True, vertex_project=…, vertex_location=…"),
    },
    "bedrock": {
        **dict.fromkeys(("region_name", "aws_region_name", "aws_region"), "write region='…'"),
        **dict.fromkeys(
            ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "profile_name", "aws_profile_name"),
            "set the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write auth=…",
        ),
    },
}
_CREATE = ("name", "api_key", "base_url", "api", "unsupported", "headers", "reasoning_replay", "idempotency_header")


def unknown_setting_of_provider(provider: str, names: Iterable[str]) -> ValueError:
    """Return the error for keywords that `turnout.providers.create` does not have for a provider."""
    names = list(names)
    known = {**_OF_CREATE, **_OF_CREATE_AT.get(provider, {})}
    advice = next((known[name] for name in names if name in known), None)
    near = nearest(names[0], _CREATE, 1, CLOSE)
    end = f": {advice}" if advice else f"; did you mean {near[0]}?" if near else ""
    return ValueError(f"{provider} takes no setting named {', '.join(names)}{end}")


def advice_for_from_env(name: str, policy: Iterable[str]) -> str:
    """Return the end of the error for a keyword that neither `Router.from_env` nor a policy has.

    Args:
        name: The keyword.
        policy: The fields of `Policy`.
    """
    if name == "policy":
        return ": write the fields of the policy as keywords, as in Router.from_env(timeout=30)"
    if name in _OF_ROUTER:
        return f": {_OF_ROUTER[name]}"
    if name == "providers":
        return ": all of the catalog are there; write Router([…]) for some, or entries=[…] for your own"
    if name.endswith(("_api_key", "_key", "_token")):
        return f": keys are read from variables: write environ={{'{name.upper()}': '…'}}, or set the variable"
    return did_you_mean(name, (*policy, *_OF_FROM_ENV), CLOSE)
