"""`turnout embed`: texts from arguments, stdin or files as vectors."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Protocol

import attrs
import click

from turnout._utils.documents import DocumentError, decode_text, parse_json
from turnout.chat import ModelConfig
from turnout.embeddings import EmbeddingRequest, Vectors
from turnout_io.batch.output_file import is_same_file
from turnout_io.cli.commands.chat.prompt import read_stdin
from turnout_io.cli.errors import WrongUsage, one_line
from turnout_io.cli.options import CONFIG, ENV_FILE, JSON, MODEL, SANDBOX, TIMEOUT, FileToWrite
from turnout_io.cli.router import open_session

__all__ = ["embed", "read_rows"]

SHOWN_NUMBERS = 8
TEXTS_PER_CALL = 256
LONGEST_PATH = 200
LINE_START = b'{"id": '
"""The first bytes of every line that is written: one that was cut off is known by them."""


@attrs.frozen
class Row:
    """One text with its id: that of its line in JSON, else its number from 1."""

    id: Any
    text: str


@click.command()
@click.argument("texts", nargs=-1)
@MODEL
@click.option("-i", "--input", "sources", multiple=True, metavar="FILE", help='Lines of text or JSON; "-" is stdin.')
@click.option(
    "-o", "--output", type=FileToWrite(), metavar="FILE",
    help="Write the vectors to a new .jsonl or .npy file (.npy needs numpy).",
)  # fmt: skip
@click.option(
    "--dimensions", type=click.IntRange(min=1), metavar="NUMBER", help="Shorter vectors, if the model has them."
)
@click.option("--resume", is_flag=True, help="Keep the vectors of an earlier run in --output, and add those that lack.")
@click.option("--overwrite", is_flag=True, help="Replace --output. A file that holds something is refused without it.")
@JSON
@TIMEOUT
@SANDBOX
@CONFIG
@ENV_FILE
def embed(
    texts: tuple[str, ...],
    models: list[ModelConfig],
    sources: tuple[str, ...],
    output: str | None,
    dimensions: int | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    timeout: float | None,
    sandbox: bool,
    config: str | None,
    env_file: str,
) -> None:
    """Turn each of TEXTS into a vector. The text "-" is all of stdin.

    A file of --input has one text per line. If its name ends in .jsonl, a line
    is a JSON string, or an object with "text" or "input", and perhaps "id".

    \b
    Examples:
      turnout embed "one text" "another" -m openai/text-embedding-3-small
      cat page.txt | turnout embed - -m openai/text-embedding-3-small --json
      turnout embed -i texts.jsonl -o out.npy -m gemini/gemini-embedding-001
      turnout embed -i texts.jsonl -o a.jsonl -m mistral/mistral-embed --resume
    """
    if len(models) != 1:
        raise click.UsageError(
            "embed needs exactly one -m, such as -m openai/text-embedding-3-small: vectors of different models "
            "cannot be compared"
        )
    if bool(texts) == bool(sources):
        raise click.UsageError('give TEXTS, "-" for stdin, or --input FILE')
    write = _writer_kind(output)
    if resume and (output is None or write is not _write_lines):
        raise click.UsageError("--resume needs --output with the name of a .jsonl file")
    if resume and overwrite:
        raise click.UsageError("give --resume or --overwrite, not both")
    if output is not None:
        _refuse_used(Path(output), sources or texts, resume=resume, overwrite=overwrite)
    rows = read_rows(sources) if sources else iter(_argument_rows(texts))
    with one_line(as_json=as_json), open_session(config, env_file, sandbox=sandbox) as session:

        def vectors_of(part: list[Row]) -> Vectors:
            request = EmbeddingRequest(models[0], [row.text for row in part], dimensions=dimensions)
            return session.router.embed(request, timeout=timeout).vectors

        if output is None:
            part = list(rows)
            _print(part, vectors_of(_some(part)), as_json=as_json)
            return
        path = Path(output)
        kept, length = _kept(path, rows) if resume else (0, None)
        total = _count(sources, texts)
        with _told_of_rest(path, kept, total, write) as add, _progress(total, kept) as show:

            def advance(count: int) -> None:
                add(count)
                show(count)

            count = kept + write(path, _embedded(rows, vectors_of, advance, length), resume=resume)
    added = f", {kept} of them from an earlier run" if kept else ""
    click.echo(f"turnout: {count} vectors are in {output}{added}", err=True)


def _refuse_used(path: Path, sources: Iterable[str], *, resume: bool, overwrite: bool) -> None:
    """Refuse an output that is an input too, or that holds something which nobody said to keep or to replace."""
    for source in sources:
        if is_same_file(0 if source == "-" else source, path):
            raise WrongUsage(
                f"{source} and {path} are the same file, so its texts would be lost; name another --output"
            )
    if path.is_file() and path.stat().st_size and not (resume or overwrite):
        raise WrongUsage(
            f"{path} holds something already, and nothing was changed: --resume keeps the vectors of an earlier run, "
            "--overwrite replaces the file"
        )


def _some(rows: list[Row]) -> list[Row]:
    if not rows:
        raise ValueError("there is no text to embed")
    return rows


def _argument_rows(texts: Iterable[str]) -> list[Row]:
    rows = [Row(number, read_stdin() if text == "-" else text) for number, text in enumerate(texts, 1)]
    for row in rows:
        if not row.text.strip():
            raise click.UsageError(f"text {row.id} is empty")
        if "\n" not in row.text and len(row.text) < LONGEST_PATH and Path(row.text).is_file():
            click.echo(f"turnout: {row.text} is embedded as a text; to read the file: --input {row.text}", err=True)
    return rows


def read_rows(sources: Iterable[str]) -> Iterator[Row]:
    """Yield the texts of files; "-" is stdin.

    Raises:
        ValueError: If a line holds none. The message names the file and the line.
        OSError: If a file cannot be read.
    """
    number = 0
    for source in sources:
        with _opened(source) as file:
            for line_number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                number += 1
                where = f"{source}, line {line_number}"
                try:
                    row = _row(decode_text(line), number, is_json=source.endswith(".jsonl"))
                except DocumentError as error:
                    raise ValueError(f"{where}: {str(error).removeprefix('line 1: ')}") from None
                yield row


@contextlib.contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    if source == "-":
        yield sys.stdin.buffer
        return
    with open(source, "rb") as file:
        yield file


def _row(line: str, number: int, *, is_json: bool) -> Row:
    if not is_json:
        return Row(number, line.rstrip("\r\n"))
    value = parse_json(line.strip())  # an error at the end of a line is not of the next one
    fields = value if isinstance(value, dict) else {"text": value}
    text, id = fields.get("text", fields.get("input")), fields.get("id", number)
    if not isinstance(text, str) or not text.strip():
        raise DocumentError('a text was expected in the field "text" or "input"')
    if not isinstance(id, str | int | None):
        raise DocumentError('a text or a whole number was expected in the field "id"')
    if any("\ud800" <= char <= "\udfff" for char in f"{text}{id}"):
        raise DocumentError("half of a surrogate pair is no text (\\ud800 to \\udfff)")
    return Row(id, text)


def _count(sources: tuple[str, ...], texts: tuple[str, ...]) -> int | None:
    """Return how many texts there are; None if one of the files is stdin."""
    if not sources:
        return len(texts)
    if "-" in sources:
        return None
    count = 0
    for source in sources:
        with open(source, "rb") as file:
            count += sum(1 for line in file if line.strip())
    return count


def _kept(path: Path, rows: Iterator[Row]) -> tuple[int, int | None]:
    """Draw the texts whose vectors a file holds already, and cut off a last line that is not whole.

    Returns:
        How many there are, and the length of their vectors; None if there is none.

    Raises:
        ValueError: If the file holds something else, or vectors of other texts.
    """
    kept, whole, length = 0, 0, None
    if not path.exists():
        return 0, None
    with path.open("r+b") as file:
        for line in file:
            if not line.endswith(b"\n") and LINE_START.startswith(line[: len(LINE_START)]):
                break
            try:
                fields = json.loads(line)
                id, length = fields["id"], len(fields["embedding"])
            except (ValueError, TypeError, KeyError):
                raise ValueError(f"{path}, line {kept + 1}: this is no vector; give another --output") from None
            row = next(rows, None)
            if row is None or row.id != id:
                expected = "there is no such text" if row is None else f"the text there has the id {row.id!r}"
                raise ValueError(
                    f"{path}, line {kept + 1}: the vector has the id {id!r}, but {expected}; give another --output"
                )
            kept, whole = kept + 1, whole + len(line)
        file.truncate(whole)
    return kept, length


def _embedded(
    rows: Iterator[Row],
    vectors_of: Callable[[list[Row]], Vectors],
    advance: Callable[[int], None],
    length: int | None,
) -> Iterator[tuple[list[Row], Vectors]]:
    """Yield texts with their vectors.

    Raises:
        ValueError: If a vector has another length than those of an earlier run.
    """
    while part := list(islice(rows, TEXTS_PER_CALL)):
        vectors = vectors_of(part)
        if length is not None and len(vectors[0]) != length:
            raise ValueError(
                f"the vectors of the earlier run have {length} dimensions, and these {len(vectors[0])}: "
                "use the same model and --dimensions, or another --output"
            )
        yield part, vectors
        advance(len(part))


class Writer(Protocol):
    """Writes vectors to a file, and returns how many."""

    def __call__(self, path: Path, parts: Iterator[tuple[list[Row], Vectors]], *, resume: bool) -> int: ...


def _writer_kind(output: str | None) -> Writer:
    if output is None or output.endswith((".jsonl", ".ndjson")):
        return _write_lines
    if output.endswith(".npy"):
        return _write_numpy
    raise click.UsageError(f"--output {output}: the name must end in .jsonl or .npy")


def _write_lines(path: Path, parts: Iterator[tuple[list[Row], Vectors]], *, resume: bool) -> int:
    """Write one line for each text as soon as it has its vector. The lines stay if a later call fails.

    A file that is replaced stays as it was if the first call fails.
    """
    count = 0
    first = list(islice(parts, 1))
    with path.open("a" if resume else "w", encoding="utf-8") as file:
        for rows, vectors in chain(first, parts):
            for row, vector in zip(rows, vectors.tolist(), strict=True):
                file.write(json.dumps({"id": row.id, "embedding": vector}, ensure_ascii=False) + "\n")
            file.flush()
            count += len(rows)
    return count


def _write_numpy(path: Path, parts: Iterator[tuple[list[Row], Vectors]], *, resume: bool) -> int:
    try:
        import numpy
    except ModuleNotFoundError:
        raise ValueError("to write .npy, pip install numpy; or give a name that ends in .jsonl") from None
    vectors = Vectors.joined([vectors for _, vectors in parts])
    numpy.save(path, numpy.asarray(vectors))
    return len(vectors)


@contextlib.contextmanager
def _told_of_rest(path: Path, kept: int, total: int | None, write: Writer) -> Iterator[Callable[[int], None]]:
    """Say on stderr how many vectors are in a file that is not whole, because it does not show that itself."""
    done = kept

    def add(count: int) -> None:
        nonlocal done
        done += count

    try:
        yield add
    except BaseException:  # Ctrl-C too
        if write is _write_lines and done:
            of = f" of {total:,}" if total is not None else ""
            click.echo(f"turnout: {done:,}{of} vectors are in {path}; --resume goes on", err=True)
        raise


@contextlib.contextmanager
def _progress(total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("texts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("texts", total=total, completed=done)
        yield lambda count: progress.advance(task, count)


def _print(rows: list[Row], vectors: Vectors, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(vectors.tolist()))
        return
    for row, vector in zip(rows, vectors, strict=True):
        numbers = ", ".join(f"{number:.4f}" for number in vector[:SHOWN_NUMBERS])
        more = ", …" if len(vector) > SHOWN_NUMBERS else ""
        text = row.text if len(row.text) <= 60 else f"{row.text[:59]}…"
        click.echo(f"{text!r}: {len(vector)} dimensions [{numbers}{more}]")
