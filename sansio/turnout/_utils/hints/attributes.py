"""Names the right spelling for attributes that other libraries have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout._utils.hints.keywords import CLOSE, NO_STREAM
from turnout._utils.names import nearest

__all__ = ["missing_attribute"]

_TEXT = "the text is reply.text"
_PIECES = "iterate over stream.text"
_SECONDS = "the last entry has the seconds from the start: {}.entries[-1].at"
_RAISED = "an answer is always a success: a failed call raises a TurnoutError, with its status in error.status"
_NOT_OFFERED = "Turnout has chat, stream, run, embed, rerank, count_tokens and models, and no other API of a provider"

_ANSWER = {
    **dict.fromkeys(("candidates", "generations", "data", "result", "answer", "completion", "delta"), _TEXT),
    **dict.fromkeys(("strip", "split", "splitlines", "lower", "upper", "replace", "startswith", "encode"), _TEXT),
    **dict.fromkeys(("response", "response_text", "message_content", "get_text", "final_output"), _TEXT),
    **dict.fromkeys(("to_json", "model_dump_json", "json"), "write json.dumps(reply.to_dict())"),
    **dict.fromkeys(("as_dict", "asdict", "dict", "model_dump"), "write reply.to_dict()"),
    **dict.fromkeys(("tokens", "total_tokens", "usage_metadata", "num_tokens"), "it is reply.usage.total_tokens"),
    "response_metadata": "they are reply.finish_reason, reply.usage, reply.served_model and reply.response_id",
    "_hidden_params": "the cost is reply.usage.cost; the rest is in reply.trace",
    "model_name": "the model of the request is reply.model; the provider's name of it is reply.served_model",
    **dict.fromkeys(("latency", "duration", "elapsed", "latency_ms", "response_ms"), _SECONDS.format("reply.trace")),
    **dict.fromkeys(("status_code", "ok", "error", "raise_for_status"), _RAISED),
    **dict.fromkeys(("retries", "num_retries", "fallback_used"), "it is reply.trace.attempts; print(reply.trace)"),
    **dict.fromkeys(("cost_usd", "total_cost", "response_cost"), "it is reply.usage.cost"),
    **dict.fromkeys(("system_fingerprint", "object", "stop_sequence", "additional_kwargs"), "it is in reply.raw"),
    "annotations": "they are reply.citations",
    "is_complete": "it is reply.complete",
    "history": "the message for the next turn is reply.message",
    "all_messages": "the message for the next turn is reply.message; of router.run(…), all are run.messages",
    "choices": "the text is reply.text, the calls of tools are reply.tool_calls",
    "content": "the text is reply.text, all parts are reply.message.content",
    "output_text": "the text is reply.text",
    "output": "the text is reply.text, all parts are reply.message.content",
    "output_parsed": "write reply.parsed(…) with the class",
    "id": "the provider's id is reply.response_id",
    "role": "the message is reply.message",
    "created": "the time of the call is reply.trace.started_at",
    "stop_reason": "it is reply.finish_reason",
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
_RUN = {
    **dict.fromkeys(("output", "final_output", "content", "output_text", "data", "result", "answer"), "write run.text"),
    **dict.fromkeys(("all_messages", "new_messages", "history", "to_input_list"), "the conversation is run.messages"),
    **dict.fromkeys(("steps", "turns", "new_items", "intermediate_steps"), "they are run.rounds"),
    "trace": "each round has its own: run.response.trace of the last; run.explain() describes all",
    "model": "it is run.response.model",
    "finish_reason": "it is run.response.finish_reason",
    "message": "it is run.response.message; all are run.messages",
    "tool_calls": "they are in the rounds: run.rounds[0].response.tool_calls",
    "cost": "it is run.usage.cost",
}
_MODEL = {
    **dict.fromkeys(("name", "model", "model_id", "model_name"), "it is model.id"),
    "context_length": "it is model.context_window",
}
_USAGE = {
    **dict.fromkeys(("prompt_token_count", "request_tokens", "input"), "it is usage.prompt_tokens"),
    **dict.fromkeys(("candidates_token_count", "response_tokens", "output"), "it is usage.completion_tokens"),
    **dict.fromkeys(("total_token_count", "total"), "it is usage.total_tokens"),
    **dict.fromkeys(("total_cost", "cost_usd", "response_cost"), "it is usage.cost"),
    "cache_read_input_tokens": "it is usage.cached_tokens",
    "cache_creation_input_tokens": "it is usage.cache_write_tokens",
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
    **dict.fromkeys(("iter_text", "iter_lines", "iter_content", "stream_text", "content", "tokens"), _PIECES),
    **dict.fromkeys(("events", "iter_events", "stream_events", "chunks"), "iterate over the stream itself"),
    **dict.fromkeys(("final", "final_response", "get_output", "result", "until_complete"), "write stream.collect()"),
    **dict.fromkeys(("cancel", "stop", "abort"), "write stream.close(), or leave the `with` block"),
    **dict.fromkeys(("finish_reason", "message", "tool_calls"), "after the end, it is in stream.response"),
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
_EACH_CALL = "the model and its settings are given to each call: router.chat('openai/…', '…', temperature=0.2)"
_EMBED = 'write router.embed("openai/text-embedding-3-small", ["a text"])'
_CHAT = 'write router.chat("openai/gpt-4o-mini", "Why do points freeze?")'
_ASYNC_CHAT = f"the routers of turnout_io.asyncio and turnout_io.trio are async: {_CHAT}"
_ROUTER = {
    **dict.fromkeys(("list", "get_models", "available_models"), "write router.models('openai'), or router.statuses()"),
    **dict.fromkeys(("config", "settings", "timeout", "max_retries"), "the settings are router.policy"),
    **dict.fromkeys(("stats", "metrics", "status"), "write router.health(), or Router.from_env(on_trace=Metrics())"),
    **dict.fromkeys(
        ("usage", "total_cost", "total_tokens"), "each answer has its own: reply.usage; on_trace=… can add them up"
    ),
    **dict.fromkeys(("tokens", "get_num_tokens"), "write router.count_tokens(…)"),
    **dict.fromkeys(
        ("routes", "aliases"), "write router.add_route(…) and router.remove_route(…); calls name 'route/fast'"
    ),
    **dict.fromkeys(("moderate", "moderations", "images", "image", "audio", "speech", "transcribe"), _NOT_OFFERED),
    **dict.fromkeys(("realtime", "assistants", "threads", "files", "fine_tuning", "vector_stores"), _NOT_OFFERED),
    **dict.fromkeys(("run_stream", "stream_run", "run_streamed"), NO_STREAM),
    **dict.fromkeys(("client", "beta", "aio", "generate_content", "acreate", "post", "predict"), _CHAT),
    **dict.fromkeys(("bind", "with_config", "model", "default_model"), _EACH_CALL),
    **dict.fromkeys(("embed_query", "embed_documents", "aembed", "aembedding"), _EMBED),
    **dict.fromkeys(("is_healthy", "ping", "health_check"), "write router.health(), which sends nothing"),
    "with_fallbacks": "fallbacks are given to each call: router.chat(…, fallbacks=['groq/…'])",
    "with_retry": "retries are of the router or of a call: Router.from_env(max_retries=…)",
    "set_model_list": "routes are made with router.add_route(…), or with Router.from_config('turnout.yaml')",
    "get_embedding": _EMBED,
    "run_sync": "write router.run(…, tools=[function]), or router.chat(…); turnout_io.sync has blocking code",
    "structured": "write router.chat(…, response_format=City).parsed(City)",
    "as_retriever": "write router.embed(…) or router.rerank(…)",
    "bind_tools": "write router.chat(…, tools=[function]), or router.run(…, tools=[function])",
    "with_structured_output": "write router.chat(…, response_format=City).parsed(City)",
    "completion": _CHAT,
    "acompletion": _ASYNC_CHAT,
    "completions": _CHAT,
    "create": _CHAT,
    "complete": _CHAT,
    "generate": _CHAT,
    "messages": _CHAT,
    "responses": _CHAT,
    "embedding": _EMBED,
    "embeddings": _EMBED,
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
_TRACE = {
    **dict.fromkeys(("to_json", "model_dump_json", "json"), "write json.dumps(trace.to_dict())"),
    **dict.fromkeys(("as_dict", "asdict", "dict", "model_dump"), "write trace.to_dict()"),
    **dict.fromkeys(("print", "show", "summary", "pretty", "text", "format", "log"), "write print(trace.explain())"),
    **dict.fromkeys(("latency", "duration", "elapsed", "seconds", "total_time"), _SECONDS.format("trace")),
    **dict.fromkeys(("events", "steps", "spans", "decisions", "records", "items"), "they are trace.entries"),
    **dict.fromkeys(("provider", "model", "answered_by", "winner"), "it is trace.candidate"),
    **dict.fromkeys(
        ("html", "to_html", "view", "plot"), "store it with TraceRecorder; turnout trace view FILE shows it"
    ),
    **dict.fromkeys(("usage", "tokens", "total_tokens"), "they are reply.usage; of all attempts, trace.cost"),
    **dict.fromkeys(("start_time", "started", "timestamp", "created"), "it is trace.started_at"),
    **dict.fromkeys(("errors", "error", "failures", "exception"), "the entries of kind 'failed' have their reasons"),
}
_HABITS: Mapping[str, Mapping[str, str]] = {
    "ChatResponse": _ANSWER,
    "Usage": _USAGE,
    "ToolRun": _RUN,
    "ModelInfo": _MODEL,
    "EmbeddingResponse": _EMBEDDING,
    "Vectors": _VECTORS,
    "RerankResponse": _RERANK,
    "ChatStream": _STREAM,
    "AsyncChatStream": _STREAM,
    "Router": _ROUTER,
    "Event": _EVENT,
    "Trace": _TRACE,
}


def missing_attribute(owner: object, name: str, family: str | None = None) -> AttributeError:
    """Return the error for an attribute that `owner` does not have, with the spelling that was probably meant.

    Args:
        owner: The object.
        name: The attribute.
        family: The name of the table, if it is not that of the class.
    """
    kind = type(owner).__name__
    text = f"{kind!r} object has no attribute {name!r}"
    advice = _HABITS.get(family or kind, {}).get(name)
    if advice is not None:
        # Do not pass `name`: Python would then add another suggestion.
        return AttributeError(f"{text}: {advice}")
    if name.startswith("_"):  # a protocol of Python or of another library, which asks whether it is there
        return AttributeError(text, name=name, obj=owner)
    return _SearchedLater(type(owner), name)


class _SearchedLater(AttributeError):
    """The error for a name that is searched for when somebody reads it.

    `getattr` with a default and `hasattr` read no error, and the search takes longer than most of what asks so.
    """

    def __init__(self, kind: type, name: str) -> None:
        super().__init__()
        self._asked = kind, name

    def __str__(self) -> str:
        kind, name = self._asked
        return f"{kind.__name__!r} object has no attribute {name!r}{_nearest_or_all(kind, name)}"

    def __repr__(self) -> str:
        return f"AttributeError({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return AttributeError, (str(self),)


# Tracebacks show the class with its module.
_SearchedLater.__module__, _SearchedLater.__qualname__ = "builtins", "AttributeError"


def _nearest_or_all(kind: type, name: str) -> str:
    # `hasattr` leaves out what the class only refuses with a hint.
    known = [each for each in dir(kind) if not each.startswith("_") and hasattr(kind, each)]
    near = nearest(name, known, 1, CLOSE)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}"
