"""A sandbox, and terminals with and without its keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transports.cli.terminal import Terminal
from turnout_io.sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


@pytest.fixture
def terminal(tmp_path: Path, sandbox: Sandbox) -> Terminal:
    """A terminal with the variables of a sandbox."""
    return Terminal(tmp_path, sandbox.environ())


@pytest.fixture
def bare(tmp_path: Path) -> Terminal:
    """A terminal without any key."""
    return Terminal(tmp_path, {})
