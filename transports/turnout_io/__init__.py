"""Everything of Turnout that touches the world: transports, drivers, files, the sandbox, the command line.

Import the driver you want: `turnout_io.sync.Router` for blocking code, `turnout_io.trio.Router` for trio.
Importing this package opens nothing, reads nothing and starts nothing. Each module below is loaded when it is first
used.
"""

import importlib

_MODULES = frozenset("asyncio batch caching files metrics otel recorder sandbox sync testing trio".split())


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    from turnout._utils.hints.names import missing_name

    raise missing_name(__name__, name)
