"""Answers the line that each TCP client sends: python examples/trio_service.py [PORT]. SIGTERM and Ctrl-C stop it.

Without a port it asks itself once, and stops itself before the answer is complete: the answer still arrives whole.
"""

import signal
import sys
from functools import partial

import trio

from turnout import TurnoutError
from turnout_io.trio import Router

GRACE = 20  # seconds for the answers that are in flight; many platforms kill a process 30 s after SIGTERM
MODEL, FALLBACKS = "openai/gpt-4o-mini", ["gemini/gemini-2.5-flash"]


async def serve(router: Router, client: trio.SocketStream) -> None:
    """Stream the answer to one client."""
    question = b""
    with trio.move_on_after(10):  # a client that sends nothing must not keep its task
        async for data in client:
            question += data
            if b"\n" in data:
                break
    try:
        async with router.stream(MODEL, question.decode(), fallbacks=FALLBACKS, total_timeout=60) as stream:
            async for text in stream.text:
                await client.send_all(text.encode())
    except trio.BrokenResourceError:
        pass  # the client left: the stream is closed, so nothing more is paid for
    except (TurnoutError, ValueError) as error:
        await client.send_all(f"failed: {error}".encode())


async def ask(port: int) -> None:
    """Ask the service, and stop it as a platform does once the answer has begun."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as client:
        await client.send_all(b"Why do points freeze?\n")
        answer = await client.receive_some()
        signal.raise_signal(signal.SIGTERM)
        async for data in client:
            answer += data
        print(answer.decode())


async def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    # Leaving the blocks from the inside out is the shutdown: no new client, then the answers, then the connections.
    async with (
        Router.from_env(timeout=20, max_concurrency=64, max_pending=256) as router,
        trio.open_nursery() as clients,
    ):
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as server:
                listen = partial(trio.serve_tcp, handler_nursery=clients, host="127.0.0.1")
                listeners = await server.start(listen, partial(serve, router), port)
                if not port:
                    clients.start_soon(ask, listeners[0].socket.getsockname()[1])
                await anext(signals)
                server.cancel_scope.cancel()
        clients.cancel_scope.deadline = trio.current_time() + GRACE


if __name__ == "__main__":
    trio.run(main)
