"""Asks a Sentinel which server is the primary now."""

from __future__ import annotations

from turnout.shared.store.resp import RespParser, encode_command
from turnout.shared.store.session import StoreFailed
from turnout_io.transports._async.handshake import send
from turnout_io.transports._async.runtime import AsyncSocketRuntime
from turnout_io.transports.byte_streams import ByteStream
from turnout_io.transports.socket_runtime import DeadlinePassed

__all__ = ["ask_sentinel"]


async def ask_sentinel(
    stream: ByteStream, runtime: AsyncSocketRuntime, deadline: float, name: str, where: str
) -> tuple[str, int]:
    """Return the host and the port of a primary.

    Args:
        stream: A connection to a Sentinel.
        runtime: How to wait for its socket.
        deadline: When to give up, by the runtime's clock.
        name: The name of the primary.
        where: The Sentinel's address, for errors.

    Raises:
        StoreFailed: If it does not answer, or knows no such primary.
    """
    parser = RespParser()
    try:
        stream.write(encode_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name))
        await send(stream, runtime, deadline)
        while True:
            data = stream.read()
            if data is None:
                if not await runtime.wait((stream.socket,), (), deadline):
                    raise DeadlinePassed
                continue
            values = parser.receive_data(data) if data else []
            if values:
                break
            if not data or parser.failure is not None:
                raise StoreFailed(f"the Sentinel at {where} closed the connection")
    except DeadlinePassed:
        raise StoreFailed(f"the Sentinel at {where} did not answer") from None
    match values[0]:
        case (bytes(host), bytes(port)) if port.isdigit():
            return host.decode("utf-8", "replace"), int(port)
        case _:
            raise StoreFailed(f"the Sentinel at {where} knows no primary named {name!r}")
