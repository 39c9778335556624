"""Names the right spelling for attributes that other libraries have."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ROOT", "missing_attribute", "unknown_router_argument"]

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
}
_USAGE = {
    "input_tokens": "it is usage.prompt_tokens",
    "output_tokens": "it is usage.completion_tokens",
    "prompt_tokens_details": "cached tokens are usage.cached_tokens",
    "completion_tokens_details": "reasoning tokens are usage.reasoning_tokens",
}
_EMBEDDING = {
    "data": "the vectors are response.vectors",
    "embeddings": "the vectors are response.vectors",
    "embedding": "the first vector is response.vectors[0]",
}
_STREAM = {
    "text_stream": "iterate over stream.text",
    "get_final_message": "write stream.collect()",
    "get_final_text": "write stream.collect().text",
    "get_final_response": "write stream.collect()",
    "until_done": "write stream.collect()",
    "choices": "iterate over the events of the stream, or over stream.text",
    "usage": "it is stream.response.usage",
}
_CHAT = 'write router.chat("openai/gpt-4o-mini", "Why do points freeze?")'
_ROUTER = {
    "completion": _CHAT,
    "acompletion": _CHAT,
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
    "add_provider": "write router.register(provider)",
}
_HABITS: Mapping[str, Mapping[str, str]] = {
    "ChatResponse": _ANSWER,
    "Usage": _USAGE,
    "EmbeddingResponse": _EMBEDDING,
    "ChatStream": _STREAM,
    "AsyncChatStream": _STREAM,
    "Router": _ROUTER,
}


_IN_SYNC = "it is in turnout_io.sync, turnout_io.trio and turnout_io.asyncio: from turnout_io.sync import Router"
_BY_ROUTER = "a router makes calls: from turnout_io.sync import Router; Router.from_env().chat(…)"
ROOT = {
    "Router": _IN_SYNC,
    "AsyncRouter": "it is in turnout_io.trio and turnout_io.asyncio: from turnout_io.asyncio import Router",
    "ChatStream": _IN_SYNC.replace("import Router", "import ChatStream"),
    "Policy": "it is in turnout.routing: from turnout.routing import Policy",
    "Price": "it is in turnout.routing: from turnout.routing import Price",
    "completion": _BY_ROUTER,
    "acompletion": _BY_ROUTER.replace("sync", "asyncio"),
    "chat": _BY_ROUTER,
    "embedding": _BY_ROUTER.replace("chat", "embed"),
    "Client": _BY_ROUTER,
    "OpenAI": _BY_ROUTER,
    "create": "it is in turnout.providers: from turnout.providers import create",
}
"""The names that people look for in the package `turnout`, and where they are."""

_OF_ROUTER = {
    "api_key": "a key belongs to a provider: Router([turnout.providers.create('openai', api_key='…')])",
    "base_url": "a base URL belongs to a provider: Router([turnout.providers.create('openai', base_url='…')])",
    "max_retries": "write Router(…, policy=Policy(max_retries=…)), or Router.from_env(max_retries=…)",
    "timeout": "write Router(…, policy=Policy(timeout=…)), or Router.from_env(timeout=…)",
    "model": "the model is given to each call: router.chat('openai/gpt-4o-mini', '…')",
    "model_list": "write router.add_route(Route('name', ['openai/gpt-4o-mini', …]))",
    "fallbacks": "fallbacks are given to each call: router.chat(…, fallbacks=['groq/…'])",
}


def unknown_router_argument(name: str) -> TypeError:
    """Return the error for a keyword that `Router` does not have."""
    known = "providers, policy, transport, seed, on_trace and shared"
    return TypeError(f"Router has no {name!r}: {_OF_ROUTER.get(name, f'it has {known}')}")


def missing_attribute(owner: object, name: str) -> AttributeError:
    """Return the error for an attribute that `owner` does not have, with the spelling that was probably meant."""
    kind = type(owner).__name__
    advice = _HABITS.get(kind, {}).get(name)
    if advice is None:
        return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=owner)
    # Do not pass `name`: Python would then add another suggestion.
    return AttributeError(f"{kind!r} object has no attribute {name!r}: {advice}")
