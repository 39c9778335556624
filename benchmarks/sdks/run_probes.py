"""Run the operations of one SDK against providers of the sandbox, and print what became of each, as JSON.

A script of its own, because it runs in the environment of the SDK, which holds neither Turnout nor its dependencies:

    python -I -S run_probes.py FOLDER PROBES < sites.json

`FOLDER` holds the SDK and its dependencies (`pip install --target`), `PROBES` is a module of the folder `probes`. A
site holds the URL, the key, the models and the texts to send. The output has for each site an object that maps each
operation to "" or to the error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Read the sites from the standard input, run their operations, and print the results."""
    sys.path[:0] = [sys.argv[1], str(Path(__file__).parent)]
    probes = importlib.import_module(f"probes.{sys.argv[2]}")
    results: list[dict[str, str]] = []
    for site in json.load(sys.stdin):
        os.environ.update(site["environ"])
        results.append({name: _run(operation) for name, operation in probes.operations(site).items()})
    json.dump(results, sys.stdout)


def _run(operation: Callable[[], None]) -> str:
    try:
        operation()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[1]
        return f"line {where.lineno}, {where.line}: {type(error).__name__}: {error}"[:1500]
    return ""


if __name__ == "__main__":
    main()
