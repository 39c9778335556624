"""A conversation in which a model calls tools: pure, so that every driver runs the same rounds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from turnout._utils.names import must_be_called
from turnout._utils.serialization import Plain
from turnout.chat import ChatRequest
from turnout.errors import TurnoutError
from turnout.inputs.tools import tools_of
from turnout.messages import Message, Tool, ToolCall
from turnout.responses import ChatResponse, Usage
from turnout.routing.call.operations.results import sum_usage
from turnout.typed.function import FunctionTool, function_tool, result_text

__all__ = [
    "ToolLoop",
    "ToolResult",
    "ToolRound",
    "ToolRoundsExceeded",
    "ToolRun",
    "failed",
    "finished",
    "not_allowed",
    "runnable",
    "tools_of_run",
]


@attrs.frozen
class ToolResult(Plain):
    """The result of one tool call.

    Attributes:
        call: The call, as the model wrote it.
        text: The result for the model; of a call that failed, the error.
        error: The name of the error's class, `not-allowed`, `unknown-tool` or `wrong-arguments`; None after a success.
        seconds: How long the function ran.
    """

    call: ToolCall
    text: str
    error: str | None = None
    seconds: float = 0.0

    @property
    def message(self) -> Message:
        """The message for the model."""
        return Message.tool(self.call, self.text, is_error=self.error is not None)


@attrs.frozen
class ToolRound(Plain):
    """One answer of the model, with its own trace, and the results of the calls in it."""

    response: ChatResponse
    results: tuple[ToolResult, ...] = ()


@attrs.frozen
class ToolRun(Plain):
    """The rounds of a conversation with tools. The last one has the answer.

    Attributes:
        rounds: At least one.
        messages: The whole conversation with the last answer, for the next question.
    """

    rounds: tuple[ToolRound, ...]
    messages: tuple[Message, ...]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)

    @property
    def response(self) -> ChatResponse:
        """The last answer. It has tool calls only if one of them is of a tool without a function."""
        return self.rounds[-1].response

    @property
    def text(self) -> str:
        """The text of the last answer."""
        return self.response.text

    @property
    def usage(self) -> Usage:
        """The usage of all rounds together."""
        return sum_usage([each.response.usage for each in self.rounds])

    @must_be_called("reply.parsed(City)")
    def parsed(self, kind: type[Any]) -> Any:
        """Return the last answer as a value of this class. See `ChatResponse.parsed`."""
        return self.response.parsed(kind)

    def explain(self) -> str:
        """Return the traces of all rounds as text, with the calls of tools between them. It holds no arguments."""
        lines: list[str] = []
        for number, each in enumerate(self.rounds, 1):
            lines += [f"round {number}", each.response.trace.explain()]
            for result in each.results:
                outcome = "failed, " + result.error if result.error is not None else "complete"
                lines.append(f"{result.seconds:8.3f} s  tool {result.call.name}: {outcome}")
        return "\n".join(lines)


class ToolRoundsExceeded(TurnoutError):
    """The model still calls tools after the last round that was allowed. `run` has all rounds."""

    def __init__(self, message: str, run: ToolRun) -> None:
        super().__init__(message)
        self.run = run
        self.partial = run.response
        self.trace = run.response.trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (ToolRoundsExceeded, (self.message, self.run))


@attrs.define(eq=False)
class ToolLoop:
    """Decides the next step after each response.

    Attributes:
        request: The request of the next round.
        max_rounds: The largest number of responses.
        functions: The tools that have a function, by name.
    """

    request: ChatRequest
    max_rounds: int
    functions: dict[str, FunctionTool]
    _rounds: list[ToolRound] = attrs.field(factory=list, init=False)
    _answer: ChatResponse | None = attrs.field(default=None, init=False)

    @classmethod
    def start(cls, request: ChatRequest, tools: Iterable[Any], max_rounds: int) -> ToolLoop:
        """Return the loop of a request.

        Args:
            request: The conversation. A call of one of its own tools ends the loop, unless `tools` has its function.
            tools: Functions, or what `turnout.typed.function.function_tool` returned.
            max_rounds: How many answers there may be, at least 1.

        Raises:
            TypeError: If a tool is neither.
            ValueError: If two different tools have one name, or `max_rounds` is less than 1.
        """
        if isinstance(max_rounds, bool) or not isinstance(max_rounds, int):
            raise TypeError(f"max_rounds must be an int, not {type(max_rounds).__name__}")
        if max_rounds < 1:
            raise ValueError(f"max_rounds must be at least 1, not {max_rounds}")
        tools = runnable(tools)
        request = attrs.evolve(request, tools=tools_of_run(request, tools))
        return cls(request, max_rounds, {each.tool.name: each for each in tools if isinstance(each, FunctionTool)})

    def refuse_async(self, approve: object = None) -> None:
        """Raise TypeError if a function is async: a blocking router cannot await it."""
        named = {**{f"the tool {name!r}": tool.function for name, tool in self.functions.items()}, "approve": approve}
        for name, function in named.items():
            method = getattr(function, "__call__", None)  # noqa: B004 - of an object, the method may be async
            if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(method):
                raise TypeError(
                    f"{name} is an async function, and this router is blocking: "
                    "use the Router of turnout_io.asyncio or turnout_io.trio"
                )

    def receive(self, response: ChatResponse) -> tuple[ToolCall, ...]:
        """Take the answer of a round. Return the calls to run, () if the loop has ended.

        Raises:
            ToolRoundsExceeded: If the model calls a tool in the last round.
        """
        known = {tool.name for tool in self.request.tools}
        calls = response.tool_calls
        if not calls or any(call.name in known and call.name not in self.functions for call in calls):
            self._rounds.append(ToolRound(response))
            return ()
        if len(self._rounds) + 1 >= self.max_rounds:
            self._rounds.append(ToolRound(response))
            names = ", ".join(sorted({call.name for call in calls}))
            rounds = f"{self.max_rounds} round{'s' if self.max_rounds > 1 else ''}"
            raise ToolRoundsExceeded(
                f"{response.model} still calls {names} after {rounds}: give a larger max_rounds, or read error.run",
                self.result(),
            )
        self._answer = response
        return calls

    def prepare(self, call: ToolCall) -> Callable[[], Any] | ToolResult:
        """Return a function that runs a call, or the result if it cannot run."""
        tool = self.functions.get(call.name)
        if tool is None:
            names = ", ".join(sorted(self.functions)) or "no tool"
            return ToolResult(call, f"there is no tool {call.name!r}; there is {names}", "unknown-tool")
        try:
            arguments = tool.read_arguments(call)
        except ValueError as error:
            return ToolResult(call, str(error), "wrong-arguments")
        # If a callable object is async, only its method shows it.
        function: Any = tool.function
        if not inspect.isroutine(function):
            function = function.__call__
        return functools.partial(function, **arguments)

    def timeout(self, call: ToolCall, default: float | None) -> float | None:
        """Return the seconds that a call may run."""
        tool = self.functions.get(call.name)
        return default if tool is None or tool.timeout is None else tool.timeout

    def add_results(self, results: Iterable[ToolResult]) -> None:
        """Take the results of all calls of a round, and make the request of the next one."""
        assert self._answer is not None
        results = tuple(results)
        self._rounds.append(ToolRound(self._answer, results))
        messages = (*self.request.messages, self._answer.message, *(result.message for result in results))
        # A choice that demands a call holds for the first round only: otherwise there would be no last one.
        self.request = attrs.evolve(self.request, messages=messages, tool_choice=None)

    def result(self) -> ToolRun:
        """Return the rounds so far."""
        messages = (*self.request.messages, self._rounds[-1].response.message)
        return ToolRun(tuple(self._rounds), messages)


def runnable(tools: Iterable[Any]) -> list[FunctionTool | Tool]:
    """Return the tools of a run, its functions as tools with their function.

    Raises:
        TypeError: If one is neither a function nor a tool.
    """
    return [_runnable(tool, place) for place, tool in enumerate(tools)]


def _runnable(tool: Any, place: int) -> FunctionTool | Tool:
    if isinstance(tool, FunctionTool | Tool):
        return tool
    if callable(tool):
        return function_tool(tool)
    raise TypeError(f"tools[{place}] must be a function or a Tool, not {type(tool).__name__}")


def tools_of_run(request: object, tools: Iterable[FunctionTool | Tool]) -> tuple[Tool, ...]:
    """Return what the model receives: the tools of the request, and those of the run that are not among them.

    Args:
        request: A `ChatRequest`, or a dict with its fields. Anything else has no tools.
        tools: The tools of the run.
    """
    own: tuple[Tool, ...] = ()
    if isinstance(request, ChatRequest):
        own = request.tools
    elif isinstance(request, Mapping):
        own = tools_of(request.get("tools") or ())
    given = (tool.tool if isinstance(tool, FunctionTool) else tool for tool in tools)
    return (*own, *(tool for tool in given if tool not in own))


def failed(call: ToolCall, error: Exception, seconds: float) -> ToolResult:
    """Return the result of a call after its function raised an error."""
    kind = type(error).__name__
    return ToolResult(call, f"{kind}: {error}" if str(error) else kind, kind, seconds)


def finished(call: ToolCall, value: object, seconds: float) -> ToolResult:
    """Return the result of a call after its function returned a value."""
    return ToolResult(call, result_text(value), None, seconds)


def not_allowed(call: ToolCall, reason: object) -> ToolResult:
    """Return the result of a call that the approval hook refused."""
    text = reason if isinstance(reason, str) else "the user did not allow this call"
    return ToolResult(call, text, "not-allowed")
