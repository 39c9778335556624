"""How `turnout chat` prints an answer: as it arrives, whole, its first code block, or as JSON."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from turnout._utils.names import vendor_of
from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelConfig, Usage
from turnout.errors import TurnoutError
from turnout.trace import summarize_attempts
from turnout.trace.entries import CandidateBlocked, Skipped

if TYPE_CHECKING:
    from turnout_io.sync import ChatStream, Router

__all__ = ["first_code_block", "print_notes", "print_stream", "printable", "reply_fields", "usage_line"]

# Control characters without line feed and tab. In an answer they could control the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


def printable(text: str) -> str:
    """Return the text without control characters if stdout is a terminal, else as it is."""
    return _CONTROLS.sub("", text) if sys.stdout.isatty() else text


def print_stream(
    router: Router,
    request: ChatRequest,
    timeout: float | None,
    broken: Callable[[ChatResponse, BaseException], object] = lambda part, reason: None,
) -> ChatResponse:
    """Print the answer while it arrives, and return it.

    Args:
        router: The router that sends the request.
        request: The request.
        timeout: Seconds for the whole answer.
        broken: Receives what came of an answer that broke off, and the reason.
    """
    stream = router.stream(request, timeout=timeout, total_timeout=timeout)
    printed = _Printed()
    try:
        with stream:
            for event in stream:
                if event.type == "token" or event.type == "refusal":
                    printed.add(event.delta)
                elif event.type == "restarted":
                    click.echo("\n[the answer broke off, and starts again]")
                    printed.deltas.clear()
        printed.end_line()
        return stream.response
    except BaseException as reason:  # Ctrl-C and a closed output, too
        part = _received(stream, reason)
        with contextlib.suppress(OSError):
            so_far = "".join(printed.deltas)
            if isinstance(reason, TurnoutError) and part is not None and part.text.startswith(so_far):
                # The failure can be in one read with the last events, which no iteration returns then.
                printed.add(part.text.removeprefix(so_far))
            printed.end_line()
        if part is not None:
            broken(part, reason)
        raise


class _Printed:
    """What is printed of an answer."""

    def __init__(self) -> None:
        self.deltas: list[str] = []
        self._ends_line = True  # whether the cursor is at the start of a line; False while text is printed

    def add(self, text: str) -> None:
        if text:
            self._ends_line = False
            click.echo(printable(text), nl=False)
            sys.stdout.flush()
            self.deltas.append(text)
            self._ends_line = text.endswith("\n")

    def end_line(self) -> None:
        """End the line, because the shell's prompt must start on a new one, also after Ctrl-C."""
        if not self._ends_line:
            self._ends_line = True
            click.echo()


def _received(stream: ChatStream, reason: BaseException) -> ChatResponse | None:
    """Return what came of an answer that broke off; None if nothing did."""
    if isinstance(reason, TurnoutError):
        return reason.partial
    try:
        return stream.response
    except TurnoutError:  # the stream was not entered
        return None


def print_notes(reply: ChatResponse, asked: ModelConfig) -> None:
    """Print on stderr why an answer is not complete, or of another model than the one that was asked first."""
    if not asked.is_route and _name(reply.model) != _name(asked):
        click.echo(f"turnout: {_passed(reply, asked)}; {reply.model} answered", err=True)
    if reply.finish_reason is FinishReason.LENGTH:
        click.echo("turnout: the answer was cut at a limit; -o max_tokens NUMBER allows a longer one", err=True)
    elif reply.finish_reason is FinishReason.CONTENT_FILTER:
        click.echo("turnout: a content filter of the provider stopped the answer", err=True)
    if "response_format" in reply.unmet:
        click.echo("turnout: the answer does not have the form of --schema", err=True)
    if reply.images or reply.audio:
        click.echo("turnout: the answer has images or sound, which this command does not show", err=True)


def _name(model: ModelConfig) -> tuple[str, str]:
    """Return the name of a model, which is the same for each key of its provider."""
    return vendor_of(model.provider), model.model_id


def _passed(reply: ChatResponse, asked: ModelConfig) -> str:
    """Return why the model that was asked first did not answer."""
    for attempt in summarize_attempts(reply.trace):
        if attempt.outcome == "failed" and vendor_of(attempt.candidate) == str(asked):
            return f"{asked} failed ({attempt.reason})"
    for entry in reply.trace.entries:
        if isinstance(entry, CandidateBlocked | Skipped) and vendor_of(entry.candidate) == str(asked):
            return f"{asked} was not tried ({entry.reason})"
    return f"{asked} did not answer"


def first_code_block(markdown: str) -> str | None:
    """Return the text of the first fenced code block; None if there is none."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(markdown)
    return next((token.content for token in tokens if token.type == "fence"), None)


def usage_line(reply: ChatResponse) -> str:
    """Return the tokens, the cost and the model of an answer as one line."""
    usage = reply.usage
    counts = [
        f"{count} {name}"
        for name, count in (
            ("prompt tokens", usage.prompt_tokens),
            ("cached", usage.cached_tokens),
            ("completion tokens", usage.completion_tokens),
            ("reasoning", usage.reasoning_tokens),
        )
        if count is not None and (count or "tokens" in name)
    ]
    cost = reply.trace.cost
    counts.append(f"cost {cost:.6g}" if cost is not None else "cost unknown")
    attempts = reply.trace.attempts
    if attempts > 1:
        counts.append(f"{attempts} attempts")
    return f"{reply.model}: {', '.join(counts)}"


def reply_fields(reply: ChatResponse) -> dict[str, Any]:
    """Return an answer as plain values for JSON."""
    return {
        "model": str(reply.model),
        "served_model": reply.served_model,
        "response_id": reply.response_id,
        "text": reply.text,
        "reasoning": reply.reasoning or None,
        "refusal": reply.refusal,
        "finish_reason": str(reply.finish_reason),
        "usage": usage_fields(reply.usage),
        "cost": reply.trace.cost,
        "attempts": [attempt.to_dict() for attempt in summarize_attempts(reply.trace)],
    }


def usage_fields(usage: Usage) -> Mapping[str, Any]:
    """Return the counts that the provider reported, and their source."""
    fields = attrs.asdict(usage, filter=lambda field, value: value is not None and field.name != "details")
    return {**fields, "total_tokens": usage.total_tokens}
