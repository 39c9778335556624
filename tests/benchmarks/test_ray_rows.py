"""The measurement of Ray's jobs: its provider is another process, and a job that hangs is an error."""

from __future__ import annotations

import json
import signal
import threading
import urllib.request

import pytest

from benchmarks.ray_rows import JobStalled, _bounded, _provider

pytestmark = pytest.mark.slow


def test_the_provider_counts_what_arrives() -> None:
    with _provider() as provider:
        assert provider.sent() == 0
        body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
        headers = {"Authorization": f"Bearer {provider.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{provider.url}/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=20) as reply:
            assert reply.status == 200
        assert provider.sent() == 1
        assert provider.environ["OPENAI_ENDPOINT"] == provider.url


def hang() -> None:
    with _bounded("turnout", 0.01, lambda: "12 requests of 30"):
        threading.Event().wait(60.0)


def test_a_job_that_hangs_says_how_far_it_came() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(JobStalled, match=r"turnout: no end within 0\.01 s; 12 requests of 30"):
        hang()
    assert signal.getsignal(signal.SIGALRM) is before
    with _bounded("turnout", 60.0, str):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
