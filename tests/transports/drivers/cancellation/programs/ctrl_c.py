"""A program that catches Ctrl-C and continues with the same router.

    python ctrl_c.py TRANSPORT HEALTHY UNWELL SILENT

The last three are endpoints. It reads one operation from each line of its standard input, and writes the result as one
line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from turnout import ChatRequest, Message, ModelConfig
from turnout.providers import create
from turnout.routing.policy.settings import Policy, Timeouts
from turnout_io.sync import Router
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport

LONG = 60.0  # seconds; the interruption is long before that


def ask(provider: str) -> ChatRequest:
    return ChatRequest(ModelConfig(provider, "a-model"), [Message.user("Say a few things about trains.")])


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    name, *endpoints = sys.argv[1:]
    transport = {"requests": RequestsTransport, "sockets": SocketTransport}[name](trust_env=False)
    providers = [
        create("openai", name=provider, api_key="sandbox-openai-key", base_url=endpoint)
        for provider, endpoint in zip(("healthy", "unwell", "silent"), endpoints, strict=True)
    ]
    policy = Policy(
        timeout=LONG,
        timeouts=Timeouts(connect=LONG, response_headers=LONG, first_token=LONG, between_tokens=LONG),
        max_concurrency=1,
        breaker=None,
    )
    router = Router(providers, policy=policy, transport=transport)

    def connect() -> None:
        router.chat(ask("silent"))

    def head() -> None:
        router.chat(ask("unwell"))

    def body() -> None:
        with router.stream(ask("unwell")) as stream:
            for _ in stream:
                tell(begun=True)

    def queue() -> None:
        with router.stream(ask("unwell")) as stream:
            for _ in stream:
                tell(begun=True)
                router.chat(ask("healthy"))

    deeds: dict[str, Callable[[], None]] = {
        "connect": connect,
        "head": head,
        "unary body": head,
        "body": body,
        "back off": head,
        "queue": queue,
    }
    with router:
        for line in sys.stdin:
            interrupted = False
            try:
                deeds[line.strip()]()
            except KeyboardInterrupt:
                interrupted = True
            held = sum(health.in_flight for health in router.health())
            left = [held, router._core.scheduler.in_flight, router._core.scheduler.waiting, len(router._events)]
            tell(interrupted=interrupted, left=left, again=router.chat(ask("healthy"), timeout=10.0).text)


if __name__ == "__main__":
    main()
