"""What the benchmarks share: taking the time, and telling it in a table."""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable, Sequence

__all__ = ["least_cpu", "least_cpu_async", "parser", "positive", "print_table"]


def least_cpu(run: Callable[[], object], rounds: int) -> float:
    """CPU seconds of this process for one `run`: the least of several, which on a shared machine is what repeats."""
    least = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        run()
        least = min(least, time.process_time() - begun)
    return least


async def least_cpu_async(run: Callable[[], Awaitable[object]], rounds: int) -> float:
    """The same of what is to be awaited."""
    least = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        await run()
        least = min(least, time.process_time() - begun)
    return least


def positive(text: str) -> int:
    """A number of rounds or of things, as the command line gives it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def parser(name: str, about: str | None, *, rounds: int | None = None) -> argparse.ArgumentParser:
    """The command line of `python -m benchmarks.NAME`; with `rounds`, that option and its default."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if rounds is not None:
        made.add_argument(
            "--rounds", type=positive, default=rounds, help=f"how often each is run; the least counts ({rounds})"
        )
    return made


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """`title` says what the numbers are, and in which unit; the first column is of words, the others of numbers."""
    lines = [columns, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    print(title)
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells).rstrip())
    print()
