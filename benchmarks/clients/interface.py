"""What a client is to the benchmarks. Nothing but the standard library: it runs in the environments of the peers too.

A client opens a session for base URLs of the benchmark server. All sessions do the same work, in the way that the
client's own documentation shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

__all__ = [
    "KEY",
    "MODEL",
    "PROMPT",
    "TEXTS",
    "TITLES",
    "AsyncClient",
    "AsyncSession",
    "Client",
    "History",
    "Session",
    "Streamed",
    "as_dicts",
    "body",
    "vectors_of",
]

MODEL = "gpt-4o-mini"
KEY = "sk-benchmark"
PROMPT = "Recommend a cheap, fast model."
TEXTS = ["a text to embed"] * 100

TITLES = {
    "socket": "Turnout, socket",
    "trio": "Turnout, trio",
    "asyncio": "Turnout, asyncio",
    "requests": "Turnout, requests",
    "requests-session": "Turnout, a user's session",
    "hand-codec": "json.loads / msgspec alone",
    "hand-socket": "by hand, socket",
    "hand-trio": "by hand, trio",
    "hand-trio-h11": "by hand, trio + h11",
    "hand-asyncio": "by hand, asyncio",
    "hand-asyncio-h11": "by hand, asyncio + h11",
    "hand-requests": "requests + json",
    "openai": "openai",
    "openai-async": "openai, asyncio",
    "litellm": "LiteLLM Router",
    "any-llm": "any-llm",
    "pydantic-ai": "pydantic-ai",
    "httpx2": "httpx2 + json",
}
"""The names of the clients in tables and plots."""

History: TypeAlias = Sequence[tuple[str, str]]
"""Messages of a conversation as pairs of role and text."""


class Streamed(NamedTuple):
    """What a stream brought.

    Attributes:
        characters: The length of its text.
        first_at: `time.perf_counter()` at its first token.
    """

    characters: int
    first_at: float


class Session(Protocol):
    """One client that is open. Blocking."""

    def prepare(self, history: History) -> Any:
        """Return the history in the client's own types."""
        ...

    def chat(self, prepared: Any) -> int:
        """Send a prompt after the prepared history; return the length of the reply."""
        ...

    def stream(self) -> Streamed:
        """Read one stream to its end."""
        ...

    def embed(self) -> int:
        """Embed `TEXTS`; return how many floats the vectors have together."""
        ...


class AsyncSession(Protocol):
    """One client that is open. See `Session`."""

    def prepare(self, history: History) -> Any: ...

    async def chat(self, prepared: Any) -> int: ...

    async def stream(self) -> Streamed: ...

    async def embed(self) -> int: ...


@dataclass(frozen=True)
class Client:
    """A client for blocking code.

    Attributes:
        open: Opens a session. More than one base URL means a fallback from each to the next.
    """

    open: Callable[[Sequence[str]], AbstractContextManager[Session]]


@dataclass(frozen=True)
class AsyncClient:
    """A client for async code.

    Attributes:
        open: As of `Client`.
        run: Runs a coroutine function in the client's async library, to its end.
    """

    open: Callable[[Sequence[str]], AbstractAsyncContextManager[AsyncSession]]
    run: Callable[[Callable[[], Any]], Any]


def body(prepared: Sequence[Any], *, stream: bool = False) -> dict[str, Any]:
    """Return the body of a chat request as most clients take it."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return {"model": MODEL, "messages": [*prepared, {"role": "user", "content": PROMPT}], **options}


def as_dicts(history: History) -> list[dict[str, str]]:
    """Return the messages as OpenAI's JSON has them."""
    return [{"role": role, "content": text} for role, text in history]


def vectors_of(reply: Any) -> int:
    """Return the number of floats in a reply that is decoded JSON."""
    return sum(len(entry["embedding"]) for entry in reply["data"])
