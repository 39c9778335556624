"""The operations of a router that a caller can start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from turnout.chat import ChatRequest, ChatResponse, ModelConfig, ModelInfo
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.reranking import RerankRequest, RerankResponse
from turnout.routing.call.operations import Chat, CountTokens, Embed, ListModels, Operation, Rerank
from turnout.routing.call.options import CallOptions
from turnout.token_counting import TokenCount
from turnout_io.base import AsyncTransport
from turnout_io.drivers._async.run import AsyncRun
from turnout_io.drivers._async.runtime import AsyncRuntime
from turnout_io.drivers._async.stream import AsyncChatStream
from turnout_io.drivers.checks import check_tools
from turnout_io.drivers.router_base import CompletionsHint, RouterBase

if TYPE_CHECKING:
    from typing import Unpack

    from turnout.inputs.types import Conversation
    from turnout.messages import ToolCall
    from turnout.routing.tool_loop import ToolRun
    from turnout_io.drivers.keywords import (
        ChatSettings,
        EmbeddingSettings,
        RerankSettings,
        RunnableTool,
        RunSettings,
    )

__all__ = ["AsyncOperations"]


class AsyncOperations(RouterBase[AsyncTransport, AsyncRun]):
    """The operations of a router. `AsyncRouter` performs them."""

    _runtime: AsyncRuntime

    @overload
    async def chat(
        self,
        request: ChatRequest,
        *,
        collect: bool = False,
        **settings: Unpack[ChatSettings],
    ) -> ChatResponse: ...

    @overload
    async def chat(
        self,
        model: ModelConfig | str,
        messages: Conversation,
        *,
        collect: bool = False,
        **settings: Unpack[ChatSettings],
    ) -> ChatResponse: ...

    async def chat(
        self,
        *given: Any,
        collect: bool = False,
        **settings: Any,
    ) -> ChatResponse:
        """Return the complete response.

        Args:
            *given: A `ChatRequest`; or a model and messages: `chat("openai/gpt-4o-mini", "Why do points freeze?")`.
                Messages are the text of a question, or a list of messages or dicts.
            collect: Stream on the wire, so that a silent or stalled response is noticed early, and return it complete.
            **settings: Keywords of three kinds. They replace those of a request.
                For this call: `timeout` (seconds), `policy` (any other field of `Policy`), `affinity`, `api_keys`,
                `priority`, `cache`.
                Of the request: `fallbacks`, `tools`, `tool_choice`, `parallel_tool_calls`, `response_format`,
                `metadata`.
                Of its models: `temperature`, `top_p`, `top_k`, `max_tokens`, `stop`, `seed`, `presence_penalty`,
                `frequency_penalty`, `logprobs`, `reasoning_effort`, `extra`.
                `help(ChatRequest)`, `help(ModelConfig)` and docs/reference/settings.md describe them.

        Raises:
            TurnoutError: If no candidate responded. `error.trace.explain()` describes every attempt.
            TypeError: If a keyword is not known. The error names the right one.
        """
        options = self._call_options(settings)
        request = self._chat_request("chat", given, settings)
        response: ChatResponse = await self._run(Chat(request, collect), options)
        return response

    @overload
    def stream(
        self,
        request: ChatRequest,
        *,
        total_timeout: float | None = None,
        **settings: Unpack[ChatSettings],
    ) -> AsyncChatStream: ...

    @overload
    def stream(
        self,
        model: ModelConfig | str,
        messages: Conversation,
        *,
        total_timeout: float | None = None,
        **settings: Unpack[ChatSettings],
    ) -> AsyncChatStream: ...

    def stream(
        self,
        *given: Any,
        total_timeout: float | None = None,
        **settings: Any,
    ) -> AsyncChatStream:
        """Return the response as a stream of events. Use it in an `async with` block.

        Args:
            *given: See `chat`.
            total_timeout: Seconds for the whole stream. None means no bound.
            **settings: See `chat`. `timeout` is until the first content.
        """
        options = self._call_options(settings, total_timeout)
        request = self._chat_request("stream", given, settings)
        return self._make_stream(request, options)

    @overload
    async def embed(
        self,
        request: EmbeddingRequest,
        **settings: Unpack[EmbeddingSettings],
    ) -> EmbeddingResponse: ...

    @overload
    async def embed(
        self,
        model: ModelConfig | str,
        input: str | Iterable[str],
        **settings: Unpack[EmbeddingSettings],
    ) -> EmbeddingResponse: ...

    async def embed(
        self,
        *given: Any,
        **settings: Any,
    ) -> EmbeddingResponse:
        """Return one vector for each text, in order.

        Args:
            *given: An `EmbeddingRequest`; or a model and texts, as in `embed("openai/text-embedding-3-small", texts)`.
            **settings: Options of the call (see `chat`), and fields of `EmbeddingRequest`, such as `dimensions`.
        """
        options = self._call_options(settings)
        request = self._embedding_request(given, settings)
        response: EmbeddingResponse = await self._run(Embed(request), options)
        return response

    @overload
    async def count_tokens(
        self,
        request: ChatRequest,
        **settings: Unpack[ChatSettings],
    ) -> TokenCount: ...

    @overload
    async def count_tokens(
        self,
        model: ModelConfig | str,
        messages: Conversation,
        **settings: Unpack[ChatSettings],
    ) -> TokenCount: ...

    async def count_tokens(
        self,
        *given: Any,
        **settings: Any,
    ) -> TokenCount:
        """Return the tokens of the request's prompt, as the provider of its model counts them.

        It takes what `chat` takes.

        Raises:
            CapabilityUnsupported: If the provider does not count tokens.
        """
        options = self._call_options(settings)
        request = self._chat_request("count_tokens", given, settings)
        count: TokenCount = await self._run(CountTokens(request), options)
        return count

    @overload
    async def rerank(
        self,
        request: RerankRequest,
        **settings: Unpack[RerankSettings],
    ) -> RerankResponse: ...

    @overload
    async def rerank(
        self,
        model: ModelConfig | str,
        query: str,
        documents: Iterable[str],
        **settings: Unpack[RerankSettings],
    ) -> RerankResponse: ...

    async def rerank(
        self,
        *given: Any,
        **settings: Any,
    ) -> RerankResponse:
        """Return the documents in the order of their relevance to a query.

        Args:
            *given: A `RerankRequest`; or a model, a query and texts, as in
                `rerank("cohere/rerank-v4.0-pro", query, texts)`.
            **settings: Options of the call (see `chat`), and fields of `RerankRequest`, such as `top_n`.

        Raises:
            CapabilityUnsupported: If no provider of the request offers reranking.
        """
        options = self._call_options(settings)
        request = self._rerank_request(given, settings)
        response: RerankResponse = await self._run(Rerank(request), options)
        return response

    @overload
    async def run(
        self,
        request: ChatRequest,
        *,
        tools: Iterable[RunnableTool],
        max_rounds: int = 5,
        tool_timeout: float | None = None,
        approve: Callable[[ToolCall], object] | None = None,
        **settings: Unpack[RunSettings],
    ) -> ToolRun: ...

    @overload
    async def run(
        self,
        model: ModelConfig | str,
        messages: Conversation,
        *,
        tools: Iterable[RunnableTool],
        max_rounds: int = 5,
        tool_timeout: float | None = None,
        approve: Callable[[ToolCall], object] | None = None,
        **settings: Unpack[RunSettings],
    ) -> ToolRun: ...

    async def run(
        self,
        *given: Any,
        tools: Iterable[RunnableTool] | None = None,
        max_rounds: int = 5,
        tool_timeout: float | None = None,
        approve: Callable[[ToolCall], object] | None = None,
        **settings: Any,
    ) -> ToolRun:
        """Chat, run the tools that the model calls, and chat again, until a response has no tool calls.

        Args:
            *given: See `chat`.
            tools: Python functions. The model receives their errors and timeouts as results, and can correct its call.
            max_rounds: The most responses of the model.
            tool_timeout: Seconds for each call of a tool. `turnout.typed.function.function_tool` sets it for one tool.
            approve: Called with each tool call. The tool runs only if it returns True; a text is the reason for the
                refusal, which the model receives.
            **settings: See `chat`. The options apply to each round.

        Returns:
            The rounds, each with its response and its trace. `run.text` is the text of the last response.

        Raises:
            ToolRoundsExceeded: If the model still calls tools in the last round. `error.run` has all rounds.
            TurnoutError: If a round fails.
        """
        from turnout.routing.tool_loop import runnable, tools_of_run
        from turnout_io.drivers._async.tools import run_tools

        check_tools(tools)
        assert tools is not None
        options = self._call_options(settings)
        tools = runnable(tools)
        # The request is made with them, because its tool_choice may name one.
        settings["tools"] = tools_of_run(given[0] if given else settings.get("request"), tools)
        request = self._chat_request("run", given, settings)
        return await run_tools(
            self,
            request,
            options,
            tools=tools,
            max_rounds=max_rounds,
            tool_timeout=tool_timeout,
            approve=approve,
        )

    async def models(self, provider: str = "", *, timeout: float | None = None) -> tuple[ModelInfo, ...]:
        """Return the models that a provider lists.

        Raises:
            TypeError: If no provider is named.
        """
        if not provider:
            raise TypeError("router.models() needs the name of a provider: write router.models('openai')")
        models: tuple[ModelInfo, ...] = await self._run(ListModels(provider), CallOptions(timeout=timeout))
        return models

    async def _run(self, operation: Operation, options: CallOptions) -> Any:
        raise NotImplementedError

    def _make_stream(self, request: ChatRequest, options: CallOptions) -> AsyncChatStream:
        raise NotImplementedError


# Users of another library may try `router.chat.completions.create(…)` first.
AsyncOperations.chat.__dict__.update(completions=CompletionsHint(), create=CompletionsHint().create)
AsyncOperations.models.__dict__["list"] = CompletionsHint().list
