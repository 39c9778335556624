"""`turnout doctor`: which faults it finds, and that it prints no key."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator

from tests.transports.cli.terminal import Terminal
from turnout_io.sandbox import Fault, Sandbox


def findings(terminal: Terminal, *words: str, variables: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    done = terminal.check("doctor", "--json", *words, variables=variables)
    found = [(entry["level"], entry["subject"], entry["text"]) for entry in json.loads(done.stdout)]
    assert done.returncode == any(level == "error" for level, _, _ in found)
    return found


def test_a_key_that_works_is_ok(terminal: Terminal, sandbox: Sandbox) -> None:
    found = findings(terminal, "openai", "gemini")
    texts = {subject: text for level, subject, text in found if level == "ok"}
    assert texts["openai"].startswith("the key is accepted; ")
    assert texts["gemini"].startswith("the key is accepted; ")
    assert sandbox.key("openai") not in str(found)


def test_a_key_that_is_rejected_is_an_error_and_not_printed(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=401), forever=True)
    found = findings(terminal, "openai", variables={"OPENAI_API_KEY": "'secret-and-wrong '"})
    assert ("warning", "openai", "its key has quotes, spaces or line breaks, which no real key has") in found
    assert next(text for level, _, text in found if level == "error").startswith("the key is rejected: openai: ")
    assert "secret-and-wrong" not in str(found)


def test_a_server_that_does_not_run_is_an_error(bare: Terminal) -> None:
    variables = {"OPENAI_API_KEY": "k", "OPENAI_ENDPOINT": "http://127.0.0.1:9/v1"}
    found = findings(bare, "openai", variables=variables)
    assert next(text for level, _, text in found if level == "error").startswith("the connection is refused: ")


def test_offline_names_what_is_missing(bare: Terminal) -> None:
    variables = {"HTTPS_PROXY": "http://me:secret@proxy.example:3128", "REQUESTS_CA_BUNDLE": "/nothing.pem"}
    bare.configure("cli: {model: nobody/x}\n")
    found = findings(bare, "openai", "--offline", variables=variables)
    assert ("error", "openai", "it is not configured; set OPENAI_API_KEY") in found
    assert ("error", "certificates", "REQUESTS_CA_BUNDLE names /nothing.pem, which does not exist") in found
    assert ("error", "default model", "nobody/x: there is no provider 'nobody'") in found
    assert "secret" not in str(found)
    assert next(text for _, subject, text in found if subject == "versions").startswith("Python 3.")


def test_a_file_that_cannot_be_read_is_one_of_the_findings(bare: Terminal) -> None:
    bare.configure("cli: {model")
    found = findings(bare)
    assert found[0][1] == "versions"
    level, subject, text = found[-1]
    assert (level, subject) == ("error", "settings")
    assert f"{bare.settings / 'config.yaml'}, line 1: this is not YAML" in text


def test_no_key_is_accepted_that_was_not_looked_at(terminal: Terminal) -> None:
    """Ollama needs no key, and OpenRouter lists its models for everybody."""
    found = {subject: text for _, subject, text in findings(terminal, "ollama", "openrouter")}
    assert found["ollama"].startswith("it runs; 4 models in ")
    assert found["openrouter"].startswith("it can be reached; 3 models in ")
    assert "its list needs no key, so the key is not checked" in found["openrouter"]


def test_each_provider_with_a_key_is_listed(bare: Terminal) -> None:
    variables = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9", "MOONSHOT_API_KEY": "k"}
    assert ("info", "providers", "with a key: azure, moonshot") in findings(bare, "--offline", variables=variables)


def test_offline_says_which_providers_have_a_key(bare: Terminal) -> None:
    bare.configure("cli: {model: gemini/gemini-2.5-flash}\n")
    found = findings(bare, "--offline", variables={"OPENAI_API_KEY": "sk-1"})
    assert ("info", "providers", "with a key: openai") in found
    (level, _, text) = next(finding for finding in found if finding[1] == "default model")
    assert (level, text.partition(" and ")[0]) == ("error", "gemini/gemini-2.5-flash: set GEMINI_API_KEY")
    found = findings(bare, "--offline", variables={"GEMINI_API_KEY": "k"})
    assert ("ok", "default model", "gemini/gemini-2.5-flash") in found


@contextlib.contextmanager
def server_with_a_wrong_clock() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"object": "list", "data": [{"id": "m", "object": "model"}]}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  # the name that the base class calls

        def date_time_string(self, timestamp: float | None = None) -> str:
            return "Thu, 01 Jan 2015 00:00:00 GMT"

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def test_a_clock_that_is_wrong_is_a_warning(bare: Terminal) -> None:
    with server_with_a_wrong_clock() as url:
        found = findings(bare, "openai", variables={"OPENAI_API_KEY": "k", "OPENAI_ENDPOINT": url})
    (warning,) = (text for level, _, text in found if level == "warning")
    assert warning.startswith("the clock of this machine is ")
    assert warning.endswith(" s ahead of the provider's")


def test_the_report_is_readable(terminal: Terminal) -> None:
    done = terminal.check("doctor", "--offline", variables={"COLUMNS": "60"})
    assert done.returncode == 0, done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 60


def test_the_address_that_was_asked_is_printed(bare: Terminal) -> None:
    """NAME_ENDPOINT counts before the variable of the official SDK."""
    with server_with_a_wrong_clock() as url:
        variables = {"OPENAI_API_KEY": "k", "OPENAI_ENDPOINT": url, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
        found = findings(bare, "openai", variables=variables)
    asked = [text for level, name, text in found if name == "openai" and level in ("ok", "error")]
    assert asked
    assert all(url in text for text in asked), asked
