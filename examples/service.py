"""Answers each line that a TCP client sends: python examples/service.py [PORT]. Without a port it asks itself once."""

import asyncio
import sys

from turnout import ChatRequest, TurnoutError
from turnout_io.asyncio import Router


async def serve(router: Router, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stream the answers to the questions of one client, until it closes the connection."""
    try:
        while question := (await reader.readline()).decode("utf-8", "replace").strip():
            request = ChatRequest("openai/gpt-4o-mini", question, fallbacks=["gemini/gemini-2.5-flash"])
            try:
                async with router.stream(request) as stream:
                    async for event in stream:
                        if event.type == "token":
                            writer.write(event.delta.encode())
                            await writer.drain()
            except TurnoutError as error:
                writer.write(f"failed: {error}".encode())
            writer.write(b"\n")
    finally:
        writer.close()


async def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    async with Router.from_env(timeout=20, max_concurrency=64, max_pending=256) as router:
        server = await asyncio.start_server(lambda r, w: serve(router, r, w), "127.0.0.1", port)
        async with server:
            if port:
                await server.serve_forever()
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"Why do points freeze?\n")
            print((await reader.readline()).decode().strip())
            writer.close()
            await writer.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
