"""A program under gevent: one blocking router, shared by many greenlets.

    python greenlets.py TRANSPORT COUNT ENDPOINT ENDPOINT-THAT-HANGS

It writes their results as JSON.
"""

# ruff: noqa: E402 - gevent must be imported before the modules that it changes
from __future__ import annotations

from gevent import monkey  # type: ignore[import-untyped]  # it ships no types

monkey.patch_all()

import json
import sys
import time
from typing import Any

import gevent

from turnout import ChatRequest, Message, ModelConfig
from turnout.errors import TurnoutError
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout_io.sync import Router
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport


def ask(provider: str) -> ChatRequest:
    return ChatRequest(ModelConfig(provider, "a-model"), [Message.user("Say a few things about trains.")])


def main() -> None:
    name, count, *endpoints = sys.argv[1:]
    transport = {"requests": RequestsTransport, "sockets": SocketTransport}[name](trust_env=False)
    providers = [
        create("openai", name=provider, api_key=f"sandbox-{provider}-key", base_url=endpoint)
        for provider, endpoint in zip(("openai", "groq"), endpoints, strict=True)
    ]
    texts: list[str] = []
    late: list[dict[str, Any]] = []
    ticks = 0

    with Router(providers, policy=Policy(max_concurrency=int(count)), transport=transport) as router:

        def stream() -> None:
            with router.stream(ask("openai")) as answer:
                texts.append("".join(event.delta for event in answer if event.type == "token"))

        def hang() -> None:
            begun = time.monotonic()
            try:
                router.chat(ask("groq"), timeout=0.5)
            except TurnoutError as error:
                late.append({"error": type(error).__name__, "seconds": time.monotonic() - begun})

        def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                gevent.sleep(0.01)

        ticking = gevent.spawn(tick)
        # Twice as many calls as slots: half of them wait.
        calls = [gevent.spawn(stream) for _ in range(2 * int(count))]
        gevent.joinall(calls, timeout=60)
        hanging = [gevent.spawn(hang) for _ in range(int(count))]
        gevent.joinall(hanging, timeout=60)
        ticking.kill()
        held = sum(health.in_flight for health in router.health())
        print(json.dumps({"texts": texts, "late": late, "ticks": ticks, "held": held}))


if __name__ == "__main__":
    main()
