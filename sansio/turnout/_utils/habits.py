"""Names the right spelling for attributes that other libraries have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from turnout._utils.names import did_you_mean, nearest

__all__ = [
    "CLOSE",
    "FALLBACKS",
    "POLICY_OF_CALL",
    "POLICY_OF_ROUTER",
    "ROOT",
    "advice_for_from_env",
    "habit_of_root",
    "missing_attribute",
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
# A name that is less similar than this is probably not a wrong spelling of the other one.
CLOSE = 0.8

_ANSWER = {
    "choices": "the text is reply.text, the calls of tools are reply.tool_calls",
    "content": "the text is reply.text, all parts are reply.message.content",
    "output_text": "the text is reply.text",
    "output": "the text is reply.text, all parts are reply.message.content",
    "output_parsed": "write reply.parsed(…) with the class",
    "id": "the provider's id is reply.response_id",
    "role": "the message is reply.message",
    "created": "the time of the call is reply.trace.started_at",
    "stop_reason": "it is reply.finish_reason",
    "model_dump": "write reply.to_dict()",
    "model_dump_json": "write json.dumps(reply.to_dict())",
    "dict": "write reply.to_dict()",
    "json": "write json.dumps(reply.to_dict())",
    "thinking": "it is reply.reasoning",
    "reasoning_content": "it is reply.reasoning",
    "cost": "it is reply.usage.cost",
    "provider": "it is reply.model.provider",
    "raw_response": "the provider's own JSON is reply.raw",
    "raw_output": "the provider's own JSON is reply.raw",
    "headers": "of the headers, reply.request_id and reply.rate_limit are kept",
    "explain": "write reply.trace.explain()",
    "attempts": "it is reply.trace.attempts",
    "value": "the text is reply.text; write reply.parsed(…) with the class",
    "parsed_output": "write reply.parsed(…) with the class",
}
_USAGE = {
    "dict": "write usage.to_dict()",
    "model_dump": "write usage.to_dict()",
    "input_tokens": "it is usage.prompt_tokens",
    "output_tokens": "it is usage.completion_tokens",
    "prompt_tokens_details": "cached tokens are usage.cached_tokens",
    "completion_tokens_details": "reasoning tokens are usage.reasoning_tokens",
}
_EMBEDDING = {
    "data": "the vectors are response.vectors",
    "embeddings": "the vectors are response.vectors",
    "embedding": "the first vector is response.vectors[0]",
    "vector": "the first vector is response.vectors[0]",
}
_LISTS = "write vectors.tolist(): lists of numbers; of one vector, vectors[0].tolist()"
_ARRAY = "write numpy.asarray(vectors), which copies nothing"
_VECTORS = {
    **dict.fromkeys(("to_list", "values", "to_dict", "aslist"), _LISTS),
    **dict.fromkeys(("numpy", "to_numpy", "T", "dtype", "astype", "dot", "mean"), _ARRAY),
    "shape": "it is (len(vectors), vectors.dimensions)",
    "ndim": _ARRAY,
    "dimension": "it is vectors.dimensions",
    "embedding": "write vectors[0], or vectors[0].tolist() for a list of numbers",
    "embeddings": "they are the items: vectors[0], or vectors.tolist() for lists of numbers",
}
_RERANK = {
    "results": "the documents, the most relevant first, are response.documents",
    "data": "the documents, the most relevant first, are response.documents",
    "rankings": "the documents, the most relevant first, are response.documents",
}
_STREAM = {
    "text_stream": "iterate over stream.text",
    "get_final_message": "write stream.collect()",
    "get_final_text": "write stream.collect().text",
    "get_final_response": "write stream.collect()",
    "until_done": "write stream.collect()",
    "get_final_completion": "write stream.collect()",
    "text_deltas": "iterate over stream.text",
    "read": "iterate over the events of the stream, or over stream.text",
    "choices": "iterate over the events of the stream, or over stream.text",
    "usage": "it is stream.response.usage",
}
_EVENT = {
    "choices": "a piece of the text is event.delta of a Token; stream.text has the pieces alone",
    "text": "a piece of the text is event.delta of a Token; stream.text has the pieces alone",
    "content": "a piece of the text is event.delta of a Token; stream.text has the pieces alone",
    "delta": "only some events have it: check event.type == 'token' first, or iterate over stream.text",
}
_CHAT = 'write router.chat("openai/gpt-4o-mini", "Why do points freeze?")'
_ASYNC_CHAT = f"the routers of turnout_io.asyncio and turnout_io.trio are async: {_CHAT}"
_ROUTER = {
    "completion": _CHAT,
    "acompletion": _ASYNC_CHAT,
    "completions": _CHAT,
    "create": _CHAT,
    "complete": _CHAT,
    "generate": _CHAT,
    "messages": _CHAT,
    "responses": _CHAT,
    "embedding": 'write router.embed("openai/text-embedding-3-small", ["a text"])',
    "embeddings": 'write router.embed("openai/text-embedding-3-small", ["a text"])',
    "chat_stream": "write router.stream(…)",
    "providers": "write router.statuses()",
    "close": "write await router.aclose(), or use the router in `async with`",
    "aclose": "write router.close(), or use the router in `with`",
    "ask": _CHAT,
    "prompt": _CHAT,
    "invoke": _CHAT,
    "query": _CHAT,
    "achat": _ASYNC_CHAT,
    "ainvoke": _ASYNC_CHAT,
    "parse": "write router.chat(…, response_format=City).parsed(City)",
    "stream_chat": "write router.stream(…)",
    "astream": "write router.stream(…)",
    "list_models": "write router.models('openai')",
    "token_counter": "write router.count_tokens(…)",
    "with_options": "options are given to each call: router.chat(…, timeout=…)",
    "with_raw_response": "the provider's own JSON is reply.raw",
    "batch": "many rows are turnout_io.batch.run (docs/batch.md)",
    "abatch_completion": "many rows are turnout_io.batch.run (docs/batch.md)",
    "cost": "it is reply.usage.cost; prices are Router.from_env(prices=…)",
    "set_cooldown": "write router.cool_down('openai/gpt-4o-mini', seconds)",
    "explain": "write router.explain_plan(request), or reply.trace.explain()",
    "add_provider": "write router.register(provider)",
    "add_deployment": "write router.add_route(Route('fast', ['openai/…', …])), with Route of turnout.routing",
    "model_list": "routes are made with router.add_route(…); router.health() has the state of each model",
    "get_available_deployment": "write router.explain_plan(request)",
    "trace": "each answer and each error has its own: reply.trace",
    "last_trace": "each answer and each error has its own: reply.trace",
}
_HABITS: Mapping[str, Mapping[str, str]] = {
    "ChatResponse": _ANSWER,
    "Usage": _USAGE,
    "EmbeddingResponse": _EMBEDDING,
    "Vectors": _VECTORS,
    "RerankResponse": _RERANK,
    "ChatStream": _STREAM,
    "AsyncChatStream": _STREAM,
    "Router": _ROUTER,
    "Event": _EVENT,
}


_IN_SYNC = "it is in turnout_io.sync, turnout_io.trio and turnout_io.asyncio: from turnout_io.sync import Router"
_IN_ERRORS = "it is in turnout.errors: from turnout.errors import {}"
_IN_ROUTING = "it is in turnout.routing: from turnout.routing import {}"
_BY_ROUTER = "a router makes calls: from turnout_io.sync import Router; Router.from_env().chat(…)"
ROOT = {
    "Router": _IN_SYNC,
    "AsyncRouter": "it is in turnout_io.trio and turnout_io.asyncio: from turnout_io.asyncio import Router",
    "ChatStream": _IN_SYNC.replace("import Router", "import ChatStream"),
    **{
        name: _IN_ROUTING.format(name)
        for name in ("BreakerPolicy", "Choice", "Hedge", "Limit", "Policy", "Price", "Route", "Timeouts")
    },
    "RateLimitError": _IN_ERRORS.format("RateLimited"),
    "AuthenticationError": _IN_ERRORS.format("AuthenticationFailed"),
    "BadRequestError": _IN_ERRORS.format("InvalidRequest"),
    "NotFoundError": _IN_ERRORS.format("NotFound"),
    "ContextWindowExceededError": _IN_ERRORS.format("ContextLengthExceeded"),
    "APIConnectionError": "from turnout import TransportError",
    "APIError": "from turnout import ProviderError",
    "APIStatusError": "from turnout import ProviderError",
    "OpenAIError": "from turnout import TurnoutError",
    "Timeout": "from turnout import DeadlineExceeded; the timers are turnout.routing.Timeouts",
    "APITimeoutError": "from turnout import DeadlineExceeded",
    "completion": _BY_ROUTER,
    "acompletion": _BY_ROUTER.replace("sync", "asyncio"),
    "chat": _BY_ROUTER,
    "embedding": _BY_ROUTER.replace("chat", "embed"),
    "Client": _BY_ROUTER,
    "OpenAI": _BY_ROUTER,
    "AsyncOpenAI": _BY_ROUTER.replace("sync", "asyncio"),
    "LiteLLM": _BY_ROUTER,
    "Anthropic": _BY_ROUTER,
    "stream": _BY_ROUTER.replace("chat", "stream"),
    "responses": _BY_ROUTER,
    **dict.fromkeys(("UserMessage", "HumanMessage"), "write Message.user('…')"),
    **dict.fromkeys(("AssistantMessage", "AIMessage"), "write Message.assistant('…')"),
    "SystemMessage": "write Message.system('…')",
    "ToolMessage": "write Message.tool(call, '…')",
    "tool": "write Tool.of(function), or router.run(…, tools=[function])",
    "Conversation": "a conversation is a list of messages: router.chat(model, [Message.user('…'), …])",
    "api_key": "a key is in the variable OPENAI_API_KEY, or given to turnout.providers.create('openai', api_key='…')",
    "set_verbose": "set the variable TURNOUT_LOG=debug, or use the logger 'turnout'",
    "MemoryCache": "it is in turnout_io.caching: from turnout_io.caching import MemoryCache",
    "Metrics": "it is in turnout_io.metrics: from turnout_io.metrics import Metrics",
    "OpenTelemetry": "it is in turnout_io.otel: from turnout_io.otel import OpenTelemetry",
    "create": "it is in turnout.providers: from turnout.providers import create",
}
"""The names that people look for in the package `turnout`, and where they are."""

_FAILURES = "write consecutive_failures=…"
_BREAK = "write break_duration=…"
_WHOLE_CALL = "seconds for the whole call are Policy(timeout=…)"
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
    """Return the error for a field that a class of settings does not have, with the one that was probably meant."""
    advice = _SETTINGS.get(kind, {}).get(name) or (_OF_ROUTER.get(name) if kind == "Policy" else None)
    return TypeError(f"{kind} has no {name!r}{f': {advice}' if advice else did_you_mean(name, known, CLOSE)}")


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
_OF_ROUTER = {
    "api_key": "a key belongs to a provider: Router([turnout.providers.create('openai', api_key='…')])",
    "base_url": "a base URL belongs to a provider: Router([turnout.providers.create('openai', base_url='…')])",
    "endpoint": "it belongs to a provider: Router([turnout.providers.create('openai', base_url='…')])",
    "api_base": "it belongs to a provider: Router([turnout.providers.create('openai', base_url='…')])",
    "api": "it belongs to a provider: Router([turnout.providers.create('openai', api=…)])",
    "headers": "headers belong to a provider: Router([turnout.providers.create('openai', headers={…})])",
    "default_headers": "headers belong to a provider: Router([turnout.providers.create('openai', headers={…})])",
    "unsupported": "it belongs to a provider: Router([turnout.providers.create('openai', unsupported=…)])",
    "model": "the model is given to each call: router.chat('openai/gpt-4o-mini', '…')",
    "model_list": _ROUTE,
    "routes": _ROUTE,
    "fallbacks": FALLBACKS,
    "context_window_fallbacks": _FALLBACKS_BY_CLASS,
    "content_policy_fallbacks": _FALLBACKS_BY_CLASS,
    "default_fallbacks": FALLBACKS,
    "callback": _TRACES,
    "callbacks": _TRACES,
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
    "set_verbose": "set the variable TURNOUT_LOG=debug, or use the logger 'turnout'",
    "verbose": "set the variable TURNOUT_LOG=debug, or use the logger 'turnout'",
    "routing_strategy": "it belongs to a route: router.add_route(Route('fast', […], strategy='lowest-latency'))",
    "request_timeout": "it is timeout of a Policy, or Router.from_env(timeout=…)",
    "num_retries": _RETRIES,
    "retries": _RETRIES,
}
_ARGUMENTS = ("providers", "policy", "transport", "seed", "on_trace", "cache", "shared")
_OF_FROM_ENV = ("dotenv", "environ", "transport", "seed", "on_trace", "cache", "shared", "entries")


def habit_of_root(name: str, errors: Collection[str]) -> str | None:
    """Return where a name is that people look for in `turnout`; None if it is nowhere.

    Args:
        name: What `turnout` does not have.
        errors: The names of `turnout.errors`.
    """
    return ROOT.get(name) or (_IN_ERRORS.format(name) if name in errors else None)


def unknown_router_argument(name: str) -> TypeError:
    """Return the error for a keyword that `Router` does not have."""
    if name in POLICY_OF_CALL | POLICY_OF_ROUTER and name not in _OF_ROUTER:
        advice = f"write Router(…, policy=Policy({name}=…)), or Router.from_env({name}=…)"
    elif name in _OF_FROM_ENV and name not in _ARGUMENTS:
        advice = f"write Router.from_env({name}=…)"
    else:
        advice = _OF_ROUTER.get(name, f"it has {', '.join(_ARGUMENTS[:-1])} and {_ARGUMENTS[-1]}")
    return TypeError(f"Router has no {name!r}: {advice}")


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
    "organization": "write headers={'OpenAI-Organization': '…'}",
    "project": "write headers={'OpenAI-Project': '…'}",
}
_CREATE = ("name", "api_key", "base_url", "api", "unsupported", "headers", "reasoning_replay", "idempotency_header")


def unknown_setting_of_provider(provider: str, names: Iterable[str]) -> ValueError:
    """Return the error for keywords that `turnout.providers.create` does not have for a provider."""
    names = list(names)
    advice = next((_OF_CREATE[name] for name in names if name in _OF_CREATE), None)
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
    return did_you_mean(name, (*policy, *_OF_FROM_ENV), CLOSE)


def missing_attribute(owner: object, name: str, family: str | None = None) -> AttributeError:
    """Return the error for an attribute that `owner` does not have, with the spelling that was probably meant.

    Args:
        owner: The object.
        name: The attribute.
        family: The name of the table, if it is not that of the class.
    """
    kind = type(owner).__name__
    advice = _HABITS.get(family or kind, {}).get(name)
    if advice is None:
        return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=owner)
    # Do not pass `name`: Python would then add another suggestion.
    return AttributeError(f"{kind!r} object has no attribute {name!r}: {advice}")
