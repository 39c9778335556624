"""Everything of Turnout that touches the world: transports, drivers, files, the sandbox, the command line.

Import the driver you want: `turnout_io.sync.Router` for blocking code, `turnout_io.trio.Router` for trio.
Importing this package opens nothing, reads nothing and starts nothing. Each module below is loaded when it is first
used.
"""

import importlib

_MODULES = frozenset("asyncio batch caching files metrics otel recorder sandbox sync testing trio".split())
_ELSEWHERE = {
    "Router": "from turnout_io.sync import Router (or turnout_io.trio, turnout_io.asyncio)",
    "AsyncRouter": "from turnout_io.asyncio import Router (or turnout_io.trio)",
    "ChatStream": "from turnout_io.sync import ChatStream (or turnout_io.trio, turnout_io.asyncio)",
    "MemoryCache": "from turnout_io.caching import MemoryCache",
    "TraceRecorder": "from turnout_io.recorder import TraceRecorder",
    "Metrics": "from turnout_io.metrics import Metrics",
    "OpenTelemetry": "from turnout_io.otel import OpenTelemetry",
    "PriceList": "from turnout_io.price_list import PriceList",
    "Sandbox": "from turnout_io.sandbox import Sandbox",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _ELSEWHERE:
        # `from turnout_io import …` would replace an AttributeError by an error of its own.
        raise ImportError(f"turnout_io has no {name!r}: write {_ELSEWHERE[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
