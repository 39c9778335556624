"""The router without a gateway, in a process of its own: the same streams, checked and dropped."""

from __future__ import annotations

import json
import sys
from functools import partial

import trio

from turnout.chat import ChatRequest
from turnout.events import Token
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout_io.trio import Router

__all__ = ["main"]


async def _run(base_url: str, chunks: int, text: str, at_once: int, times: int, spread: float) -> None:
    provider = create("openai-compatible", name="bench", api_key="k", base_url=base_url)
    async with Router([provider], policy=Policy(timeout=300)) as router:

        async def client(index: int) -> None:
            await trio.sleep(spread * index / at_once)
            for _ in range(times):
                async with router.stream(ChatRequest("bench/m", "hello")) as stream:
                    arrived = 0
                    async for event in stream:
                        if type(event) is Token:
                            arrived += len(event.delta)
                    if arrived != chunks * len(text):
                        raise RuntimeError(f"{arrived} of {chunks * len(text)} characters arrived")

        async with trio.open_nursery() as nursery:
            for index in range(at_once):
                nursery.start_soon(client, index)


def main() -> None:
    """Carry out one order a line, and answer each with a line."""
    print("ready", flush=True)
    for line in sys.stdin:
        trio.run(partial(_run, **json.loads(line)))
        print("done", flush=True)


if __name__ == "__main__":
    main()
