"""Each reader takes any file: it returns, or raises its own error with the name of the file and without a secret."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz.targets import CASSETTE
from turnout.batch.rows import BatchInputError, RowReader
from turnout.config.settings import SettingsError
from turnout.errors import LocalProtocolError
from turnout.routing.replay import replay
from turnout.simulation import read_scenario, simulate
from turnout.trace import Trace, TraceError
from turnout_io.batch.input_file import read_input
from turnout_io.cli.commands.embed import read_rows
from turnout_io.cli.commands.traces.page import page_of
from turnout_io.files import load_settings, read_yaml
from turnout_io.recorder import read_traces
from turnout_io.serve.budget_file import BudgetFile
from turnout_io.serve.settings import read_gateway_settings
from turnout_io.testing.cassette import CassetteError, read_cassette
from turnout_sandbox.script_file import read_script

KEY = "sk-secret-0123456789abcdef"


@attrs.frozen
class Reader:
    """A reader of files.

    Attributes:
        read: Reads a file.
        error: The error that it may raise.
        sample: What a good file holds.
        ending: The ending of its name.
        is_lines: Whether each line is a document.
        is_text: Whether any text is a good file.
    """

    read: Callable[[Path], object]
    error: type[Exception]
    sample: Any
    ending: str = ".yaml"
    is_lines: bool = False
    is_text: bool = False

    def data(self, document: Any) -> bytes:
        """Return the bytes of a file with one document. All JSON is YAML."""
        return document if isinstance(document, bytes) else json.dumps(document).encode() + b"\n"


def read_settings(path: Path) -> None:
    made = load_settings(path, environ={"KEY": KEY}, dotenv=None)
    made.build_providers()
    made.policy()


def read_serve(path: Path) -> None:
    read_gateway_settings(load_settings(path, environ={"KEY": KEY}, dotenv=None).serve)


def read_recorded(path: Path) -> None:
    for number, trace in read_traces(path):
        trace.explain()
        page_of(path.name, [(number, trace)], 0)
        replay(trace.to_dict())


def read_batch(path: Path) -> None:
    reader = RowReader()
    for block in read_input(path):
        reader.heads(block)
        for number, line in enumerate(block.splitlines(), 1):
            if line.strip():
                reader.row(line, number)


def recorded_trace() -> dict[str, Any]:
    """Return the longest trace of some calls to a provider that fails half of the time."""
    failing = {"fail": 503, "share": 0.5, "from": "0s"}
    traces: list[Trace] = []
    simulate(
        read_scenario(
            {
                "duration": "20s",
                "arrivals": {"rate": 1},
                "providers": {"a": {"faults": [failing]}, "b": {}},
                "models": ["a/m", "b/m"],
            }
        ),
        traces.append,
    )
    return max(traces, key=lambda trace: len(trace.entries)).to_dict() | {
        "started_at": 1.7e9,
        "metadata": {"user": "u"},
    }


SETTINGS = {
    "providers": {
        "openai": {"apiKey": KEY, "baseUrl": "http://localhost:1/v1", "headers": {"x-a": "b"}, "enabled": True,
                   "responseLimits": {"document": "64MB", "errorBody": 9000}},
        "more": {"kind": "openai-compatible", "endpoint": "http://localhost:2/v1", "apiKeys": ["${KEY}", "k-987654"]},
    },
    "routes": {"fast": {"strategy": "weighted", "choices": ["openai/a", {"model": "openai/b", "weight": 2}]}},
    "aliases": {"gpt": "openai/a"},
    "runtime": {
        "router": {
            "maxRetries": 2, "timeout": "1m30s", "onInterrupt": "restart", "breaker": {"window": "30s"},
            "limits": {"openai": {"requestsPerMinute": 60}}, "prices": {"openai/a": {"prompt": 1, "completion": 2}},
            "budgets": [{"amount": 5, "per": "day", "by": "provider", "only": ["openai"], "zone": "+01:00"}],
            "hedge": {"delay": "800ms"}, "rules": {"rate-limit": {"action": "retry", "cooldown": "15s"}},
        }
    },
    "shared": {"url": "valkey://localhost:6379", "namespace": "n"},
    "cli": {"model": "openai/a", "fallbacks": ["openai/b"], "timeout": "60s", "log": True},
}  # fmt: skip
SERVE = {
    "serve": {
        "listen": "127.0.0.1:8080",
        "keys": [
            {
                "name": "team", "key": KEY, "models": ["fast"], "requestsPerMinute": 60, "priority": "batch",
                "budget": {"amount": 5, "per": "month"},
            }
        ],
        "aliases": {"fast": ["openai/gpt-4o-mini"], "embed": {"models": ["openai/e"], "family": "e"}},
        "budgetFile": "spent.jsonl",
        "maxBody": "32MB",
    }
}  # fmt: skip
SCENARIO = {
    "duration": "60s",
    "arrivals": {"rate": 2},
    "providers": {
        "openai": {
            "firstContent": "100ms",
            "tokens": [5, 9],
            "faults": [{"fail": 503, "from": "1s", "until": "2s", "share": 0.5}],
        }
    },
    "models": ["openai/a"],
    "policy": {"max_retries": 1},
}
SCRIPT = {
    "openai": [{"status": 429, "headers": {"retry-after": "2"}}, {"delay": 0.5, "abort": "reset", "after_tokens": 3}]
}
BATCH = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": []}}

READERS: Mapping[str, Reader] = {
    "settings": Reader(read_settings, SettingsError, SETTINGS),
    "gateway": Reader(read_serve, SettingsError, SERVE),
    "variables": Reader(
        lambda path: load_settings(dotenv=path, environ={}), SettingsError, f"KEY={KEY}\n".encode(), "", is_text=True
    ),
    "budgets": Reader(
        lambda path: BudgetFile.open(path, (), 0.0).close(),
        SettingsError,
        {"key": "team", "period": "2026-11", "amount": 0.5},
        ".jsonl",
        is_lines=True,
    ),
    "traces": Reader(read_recorded, TraceError, recorded_trace(), ".jsonl", is_lines=True),
    "cassette": Reader(read_cassette, CassetteError, CASSETTE, ".json"),
    "scenario": Reader(lambda path: read_scenario(read_yaml(path)), SettingsError, SCENARIO),
    "script": Reader(read_script, LocalProtocolError, SCRIPT),
    "script in JSON": Reader(read_script, LocalProtocolError, SCRIPT, ".json"),
    "batch": Reader(read_batch, BatchInputError, BATCH, ".jsonl", is_lines=True),
    "simple batch": Reader(
        read_batch, BatchInputError, {"prompt": "x", "messages": [], "more": 1}, ".jsonl", is_lines=True
    ),
    "texts": Reader(
        lambda path: list(read_rows([str(path)])), ValueError, {"text": "x", "id": 1}, ".jsonl", is_lines=True
    ),
    "texts in lines": Reader(lambda path: list(read_rows([str(path)])), ValueError, b"one\n", ".txt", is_text=True),
}
EACH = pytest.mark.parametrize("name", READERS)


def failure_of(reader: Reader, path: Path) -> str | None:
    """Return the message of the reader's error; None if it takes the file. Any other error passes."""
    try:
        reader.read(path)
    except reader.error as error:
        assert not isinstance(error, UnicodeError | json.JSONDecodeError), "an error of a parser"
        assert KEY not in str(error)
        assert len(str(error)) < 1000, f"{error!s:.200}"
        return str(error)
    return None


@EACH
def test_the_sample_is_good(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    path = tmp_path / f"file{reader.ending}"
    path.write_bytes(reader.data(reader.sample))
    assert failure_of(reader, path) is None


WRONG: Mapping[str, bytes] = {
    "Latin-1": b'{"caf\xe9": 1}\n',
    "a byte that is none of UTF-8": b"A=1\nB=\xff\n",
    "UTF-16 without a mark": '{"a": 1}\n'.encode("utf-16-le"),
    "zeros": b"\0" * 99 + b"\n",
    "a program": b"\x7fELF\x02\x01\x01" + bytes(range(256)) + b"\n",
    "deep lists": b"[" * 20_000 + b"\n",
    "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"\n",
    "5,000 digits": b'{"amount": ' + b"9" * 5000 + b"}\n",
    "a key twice": b'{"key": 1, "key": 2}\n',
}
WRONG_YAML: Mapping[str, bytes] = {
    "aliases of aliases": b"a0: &a0 [x, x]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)
    ),
    "an alias inside itself": b"a: &a [*a]\n",
    "a Python object": b"!!python/object/apply:os.system [id]\n",
    "a date that does not exist": b"a: 2001-99-99\n",
    "a hexadecimal number of 5,000 digits": b"providers: 0x" + b"f" * 5000 + b"\n",
    "no mapping": b"[1, 2]\n",
}  # fmt: skip


@pytest.mark.parametrize("wrong", [*WRONG, *WRONG_YAML])
@EACH
def test_a_wrong_file_is_named(name: str, wrong: str, tmp_path: Path) -> None:
    reader = READERS[name]
    if wrong in WRONG_YAML and (reader.ending != ".yaml"):
        pytest.skip("it is no YAML")
    path = tmp_path / f"file{reader.ending}"
    path.write_bytes({**WRONG, **WRONG_YAML}[wrong])
    problem = failure_of(reader, path)
    if problem is None:
        # Text, of which there is no wrong one but in another encoding.
        assert reader.is_text
        assert b"\xff" not in WRONG[wrong]
    elif name not in ("batch", "simple batch", "scenario"):  # the caller adds the name of the file
        assert str(path) in problem or wrong in WRONG_YAML


@EACH
def test_a_folder_in_place_of_a_file(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    with pytest.raises((reader.error, OSError)) as caught:
        reader.read(tmp_path)
    assert str(tmp_path) in str(caught.value)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in a document, from the outside to the inside."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a document with another value at a path."""
    if not path:
        return value
    copied = copy.deepcopy(document)
    holder = copied
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return copied


NUMBERS = [0, -1, 7, 2.5, -1e308, 10**30, 10**400, float("inf"), float("nan"), "9" * 400, "²", "1e999", "-5s", "1_000"]
TEXTS = ["", " ", "x", "a/b", "\ud800", "\n\x1b[31m", "x" * 3000, "1970-01-01", "http://[", "http://a:99999", "${", "~"]
HOLDERS = [[], {}, [[]], [None], {"a": {}}, {"": 1}, {"\ud800": 1}, {"x" * 300: None}, [1, "x"], ["${KEY}"]]
VARIABLES = [
    *("${KEY}", " ${KEY}", "${KEY}/m", "a/${KEY}", "route/${KEY}", "a/*${KEY}*", "${KEY}:80", "localhost:${KEY}"),
    *("http://${KEY}", "http://h/${KEY}", "http://${KEY}@h", "valkey://${KEY}/0", "${KEY},b", "os.environ/${KEY}"),
]
WRONG_VALUES = [None, True, False, *NUMBERS, *TEXTS, *HOLDERS, *VARIABLES]


@pytest.mark.full
@EACH
def test_each_value_is_taken_or_refused(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    path = tmp_path / f"file{reader.ending}"
    for place in places(reader.sample):
        for value in WRONG_VALUES:
            path.write_bytes(reader.data(changed(reader.sample, place, value)))
            try:
                failure_of(reader, path)
            except Exception as error:
                error.add_note(f"with {value!r:.100} at {place}")
                raise


@pytest.mark.slow
@EACH
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_two_wrong_values_are_taken_or_refused(name: str, data: st.DataObject, tmp_path: Path) -> None:
    reader = READERS[name]
    path = tmp_path / f"file{reader.ending}"
    if isinstance(reader.sample, bytes):
        path.write_bytes(reader.sample + data.draw(st.binary(max_size=40)))
    else:
        document = reader.sample
        for _ in range(2):
            place = data.draw(st.sampled_from(list(places(document))))
            document = changed(document, place, data.draw(st.sampled_from(WRONG_VALUES)))
        path.write_bytes(reader.data(document))
    failure_of(reader, path)


@EACH
def test_a_file_that_ends_early_is_taken_or_refused(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    path = tmp_path / f"file{reader.ending}"
    data = reader.data(reader.sample)
    for end in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:end])
        failure_of(reader, path)
