"""The end of a sandbox leaves nothing open, whatever its clients do."""

from __future__ import annotations

import contextlib
import gc
import socket
import warnings

import pytest

from turnout_sandbox import Sandbox

pytestmark = pytest.mark.full


def test_connections_of_the_last_moment_are_closed() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(5):
            with contextlib.ExitStack() as clients, Sandbox() as sandbox:
                for _ in range(5):
                    clients.enter_context(socket.create_connection(("127.0.0.1", sandbox.port)))
            gc.collect()
    assert not [str(one.message) for one in caught]
