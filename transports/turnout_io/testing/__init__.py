"""For the tests of programs that use Turnout: transports that play a script, or a recording.

    from turnout_io.testing import ScriptedTransport

    transport = ScriptedTransport()
    transport.answer("openai", "Hello")
    with Router.from_env(environ={"OPENAI_API_KEY": "test"}, transport=transport) as router:
        assert greet(router) == "Hello"

They need no network, no time and no test framework. For a server for other programs, see `turnout_io.sandbox`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnout_io.testing.playback import ScriptError
from turnout_io.testing.recording import AsyncRecordingTransport, RecordingTransport
from turnout_io.testing.replaying import AsyncReplayTransport, ReplayTransport
from turnout_io.testing.replies import STALL, BodyStep, Reply
from turnout_io.testing.scripted import AsyncScriptedTransport, ScriptedTransport
from turnout_sandbox.answers import ScriptedAnswer, ScriptedCall
from turnout_sandbox.faults import Fault

__all__ = [
    "STALL",
    "AsyncRecordingTransport",
    "AsyncReplayTransport",
    "AsyncScriptedTransport",
    "BodyStep",
    "Fault",
    "RecordingTransport",
    "ReplayTransport",
    "Reply",
    "ScriptError",
    "ScriptedAnswer",
    "ScriptedCall",
    "ScriptedTransport",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
