"""Environments for the SDKs, one for each, so that the dependencies of one never change those of another.

An environment is a folder with an SDK and its dependencies, without Turnout. The script `read_sdk.py` runs in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["SdkFailed", "install", "pinned", "read_values", "sdk_name"]

_HERE = Path(__file__).parent
_SECONDS = 600


class SdkFailed(RuntimeError):
    """An SDK could not be installed or read."""


def pinned(file: Path = _HERE / "sdks.txt") -> list[str]:
    """Return the requirements of a file, one a line, without its comments."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def sdk_name(requirement: str) -> str:
    """Return the name of the package in a requirement such as `openai==3.57.0`."""
    return requirement.partition("==")[0]


def install(requirement: str, root: Path) -> Path:
    """Install an SDK into a folder of its own under `root`, unless it is there, and return the folder.

    Raises:
        SdkFailed: If pip fails; the message holds the end of its output.
    """
    folder = root / requirement
    done = folder / ".installed"
    if not done.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
        ran = _run([*command, "--upgrade", "--target", str(folder), requirement])
        if ran.returncode:
            raise SdkFailed(f"{requirement}: pip failed: {ran.stderr.decode(errors='replace').strip()[-500:]}")
        done.touch()
    return folder


def read_values(folder: Path, surfaces: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the values of each surface, as the SDK in the folder has them.

    Raises:
        SdkFailed: If a type is not where the surface says, so that a renamed type is noticed.
    """
    command = [sys.executable, "-I", "-S", str(_HERE / "read_sdk.py"), str(folder)]
    ran = _run(command, json.dumps(surfaces).encode())
    if ran.returncode:
        raise SdkFailed(f"{folder.name}: cannot be read: {ran.stderr.decode(errors='replace').strip()[-500:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    failed = [f"{name}: {values['error']}" for name, values in found.items() if isinstance(values, dict)]
    if failed:
        raise SdkFailed("\n".join(failed))
    return found


def _run(command: Sequence[str], stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=stdin, capture_output=True, timeout=_SECONDS, check=False)
