"""Programs of other people between Turnout and a sandbox: how they are found, started and stopped; and how to ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import trio

import turnout_io.asyncio as asyncio_driver
import turnout_io.trio as trio_driver
from turnout.chat import ChatRequest, ChatResponse
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout_io.sync import Router
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

# Packages of Debian, unpacked and not installed, are under this folder.
UNPACKED = os.environ.get("TURNOUT_PEERS")
QUESTION = "Say a few things about trains."


def program(name: str) -> str | None:
    """Where a program is: in the unpacked packages, on the path, or where a variable says."""
    named = os.environ.get(f"TURNOUT_{name.upper()}")
    folders = [f"{UNPACKED}/usr/{folder}" for folder in ("sbin", "bin")] if UNPACKED else []
    return named or shutil.which(name, path=os.pathsep.join(folders)) or shutil.which(name)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program, once it listens on `port`; stopped at the end, by its process id."""
    libraries = f"{UNPACKED}/usr/lib/x86_64-linux-gnu" if UNPACKED else ""
    environ = {**os.environ, "LD_LIBRARY_PATH": libraries} if libraries else None
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=environ)
    try:
        for _ in range(1500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.02)
                raise AssertionError(f"{command[0]} ended: {(folder / 'output').read_text()}")
        else:
            raise AssertionError(f"{command[0]} does not listen: {(folder / 'output').read_text()}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


# -- asking through each transport ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Asked:
    """What to ask, and how.

    calls   how many times, with one transport
    before  is called before each call but the first
    """

    endpoint: str
    stream: bool = False
    calls: int = 1
    question: str = QUESTION
    model: str = "llama-3.1-8b-instant"
    options: Mapping[str, Any] = attrs.field(factory=dict)
    before: Callable[[], None] = lambda: None
    policy: Policy = Policy(timeout=30, max_retries=0)

    @property
    def request(self) -> ChatRequest:
        return ChatRequest(f"groq/{self.model}", self.question)

    def providers(self) -> list[Any]:
        return [create("groq", api_key="sandbox-groq-key", base_url=self.endpoint)]


def _blocking(transport: Callable[..., Any]) -> Callable[[Asked], list[ChatResponse]]:
    def ask(asked: Asked) -> list[ChatResponse]:
        replies = []
        with Router(asked.providers(), policy=asked.policy, transport=transport(**asked.options)) as router:
            for number in range(asked.calls):
                if number:
                    asked.before()
                if not asked.stream:
                    replies.append(router.chat(asked.request))
                    continue
                with router.stream(asked.request) as stream:
                    told = "".join(event.delta for event in stream if event.type == "token")
                    assert told == stream.response.text
                    replies.append(stream.response)
        return replies

    return ask


def _concurrent(module: Any, transport: Callable[..., Any], run: Callable[[Any], Any]) -> Callable[[Asked], Any]:
    def ask(asked: Asked) -> Any:
        async def main() -> list[ChatResponse]:
            replies = []
            made = transport(**asked.options)
            async with module.Router(asked.providers(), policy=asked.policy, transport=made) as router:
                for number in range(asked.calls):
                    if number:
                        asked.before()
                    if not asked.stream:
                        replies.append(await router.chat(asked.request))
                        continue
                    async with router.stream(asked.request) as stream:
                        told = "".join([event.delta async for event in stream if event.type == "token"])
                        assert told == stream.response.text
                        replies.append(stream.response)
            return replies

        return run(main)

    return ask


DRIVERS: dict[str, Callable[[Asked], list[ChatResponse]]] = {
    "requests": _blocking(RequestsTransport),
    "sockets": _blocking(SocketTransport),
    "trio": _concurrent(trio_driver, TrioTransport, trio.run),
    "asyncio": _concurrent(asyncio_driver, AsyncioTransport, lambda main: asyncio.run(main())),
}
