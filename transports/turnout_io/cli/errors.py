"""How a command ends after a failure: the reason is on stderr, and the exit code is not 0."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, Final

import click

from turnout.errors import ProviderError, TurnoutError
from turnout.trace import summarize_attempts
from turnout_io.cli.standard_files import reason_of

__all__ = ["CallFailed", "Unusable", "WrongUsage", "one_line", "with_close_names"]


class CallFailed(click.ClickException):
    """A failed call: one line, and exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"turnout: {' '.join(self.message.split())}", err=True)


class Unusable(click.ClickException):
    """The command cannot start. The message can have several lines, such as a list of choices."""

    def show(self, file: Any = None) -> None:
        click.echo(f"turnout: {self.message}", err=True)


class WrongUsage(Unusable):
    """The command needs another option. Exit code 2, as for all wrong usage."""

    exit_code = 2


# How an error of the library is written at the command line.
_HERE: Final = {
    "ResponseFormat(…, strict=False) asks for it": "--no-strict asks for it",
    "fetch it and give Image(data=…)": "download it, and attach the file: -a FILE",
    "make the provider with unsupported='drop'": "set unsupported: drop for the provider in the config file",
}


def _in_options(message: str) -> str:
    """Return a message of the library with options in place of its Python."""
    for python, option in _HERE.items():
        message = message.replace(python, option)
    return message


@contextlib.contextmanager
def one_line(explain: bool = False, as_json: bool = False) -> Iterator[None]:
    """End the program with one line on stderr if a call fails.

    Args:
        explain: Print the trace too.
        as_json: Print the error as JSON on stdout too, for programs that read only stdout.
    """
    try:
        yield
    except TurnoutError as error:
        if as_json:
            click.echo(json.dumps({"error": _error_fields(error)}, ensure_ascii=False))
        if explain and error.trace.entries:
            click.echo(f"\n{error.trace.explain()}", err=True)
        raise CallFailed(_in_options(str(error))) from error
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError) as error:
        message = reason_of(error) if isinstance(error, OSError) else str(error)
        if as_json:
            with contextlib.suppress(OSError):  # stdout can be what failed
                click.echo(json.dumps({"error": {"type": type(error).__name__, "message": message}}))
        raise CallFailed(message) from error


def with_close_names(error: click.UsageError) -> click.UsageError:
    """Return the error. If it suggests names that are not close to the given one, it is without them."""
    given = getattr(error, "option_name", None) or getattr(error, "command_name", None)
    names: list[str] | None = getattr(error, "possibilities", None)
    if not given or not names:
        return error
    import difflib

    near = difflib.get_close_matches(given, names, 1, 0.8)
    return click.UsageError(f"{error.message} Did you mean {near[0]}?" if near else error.message, error.ctx)


def _error_fields(error: TurnoutError) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, ProviderError):
        fields |= {"status": error.status, "code": error.code, "provider": error.provider}
    if error.partial is not None:
        fields["partial"] = error.partial.text
    fields["attempts"] = [attempt.to_dict() for attempt in summarize_attempts(error.trace)]
    return fields
