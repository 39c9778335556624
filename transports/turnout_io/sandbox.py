"""The sandbox under the name that programs know: see `turnout_sandbox`."""

from turnout_sandbox import *  # noqa: F403  # the same names, spelled out there
from turnout_sandbox import __all__ as __all__

if __name__ == "__main__":
    from turnout_sandbox.__main__ import main

    raise SystemExit(main())
