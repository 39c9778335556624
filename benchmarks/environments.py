"""The environments of the peers: `python -m benchmarks.environments`.

Each library lives in a virtual environment of its own, because their dependencies exclude each other. They are made
under `.benchmarks/` in the root of the project, or under another folder that is given; `python -m benchmarks` finds
them there by the same option. A peer without an environment is left out of the tables.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["FOLDER", "PEERS", "interpreters", "make_environments"]

FOLDER = Path(__file__).resolve().parents[1] / ".benchmarks"

# The versions that the published figures were measured with.
PEERS: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai==3.57.0",),
    "litellm": ("litellm==1.110.2",),
    "any-llm": ("any-llm-sdk[openai]==1.40.2",),
    "pydantic-ai": ("pydantic-ai-slim[openai]==2.68.0",),
    "httpx2": ("httpx2==2.16.2",),
}
_CLIENTS: Mapping[str, str] = {
    "openai": "openai",
    "openai-async": "openai",
    "litellm": "litellm",
    "any-llm": "any-llm",
    "pydantic-ai": "pydantic-ai",
    "httpx2": "httpx2",
}


def _python(folder: Path, peer: str) -> Path:
    return folder / peer / "bin" / "python"


def interpreters(folder: Path = FOLDER) -> dict[str, str]:
    """Return the clients of peers that can be measured, and the interpreter of each."""
    found = {client: _python(folder, peer) for client, peer in _CLIENTS.items()}
    return {client: str(python) for client, python in found.items() if python.exists()}


def make_environments(folder: Path, peers: Sequence[str]) -> None:
    """Make the environments of these peers, and install what belongs into each."""
    for peer in peers:
        print(f"{peer}: {' '.join(PEERS[peer])}", flush=True)
        venv.create(folder / peer, with_pip=True, clear=True)
        install = (str(_python(folder, peer)), "-m", "pip", "install", "-q", "--disable-pip-version-check")
        subprocess.run([*install, *PEERS[peer]], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.environments", description=__doc__)
    options.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)} (all)")
    options.add_argument("--folder", type=Path, default=FOLDER, help=f"where they are made ({FOLDER.name}/)")
    given = options.parse_args(arguments)
    unknown = sorted(set(given.peers) - set(PEERS))
    if unknown:
        options.error(f"unknown peer {unknown[0]!r}; known are {', '.join(PEERS)}")
    make_environments(given.folder, given.peers or list(PEERS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
