"""How `turnout chat` prints an answer: as it arrives, whole, its first code block, or as JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from turnout.chat import ChatRequest, ChatResponse, FinishReason, Usage
from turnout.trace import summarize_attempts

if TYPE_CHECKING:
    from turnout_io.sync import Router

__all__ = ["first_code_block", "print_notes", "print_stream", "printable", "reply_fields", "usage_line"]

# Control characters without line feed and tab. In an answer they could control the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


def printable(text: str) -> str:
    """Return the text without control characters if stdout is a terminal, else as it is."""
    return _CONTROLS.sub("", text) if sys.stdout.isatty() else text


def print_stream(router: Router, request: ChatRequest, timeout: float | None) -> ChatResponse:
    """Print the answer while it arrives, and return it. `timeout` is for the whole answer, in seconds."""
    with router.stream(request, timeout=timeout, total_timeout=timeout) as stream:
        ends_line = True  # whether the cursor is at the start of a line; False while text is printed
        try:
            for event in stream:
                if event.type == "token" or event.type == "refusal":
                    ends_line = False
                    click.echo(printable(event.delta), nl=False)
                    sys.stdout.flush()
                    ends_line = event.delta.endswith("\n")
                elif event.type == "restarted":
                    click.echo("\n[the answer broke off, and starts again]")
        finally:
            # The shell's prompt must start on a new line, also after Ctrl-C.
            if not ends_line:
                click.echo()
        return stream.response


def print_notes(reply: ChatResponse) -> None:
    """Print on stderr why an answer is not complete, if it is not."""
    if reply.finish_reason is FinishReason.LENGTH:
        click.echo("turnout: the answer was cut at a limit; -o max_tokens NUMBER allows a longer one", err=True)
    elif reply.finish_reason is FinishReason.CONTENT_FILTER:
        click.echo("turnout: a content filter of the provider stopped the answer", err=True)
    if "response_format" in reply.unmet:
        click.echo("turnout: the answer does not have the form of --schema", err=True)
    if reply.images or reply.audio:
        click.echo("turnout: the answer has images or sound, which this command does not show", err=True)


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
