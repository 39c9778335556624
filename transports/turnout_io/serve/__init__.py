"""A gateway: chat completions, Responses, Messages and embeddings over HTTP, answered through one router.

    async with Router(providers, on_trace=record_trace) as router:
        await Gateway(router, GatewaySettings()).serve()

`turnout serve` is the same from the command line. It needs the extra `serve`: `pip install "turnout[serve]"`.
"""

from turnout_io.serve.gateway import Gateway, scopes_of
from turnout_io.serve.served_call import record_trace
from turnout_io.serve.settings import (
    Address,
    AliasSettings,
    GatewaySettings,
    KeySettings,
    read_gateway_settings,
)

__all__ = [
    "Address",
    "AliasSettings",
    "Gateway",
    "GatewaySettings",
    "KeySettings",
    "read_gateway_settings",
    "record_trace",
    "scopes_of",
]
