"""`python -m turnout_sandbox`: the sandbox without the command line's dependencies."""

from __future__ import annotations

import argparse
import sys

from turnout.errors import LocalProtocolError, ProviderNotRegistered
from turnout_sandbox.server.serve import print_environment, serve


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m turnout_sandbox", description=serve.__doc__)
    parser.add_argument("--port", type=int, default=8089, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--script", default=None, help="a file of faults, YAML or JSON")
    parser.add_argument("--token-interval", type=float, default=0.03, help="seconds between tokens of a stream")
    parser.add_argument("--env", action="store_true", help="print the variables for programs on this port, and end")
    given = parser.parse_args(arguments)
    try:
        if given.env:
            print_environment(given.port)
            return 0
        serve(given.port, given.script, token_interval=given.token_interval)
    except (OSError, LocalProtocolError, ProviderNotRegistered) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
