"""`python -m benchmarks.batch_rows`: the CPU, the memory and the resumption of batches.

Each way answers its rows in a process of its own; the server is another process. plain aiohttp and
`litellm.acompletion` are measured if they are installed. Compare the numbers of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.server import running_server
from benchmarks.server.routes import CALL
from turnout.batch.output import Answered, encode_output
from turnout.batch.rows import RowReader
from turnout_io.asyncio import Router
from turnout_io.batch import BatchFiles, run

__all__ = ["main"]

MODEL = "openai/gpt-4o-mini"
CONCURRENCY = 200
ANSWER = Answered(body=b'{"id":"chatcmpl-1","choices":[{"message":{"content":"yes"}}]}', model=MODEL, cost=0.001)


def line_of(number: int) -> bytes:
    """Return one row of the input."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"Question {number}"}]}
    fields = {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(fields).encode() + b"\n"


def write_input(path: Path, rows: int) -> Path:
    with path.open("wb") as file:
        file.writelines(line_of(number) for number in range(rows))
    return path


def write_output(path: Path, rows: int) -> Path:
    """Write the output of a run that has answered so many rows."""
    reader = RowReader()
    with path.open("wb") as file:
        for number in range(rows):
            file.write(encode_output(reader.row(line_of(number), number), ANSWER, f"{number:024x}"))
    return path


# -- the ways, each of which returns how many rows it answered ------------------------------------------------------


def with_turnout(base_url: str, rows: int) -> int:
    environ = {"OPENAI_API_KEY": "k", "OPENAI_ENDPOINT": base_url}

    async def answer() -> int:
        with tempfile.TemporaryDirectory() as folder:
            source = write_input(Path(folder) / "in.jsonl", rows)
            async with Router.from_env(environ=environ, dotenv=None) as router:
                with BatchFiles(source, Path(folder) / "out.jsonl") as files:
                    summary = await run(router, files.rows(), files.write, concurrency=CONCURRENCY)
        return summary.answered

    return asyncio.run(answer())


def with_aiohttp(base_url: str, rows: int) -> int:
    import aiohttp  # pyright: ignore[reportMissingImports]

    answered = 0

    async def answer() -> None:
        bodies: Iterator[Any] = (json.loads(line_of(number))["body"] for number in range(rows))

        async def work(session: Any) -> None:
            nonlocal answered
            for body in bodies:
                async with session.post(f"{base_url}/chat/completions", json=body) as response:
                    (await response.json())["choices"]
                    answered += 1

        async with aiohttp.ClientSession(headers={"Authorization": "Bearer k"}) as session:
            await asyncio.gather(*(work(session) for _ in range(CONCURRENCY)))

    asyncio.run(answer())
    return answered


def with_litellm(base_url: str, rows: int) -> int:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its prices would come from the network
    import litellm  # pyright: ignore[reportMissingImports]

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    answered = 0

    async def answer() -> None:
        numbers = iter(range(rows))

        async def work() -> None:
            nonlocal answered
            for number in numbers:
                messages = [{"role": "user", "content": f"Question {number}"}]
                await litellm.acompletion(model=MODEL, messages=messages, api_base=base_url, api_key="k")
                answered += 1

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))

    asyncio.run(answer())
    return answered


def resume(source: str, target: str) -> int:
    """Start a run, and draw the rows that it would send."""
    with BatchFiles(source, target) as files:
        return sum(1 for _ in files.rows())


# -- measurement ----------------------------------------------------------------------------------------------------


def _peak_memory() -> float:
    """Return the most memory of this process in MB. (`ru_maxrss` would count the parent's before the start, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def _in_child(pipe: Any, function: Callable[..., int], given: tuple[Any, ...], warm: tuple[Any, ...] | None) -> None:
    if warm is not None:
        function(*warm)  # imports and the first calls are not counted
    before = time.process_time()
    result = function(*given)
    pipe.send((result, time.process_time() - before, _peak_memory()))


def measured(
    function: Callable[..., int], *given: Any, warm: tuple[Any, ...] | None = None
) -> tuple[int, float, float]:
    """Return what the function returned in a process of its own, its CPU seconds, and the most memory in MB."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_in_child, args=(theirs, function, given, warm))
    process.start()
    theirs.close()
    result, cpu, peak = ours.recv()
    process.join()
    return result, cpu, peak


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each way once, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_rows", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--litellm-rows", type=int, default=1_000)
    parser.add_argument("--million", type=int, default=1_000_000, help="rows for the memory; 0 for none")
    options = parser.parse_args(arguments)
    print(f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    ways: list[tuple[str, Callable[..., int], int]] = [("turnout batch", with_turnout, options.rows)]
    for name, function, rows in (
        ("aiohttp", with_aiohttp, options.rows),
        ("litellm", with_litellm, options.litellm_rows),
    ):
        if importlib.util.find_spec(name) is not None:
            ways.append((name, function, rows))
    with running_server() as server:
        base_url = server.base_url(CALL)
        for name, function, rows in ways if options.rows else ():
            answered, cpu, peak = measured(function, base_url, rows, warm=(base_url, 200))
            print(
                f"{name:14} {answered:6} rows  {1e6 * cpu / answered:6.0f} us of CPU a row  {peak:4.0f} MB", flush=True
            )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        write_input(source, 300_000)
        write_output(target, 300_000)
        left, cpu, peak = measured(resume, str(source), str(target))
        print(f"300,000 rows answered before: {left} to send, {cpu:.2f} s of CPU, {peak:.0f} MB", flush=True)
        if options.million:
            write_input(source, options.million)
            write_output(target, options.million)
            left, cpu, peak = measured(resume, str(source), str(target))
            print(
                f"{options.million:,} rows answered before: {left} to send, {cpu:.2f} s of CPU, {peak:.0f} MB",
                flush=True,
            )
            target.unlink()
            left, cpu, peak = measured(resume, str(source), str(target))
            print(f"{options.million:,} new rows: {left} drawn, {cpu:.2f} s of CPU, {peak:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
