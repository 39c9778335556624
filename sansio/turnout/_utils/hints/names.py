"""Names the module of a name that was looked for elsewhere, and the name here for one of another library."""

from __future__ import annotations

import sys
from collections.abc import Collection
from opcode import opmap
from types import FrameType

from turnout._utils.hints.keywords import CLOSE, router_argument
from turnout._utils.names import nearest

__all__ = ["ROOT", "habit_of_root", "missing_name", "refusal", "setting_of_root"]

_IN_SYNC = "it is in turnout_io.sync, turnout_io.trio and turnout_io.asyncio: from turnout_io.sync import Router"
_IN_ERRORS = "from turnout.errors import {}"
_IN_ROUTING = "from turnout.routing import {}"
_ANY_FAILURE = "from turnout import TurnoutError: any failure of a call; one with a status is a ProviderError"
_NO_ANSWER = "from turnout.errors import TransportError, DeadlineExceeded: the connection failed; no time was left"
_NO_TIME = "from turnout.errors import DeadlineExceeded, TimedOut: the call has a deadline, each attempt its own timers"
_NOT_READ = "from turnout.errors import RemoteProtocolError: the answer was not what the protocol says"
_STORES = (
    "from turnout_io.caching import MemoryCache; for another store, write a class with the methods get and put "
    "(docs/how-to/caching.md)"
)
_BY_ROUTER = "a router makes calls: from turnout_io.sync import Router; Router.from_env().chat(…)"
ROOT = {
    **dict.fromkeys(("ServiceUnavailableError", "OverloadedError"), _IN_ERRORS.format("Overloaded")),
    "InternalServerError": _IN_ERRORS.format("ServerError, Overloaded"),
    "BadGatewayError": _IN_ERRORS.format("ServerError"),
    "PermissionDeniedError": _IN_ERRORS.format("PermissionDenied"),
    "UnprocessableEntityError": _IN_ERRORS.format("InvalidRequest"),
    "UnsupportedParamsError": _IN_ERRORS.format("InvalidRequest"),
    "ContextWindowExceeded": _IN_ERRORS.format("ContextLengthExceeded"),
    **dict.fromkeys(("ContentPolicyViolationError", "ContentFilterError"), _IN_ERRORS.format("ContentFiltered")),
    "BudgetExceededError": _IN_ERRORS.format("BudgetExceeded"),
    **dict.fromkeys(("InsufficientQuotaError", "QuotaExceededError"), _IN_ERRORS.format("QuotaExceeded")),
    **dict.fromkeys(("ConnectError", "ConnectionError"), _IN_ERRORS.format("ConnectFailed")),
    "ConnectTimeout": _IN_ERRORS.format("ConnectFailed"),
    **dict.fromkeys(("ReadTimeout", "WriteTimeout", "PoolTimeout"), _IN_ERRORS.format("TimedOut")),
    **dict.fromkeys(("ReadError", "WriteError", "NetworkError"), "from turnout import TransportError"),
    **dict.fromkeys(("HTTPStatusError", "ModelHTTPError", "APIStatusError"), "from turnout import ProviderError"),
    **dict.fromkeys(("RequestError", "APIConnectionError"), _NO_ANSWER),
    **dict.fromkeys(("TimeoutError", "TimeoutException", "APITimeoutError"), _NO_TIME),
    **dict.fromkeys(("APIResponseValidationError", "DecodingError", "JSONDecodeError"), _NOT_READ),
    **dict.fromkeys(("APIError", "HTTPError", "OpenAIError", "AnthropicError", "LiteLLMError"), _ANY_FAILURE),
    **dict.fromkeys(("StreamError", "StreamClosed"), "from turnout import StreamInterrupted"),
    **dict.fromkeys(("AgentRunError", "UnexpectedModelBehavior"), _ANY_FAILURE),
    "Stream": "from turnout_io.sync import ChatStream",
    **dict.fromkeys(
        ("Config", "Settings", "settings"), "the settings are turnout.routing.Policy, or Router.from_env(…)"
    ),
    "Agent": "write router.run(…, tools=[function])",
    **dict.fromkeys(("Completion", "ChatCompletion", "ModelResponse"), "from turnout import ChatResponse"),
    "VERSION": "it is turnout.__version__",
    "Embedding": "from turnout import EmbeddingResponse",
    "CircuitBreaker": _IN_ROUTING.format("BreakerPolicy"),
    "RetryPolicy": _IN_ROUTING.format("Policy"),
    "Provider": "it is in turnout.providers: from turnout.providers import create",
    "TraceRecorder": "it is in turnout_io.recorder: from turnout_io.recorder import TraceRecorder",
    "PriceList": "it is in turnout_io.price_list: from turnout_io.price_list import PriceList",
    "Sandbox": "it is in turnout_io.sandbox: from turnout_io.sandbox import Sandbox",
    "Router": _IN_SYNC,
    "AsyncRouter": "it is in turnout_io.trio and turnout_io.asyncio: from turnout_io.asyncio import Router",
    "ChatStream": _IN_SYNC.replace("import Router", "import ChatStream"),
    **{
        name: _IN_ROUTING.format(name)
        for name in ("BreakerPolicy", "Choice", "Hedge", "Limit", "Policy", "Price", "Route", "Timeouts")
    },
    "RateLimitError": _IN_ERRORS.format("RateLimited, QuotaExceeded") + ": too many requests; no credit is left",
    "AuthenticationError": _IN_ERRORS.format("AuthenticationFailed"),
    "BadRequestError": _IN_ERRORS.format("InvalidRequest, ContentFiltered"),
    "NotFoundError": _IN_ERRORS.format("NotFound"),
    "ContextWindowExceededError": _IN_ERRORS.format("ContextLengthExceeded"),
    "Timeout": f"{_NO_TIME}; the settings of the timers are turnout.routing.Timeouts",
    **dict.fromkeys(("completion_cost", "cost_per_token"), "it is reply.usage.cost, with Router.from_env(prices=…)"),
    "token_counter": "write router.count_tokens(…)",
    **dict.fromkeys(("AzureOpenAI", "AsyncAzureOpenAI"), "write turnout.providers.create('azure', api_key='…')"),
    **{name: f"from turnout_io.{name} import Router" for name in ("sync", "asyncio", "trio")},
    "exceptions": _IN_ERRORS.format("TurnoutError"),
    "testing": "from turnout_io.testing import ScriptedTransport",
    "sandbox": "from turnout_io.sandbox import Sandbox",
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
    **dict.fromkeys(("RedisCache", "DiskCache", "SemanticCache", "LRUCache", "Cache", "InMemoryCache"), _STORES),
    **dict.fromkeys(("Redis", "RedisStore", "Valkey"), "limits are shared over: from turnout_io.shared import Valkey"),
    **dict.fromkeys(
        ("MockTransport", "FakeTransport", "MockRouter", "FakeRouter", "MockProvider", "ScriptedTransport"),
        "from turnout_io.testing import ScriptedTransport",
    ),
    **dict.fromkeys(("HttpxTransport", "Urllib3Transport", "AiohttpTransport"), "see docs/extend/transport.md"),
    **dict.fromkeys(("Chunk", "TextDelta", "ContentDelta", "ChatCompletionChunk"), "from turnout import Token"),
    **dict.fromkeys(("Response", "Reply", "Answer"), "from turnout import ChatResponse"),
    **dict.fromkeys(("Fallback", "Fallbacks"), "write router.chat(…, fallbacks=['groq/…'])"),
    **dict.fromkeys(("PrometheusMetrics", "Prometheus"), "from turnout_io.metrics import Metrics"),
    "Recorder": "from turnout_io.recorder import TraceRecorder",
    "MemoryCache": "it is in turnout_io.caching: from turnout_io.caching import MemoryCache",
    "Metrics": "it is in turnout_io.metrics: from turnout_io.metrics import Metrics",
    "OpenTelemetry": "it is in turnout_io.otel: from turnout_io.otel import OpenTelemetry",
    "create": "it is in turnout.providers: from turnout.providers import create",
}
"""The names that people look for in the package `turnout`, and where they are."""


def habit_of_root(name: str, errors: Collection[str]) -> str | None:
    """Return where a name is that people look for in `turnout`; None if it is nowhere.

    Args:
        name: What `turnout` does not have.
        errors: The names of `turnout.errors`.
    """
    if name in ROOT or name in errors:
        return ROOT.get(name) or _IN_ERRORS.format(name)
    near = nearest(name, errors, 1, CLOSE) if errors else []
    return f"did you mean {near[0]}? {_IN_ERRORS.format(near[0])}" if near else None


def setting_of_root(name: str) -> str:
    """Return where a setting belongs that other libraries have in their module."""
    return ROOT.get(name) or router_argument(name)


def missing_name(module: str, name: str) -> Exception:
    """Return the error of a module other than `turnout` for a name that it does not have. See `refusal`."""
    if module.startswith("turnout_io.") and name in ("AsyncRouter", "SyncRouter", "TrioRouter", "Client"):
        place = "turnout_io.asyncio" if name == "AsyncRouter" and module == "turnout_io.sync" else module
        return refusal(module, name, f"write from {place} import Router")
    if name[:1].isupper():
        try:
            getattr(sys.modules["turnout"], name)
        except AttributeError as error:
            _, found, advice = str(error).partition(": ")
            if found:
                return refusal(module, name, advice)
        else:
            return refusal(module, name, f"from turnout import {name}")
    return AttributeError(f"module {module!r} has no attribute {name!r}")


def refusal(module: str, name: str, advice: str) -> Exception:
    """Return the error for a name that is elsewhere: ImportError in an import statement, else AttributeError.

    `hasattr`, `getattr` with a default and `mock.patch` need AttributeError. An import statement replaces the text of
    that error by its own, which names no other place. No class can be both: their instances have different layouts.
    """
    text = f"{module} has no {name!r}: {advice}"
    return ImportError(text, name=module) if _is_imported() else AttributeError(text)


def _is_imported() -> bool:
    """True if the look-up that the `__getattr__` of a module answers is that of an import statement."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "__getattr__":
        frame = frame.f_back
    caller = frame.f_back if frame is not None else None
    if caller is None:
        return False
    # The statement asks the module itself. For a package, importlib has asked it before whether it has the name.
    if caller.f_code.co_name == "_handle_fromlist":
        return True
    return caller.f_lasti >= 0 and caller.f_code.co_code[caller.f_lasti] == opmap["IMPORT_FROM"]
