"""Runs the functions that a model calls, round after round."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from turnout.chat import ChatRequest
from turnout.messages import ToolCall
from turnout.routing.call.operations import Chat
from turnout.routing.call.options import CallOptions
from turnout.routing.tool_loop import ToolLoop, ToolResult, ToolRun, failed, finished, not_allowed
from turnout_io.drivers._async.runtime import AsyncRuntime

__all__ = ["run_tools"]


class _Router(Protocol):
    _runtime: AsyncRuntime
    _is_async: bool

    async def _run(self, operation: Chat, options: CallOptions) -> Any: ...


async def run_tools(
    router: _Router,
    request: ChatRequest,
    options: CallOptions,
    *,
    tools: Iterable[Any],
    max_rounds: int,
    tool_timeout: float | None,
    approve: Callable[[ToolCall], object] | None,
) -> ToolRun:
    """Return the rounds until a response has no tool calls. See `AsyncRouter.run`."""
    loop = ToolLoop.start(request, tools, max_rounds)
    if not router._is_async:
        loop.refuse_async(approve)
    while True:
        response = await router._run(Chat(loop.request), options)
        calls = loop.receive(response)
        if not calls:
            return loop.result()
        results = []
        for call in calls:
            results.append(await _run_call(router._runtime, loop, call, tool_timeout, approve))
        loop.add_results(results)


async def _run_call(
    runtime: AsyncRuntime,
    loop: ToolLoop,
    call: ToolCall,
    tool_timeout: float | None,
    approve: Callable[[ToolCall], object] | None,
) -> ToolResult:
    prepared = loop.prepare(call)
    if isinstance(prepared, ToolResult):
        return prepared
    if approve is not None:
        allowed = approve(call)
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if allowed is not True:
            return not_allowed(call, allowed)
    started = runtime.now()
    try:
        value = await runtime.run_tool(prepared, loop.timeout(call, tool_timeout))
    except Exception as error:  # the model receives the error, and can try again
        return failed(call, error, runtime.now() - started)
    return finished(call, value, runtime.now() - started)
