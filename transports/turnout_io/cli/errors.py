"""How a command ends: a failed call gives one line on stderr, and exit code 1."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import click

from turnout.errors import TurnoutError

__all__ = ["CallFailed", "one_line"]


class CallFailed(click.ClickException):
    """A failed call: one line, and exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"turnout: {' '.join(self.message.split())}", err=True)


@contextlib.contextmanager
def one_line(explain: bool = False) -> Iterator[None]:
    """A failed call ends the program with one clear line, and its trace where that was asked for."""
    try:
        yield
    except TurnoutError as error:
        if explain and error.trace.entries:
            click.echo(f"\n{error.trace.explain()}", err=True)
        raise CallFailed(str(error)) from error
    except (ValueError, TypeError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise CallFailed(str(error)) from error
