"""Targets of files that people and earlier runs wrote, line by line: batches, texts, variables and budgets."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from benchmarks.fuzz.target import Finding, Target, in_file
from turnout.batch.output import prints_of, read_heads
from turnout.batch.requests import read_request
from turnout.batch.rows import BatchInputError, RowReader, numbered, split_lines
from turnout.chat import ModelConfig
from turnout.config.settings import SettingsError
from turnout.serving import RequestRejected
from turnout_io.batch.journal import Journal
from turnout_io.cli.commands.embed import read_rows
from turnout_io.files import load_settings
from turnout_io.serve.budget_file import BudgetFile

__all__ = ["FILES"]

logging.getLogger("dotenv.main").setLevel(logging.ERROR)  # it warns of each line that it cannot read


def _batch_input(pieces: list[bytes]) -> object:
    reader, line = RowReader("s"), 1
    found: list[object] = []
    try:
        for block in split_lines(pieces):
            for head, (number, text) in zip(reader.heads(block, line), numbered(block, line), strict=True):
                row = reader.row(text, number)
                if row.print != head.print(reader.salt):
                    raise Finding("a row and its head have different checksums")
                found.append((row.custom_id, row.endpoint, row.key, row.line))
                try:
                    read_request(row, lambda name: (ModelConfig("openai", "m"),), model="m")
                except RequestRejected as error:
                    found.append(error.error.message)
            line += block.count(b"\n")
    except BatchInputError:
        return BatchInputError  # a block is checked before its rows are read, so the error depends on the blocks
    return found


def _batch_output(pieces: list[bytes]) -> object:
    heads, broken = [], 0
    for block in split_lines(pieces):
        some, more = read_heads(block)
        if prints_of(some) != [head.print for head in some]:
            raise Finding("checksums of many lines differ from those of each")
        heads += [(head.custom_id, head.print) for head in some]
        broken += more
    return heads, broken


def _journal(path: Path) -> None:
    journal = Journal(path.parent)
    journal.refresh()


def _texts(path: Path) -> None:
    try:
        list(read_rows([str(path)]))
    except ValueError as error:
        if type(error) is not ValueError:
            raise Finding(f"an error of a parser: {error!r}") from error
        raise _WrongTextsError from None


class _WrongTextsError(Exception):
    """The file has no texts, or an error says why not."""


def _variables(path: Path) -> None:
    try:
        load_settings(dotenv=path, environ={}).build_providers()
    except SettingsError as error:
        if "fuzz-key-12345678" in str(error):
            raise Finding("an error shows the value of a variable") from error
        raise


def _budgets(path: Path) -> None:
    BudgetFile.open(path, (), 0.0).close()


_ROW = b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": [{"role": "user", "content": "x"}]}}\n'  # noqa: E501
_SIMPLE = b'\xef\xbb\xbf{"prompt": "x: y", "more": 1}\n\n{"messages": [{"role": "user", "content": "\\u003a"}]}\r\n'
_VECTORS = b'{"custom_id": "e", "url": "/v1/embeddings", "body": {"model": "m", "input": ["a"]}}\n'
_LINE = b'{"id": "b", "custom_id": "a", "response": {"status_code": 200, "request_id": "", "body": {}}, "error": null, "turnout": {"key": "k", "print": "ff", "cost": 0.5}}\n'  # noqa: E501
_FAILED = b'{"custom_id": "b", "response": null, "error": {"code": "c", "message": "m", "temporary": true}, "turnout": {"key": "k", "print": "x"}}\n'  # noqa: E501
_VARIABLES = b"""OPENAI_API_KEY=fuzz-key-12345678
export AZURE_OPENAI_ENDPOINT='https://a'
# c
X="${OPENAI_API_KEY}"
"""
_BUDGET = json.dumps({"key": "team", "period": "2026-11", "amount": 0.5}).encode() + b"\n"

FILES = (
    Target("batch-input", _batch_input, (_ROW + _VECTORS, _SIMPLE, _ROW * 3)),
    Target("batch-output", _batch_output, (_LINE + _FAILED, _FAILED + b"\n" + _LINE)),
    Target("batch-journal", in_file(_journal, suffix=".jsonl"), (_LINE + _FAILED,)),
    Target(
        "texts",
        in_file(_texts, _WrongTextsError, suffix=".jsonl"),
        (b'{"text": "a", "id": 1}\n"b"\n', b'{"input": "a"}\n\n'),
    ),
    Target("lines", in_file(_texts, _WrongTextsError, suffix=".txt"), (b"one\ntwo\r\n\nthree",)),
    Target(
        "variables",
        in_file(_variables, SettingsError),
        (_VARIABLES,),
    ),
    Target("budgets", in_file(_budgets, SettingsError), (_BUDGET * 2,)),
)
