"""A loopback server that speaks the dialects of real LLM providers, with scripted faults.

Use it to test your own program, or to try Turnout without a key:

    from turnout_sandbox import Fault, Sandbox

    with Sandbox() as sandbox:
        sandbox.script("openai", Fault(status=503), Fault(abort="reset", after_tokens=2))
        …  # a program configured with sandbox.environ()

It listens on 127.0.0.1 only and needs nothing but the standard library (and PyYAML, for script files in YAML). It is
written from the providers' documented and recorded behaviour, and shares no code with Turnout's own parsers: where the
two agree, two independent readings agree.
"""

from __future__ import annotations

from turnout_sandbox.answers import ParsedRequest, ScriptedAnswer, ScriptedCall
from turnout_sandbox.errors import ErrorKind
from turnout_sandbox.faults import Abort, Corruption, Fault
from turnout_sandbox.received import Received, ResponseOutcome
from turnout_sandbox.sandbox import Sandbox
from turnout_sandbox.script_file import read_script
from turnout_sandbox.server.serve import serve

__all__ = [
    "Abort",
    "Corruption",
    "ErrorKind",
    "Fault",
    "ParsedRequest",
    "Received",
    "ResponseOutcome",
    "Sandbox",
    "ScriptedAnswer",
    "ScriptedCall",
    "read_script",
    "serve",
]
