"""`turnout chat`: the question, the request, and the forms of the answer."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import pytest

from tests.transports.cli.terminal import COMMAND, Terminal
from turnout_io.sandbox import Fault, Sandbox

MODEL = ("-m", "openai/gpt-4o-mini", "--no-log")
SCHEMA = (
    '{"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": false}'
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def content(sandbox: Sandbox) -> Any:
    """Return the content of the last message of the only request."""
    (request,) = sandbox.requests
    return request.body["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("words", "stdin", "wanted"),
    [
        (("Summarize this.",), "Notes.\n", "Notes.\n\nSummarize this."),
        ((), "Notes.\n", "Notes."),
        (("-",), "\ufeffNotes.", "Notes."),
        (("Hello?",), "", "Hello?"),
    ],
    ids=["joined", "stdin", "dash", "prompt"],
)
def test_stdin_and_prompt_are_joined(
    terminal: Terminal, sandbox: Sandbox, words: tuple[str, ...], stdin: str, wanted: str
) -> None:
    done = terminal.check("chat", *words, *MODEL, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert content(sandbox) == wanted


def test_a_pipe_and_a_prompt_are_joined_in_a_process(terminal: Terminal, sandbox: Sandbox) -> None:
    done = terminal.type("chat", "Summarize this.", *MODEL, stdin="Notes.\n")
    assert done.returncode == 0, done.stderr
    assert content(sandbox) == "Notes.\n\nSummarize this."


@pytest.mark.parametrize("words", [(), ("",), ("-",), (" \n",)])
def test_an_empty_question_is_an_error(bare: Terminal, words: tuple[str, ...]) -> None:
    done = bare.check("chat", *words, *MODEL)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the question is empty" in done.stderr


def test_stdin_that_is_not_text_is_refused(terminal: Terminal) -> None:
    done = terminal.check("chat", "x", *MODEL, stdin=b"\xff\xfe\x00")
    assert done.returncode == 2
    assert "stdin is not UTF-8 text (byte 0)" in done.stderr


def test_the_answer_is_streamed_and_explained(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "Forty-two, I think.")
    done = terminal.check("chat", "Why?", *MODEL, "--explain", "-s", "Be brief.", "-u")
    assert (done.returncode, done.stdout) == (0, "Forty-two, I think.\n")
    assert "answered by openai/gpt-4o-mini" in done.stderr
    assert "turnout: openai/gpt-4o-mini: " in done.stderr
    assert " completion tokens, cost " in done.stderr
    (request,) = sandbox.requests
    assert request.body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_the_timeout_bounds_the_whole_answer(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(stall=10, after_tokens=3), forever=True)
    done = terminal.check("chat", "Why?", *MODEL, "--timeout", "1")
    assert done.returncode == 1
    assert "deadline" in done.stderr


def test_a_timeout_is_a_duration_as_in_the_config_file(terminal: Terminal, sandbox: Sandbox) -> None:
    done = terminal.check("chat", "Why?", *MODEL, "--timeout", "1m30s")
    assert done.returncode == 0, done.stderr


def test_a_schema_with_optional_properties_needs_no_strict(terminal: Terminal, sandbox: Sandbox) -> None:
    schema = '{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}'
    assert terminal.check("chat", "Why?", *MODEL, "--schema", schema).returncode == 1
    done = terminal.check("chat", "Why?", *MODEL, "--schema", schema, "--no-strict")
    assert done.returncode == 0, done.stderr
    (request,) = sandbox.requests
    assert request.body["response_format"]["json_schema"].get("strict") in (None, False)


def test_a_pdf_that_is_all_ascii_is_a_file(terminal: Terminal, sandbox: Sandbox) -> None:
    (terminal.folder / "d.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    done = terminal.check("chat", "Read this.", *MODEL, "-a", str(terminal.folder / "d.pdf"))
    assert done.returncode == 0, done.stderr
    assert [part["type"] for part in content(sandbox)] == ["text", "file"]


def test_the_answer_is_printed_whole(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "Forty-two, I think.")
    done = terminal.check("chat", "Why?", *MODEL, "--no-stream")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Forty-two, I think.\n", "")


def test_json_has_usage_cost_served_model_and_attempts(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=503), forever=True)
    done = terminal.check("chat", "x", *MODEL, "-m", "gemini/gemini-2.5-flash", "--json", "--explain")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["model"], answer["served_model"]) == ("gemini/gemini-2.5-flash", "gemini-2.5-flash")
    assert answer["usage"]["total_tokens"] > 0
    assert answer["cost"] > 0
    outcomes = [(attempt["candidate"], attempt["outcome"], attempt["status"]) for attempt in answer["attempts"]]
    assert outcomes[0] == ("openai/gpt-4o-mini", "failed", 503)
    assert outcomes[-1] == ("gemini/gemini-2.5-flash", "answered", 200)
    assert answer["trace"]["operation"] == "chat"


def test_an_error_is_json_too_if_that_was_asked_for(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=401), forever=True)
    done = terminal.check("chat", "x", *MODEL, "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert (error["type"], error["status"], error["provider"]) == ("AuthenticationFailed", 401, "openai")
    assert [attempt["outcome"] for attempt in error["attempts"]] == ["failed"]
    assert done.stderr.startswith("turnout: openai/gpt-4o-mini: ")
    assert done.stderr.count("\n") == 1


def test_settings_reach_the_request(terminal: Terminal, sandbox: Sandbox) -> None:
    done = terminal.check(
        "chat", "x", *MODEL, "-o", "temperature", "0.2", "-o", "max-tokens", "50", "-o", "stop", "END"
    )
    assert done.returncode == 0, done.stderr
    (request,) = sandbox.requests
    assert (request.body["temperature"], request.body["stop"]) == (0.2, ["END"])
    assert 50 in (request.body.get("max_tokens"), request.body.get("max_completion_tokens"))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("-o", "temprature", "0"), "-o temprature: no such setting; did you mean temperature?"),
        (("-o", "temperature", "9e999"), "-o temperature 9e999: must be"),
        (("-a", "nothing.png"), "-a nothing.png: No such file"),
        (("--schema", "{"), "--schema: line 1: this is not JSON"),
        (("--schema", "name, age number"), "'age number' is no field"),
        (("--schema", "age integer"), "with the types str, int, float, bool"),
        (("--timeout", "5 apples"), "'5 apples' is no time; write seconds such as 5, 500ms or 1m30s"),
        (("--schema", f"name: {'long ' * 80}, age number"), "'age number' is no field"),
        (("--schema", "dog.json"), "--schema dog.json: there is no such file"),
        (("-a", "-", "-a", "-"), "stdin can be read only once"),
        (("--conversation", "x"), "no conversation has the id 'x'"),
        (("-t", "template"), "there are no templates"),
        (("--temperature", "0"), "-o temperature VALUE"),
        (("--top-p", "0.1"), "-o top_p VALUE"),
        (("--api-key", "k"), "keys are in variables such as OPENAI_API_KEY"),
        (("-p", "hi"), "the question is the argument PROMPT"),
        (("--fallback", "openai/gpt-5"), "give -m once more for each fallback"),
        (("--output", "x"), "turnout chat PROMPT > FILE"),
        (("--nothing",), "No such option"),
        (("--schemas", "x"), "Did you mean --schema?"),
        (("--tool", "x"), "router.run"),
        (("--functions", "x"), "router.run"),
        (("--save", "x"), "turnout config set system"),
        (("-o", "temperature=0.2"), "write -o temperature 0.2"),
        (("-o", "temperature", "hot"), "-o temperature hot: must be a number"),
        (("-o", "stop", "5"), "-o stop 5: must be"),
        (("--role", "x"), "instructions are --system"),
        (("-C",), "-c continues the last conversation"),
        (("--temp", "0"), "-o temperature VALUE"),
        (("--list-models",), "turnout models"),
        (("-e",), "nothing is executed"),
        (("--quiet",), "notes are on stderr"),
        (("--at", "x", "image/png"), "the type is found"),
        (("-o", "num_ctx", "4096"), """-o extra '{"num_ctx": 4096}'"""),
        (("-o", "user", "me"), """-o extra '{"user": "me"}'"""),
        (("-o", "response_format", "json"), "--schema"),
        (("-o", "stream", "true"), "--no-stream"),
        (("-o", "tools", "[]"), "router.run"),
        (("-o", "model", "openai/gpt-4o"), "-m PROVIDER/MODEL"),
        (("-o", "temperature"), "-o takes KEY VALUE"),
        (("--schema", "https://example.com/dog.json"), "a schema is not read from a URL"),
        (("--schema", "schemas/dog"), "'schemas/dog' is no field"),
        (("--schema", "dog.yaml"), "'dog.yaml' is no field"),
        (("--schema", "/"), "--schema /: it is a folder"),
        (("-a", "file:///tmp/yard.jpg"), "-a /tmp/yard.jpg"),
        (("-a", "ftp://example.com/yard.jpg"), "only http and https"),
        (("--option", "temperature=0.2", "-u"), "write --option temperature 0.2"),
    ],
)
def test_wrong_options_are_named(bare: Terminal, words: tuple[str, ...], wanted: str) -> None:
    done = bare.check("chat", "x", *MODEL, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert wanted in done.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--schema", '{"type": "string"}'), "--no-strict asks for it"),
        (("-a", "https://example.com/a.png", "-m", "ollama/llava"), "download it, and attach the file: -a FILE"),
        (("-o", "reasoning_effort", "high"), "set unsupported: drop for the provider in the config file"),
    ],
)
def test_errors_name_options_and_no_python(terminal: Terminal, words: tuple[str, ...], wanted: str) -> None:
    done = terminal.check("chat", "x", *(MODEL if "-m" not in words else ()), *words)
    assert done.returncode == 1
    assert wanted in done.stderr
    assert "(" not in done.stderr


def test_words_after_two_dashes_are_no_options(bare: Terminal) -> None:
    done = bare.check("chat", *MODEL, "--", "Why?", "--json")
    assert done.returncode == 2
    assert "options are before --" in done.stderr


def test_a_schema_of_a_pipe_is_read(terminal: Terminal) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(COMMAND)} chat x {' '.join(MODEL)} --schema <(echo '{SCHEMA}')"],
        env=terminal.environ,
        cwd=terminal.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout).keys() == {"age"}


def test_no_id_is_given_for_a_conversation_that_is_not_kept(terminal: Terminal) -> None:
    assert json.loads(terminal.check("chat", "x", *MODEL, "--json").stdout)["conversation"] is None
    assert json.loads(terminal.check("chat", "x", *MODEL, "--json", "--log").stdout)["conversation"]


def test_an_option_that_is_not_similar_is_not_suggested(bare: Terminal) -> None:
    done = bare.check("chat", "x", "--timer")
    assert done.returncode == 2
    assert "Did you mean" not in done.stderr


def test_an_image_of_stdin_and_a_text_file_are_attached(terminal: Terminal, sandbox: Sandbox) -> None:
    notes = terminal.folder / "notes.txt"
    notes.write_text("Rain tomorrow.")
    done = terminal.check("chat", "What is this?", *MODEL, "-a", "-", "-a", str(notes), stdin=PNG)
    assert done.returncode == 0, done.stderr
    question, image, text = content(sandbox)
    assert question == {"type": "text", "text": "What is this?"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert text["text"] == "notes.txt:\n\nRain tomorrow."


def test_a_url_is_attached(terminal: Terminal, sandbox: Sandbox) -> None:
    done = terminal.check("chat", "x", *MODEL, "-a", "https://example.com/yard.jpg?size=2")
    assert done.returncode == 0, done.stderr
    assert content(sandbox)[1]["image_url"]["url"] == "https://example.com/yard.jpg?size=2"


def test_a_short_schema_is_a_json_schema(terminal: Terminal, sandbox: Sandbox) -> None:
    done = terminal.check("chat", "Invent a dog.", *MODEL, "--schema", "name, age int: in years")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout).keys() == {"name", "age"}
    (request,) = sandbox.requests
    schema = request.body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["age"] == {"type": "integer", "description": "in years"}


def test_the_first_code_block_is_printed_alone(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "Here:\n\n```sh\nls -l\n```\n\nand\n\n```sh\nrm x\n```\n")
    done = terminal.check("chat", "x", *MODEL, "-x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ls -l\n", "")


def test_an_answer_without_a_code_block_is_an_error(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.answer("openai", "I cannot.")
    done = terminal.check("chat", "x", *MODEL, "-x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "I cannot.\nturnout: the answer, printed above on stderr, has no code block\n"


def test_a_dry_run_shows_requests_without_keys_and_sends_nothing(terminal: Terminal, sandbox: Sandbox) -> None:
    words = ("-m", "gemini/gemini-2.5-flash", "-m", "nobody/x", "--dry-run")
    done = terminal.check("chat", "Why?", "-m", "openai/gpt-4o-mini", *words[:2], "--dry-run", "-o", "temperature", "0")
    assert done.returncode == 0, done.stderr
    assert sandbox.requests == ()
    assert "1. openai/gpt-4o-mini\n   POST http://127.0.0.1" in done.stdout
    assert '"temperature": 0' in done.stdout
    assert "2. gemini/gemini-2.5-flash" in done.stdout
    assert sandbox.key("openai") not in done.stdout
    assert sandbox.key("gemini") not in done.stdout


def test_a_dry_run_says_why_a_candidate_would_be_skipped(bare: Terminal) -> None:
    done = bare.check("chat", "Why?", "-m", "openai/gpt-4o-mini", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"model": "openai/gpt-4o-mini", "skipped": "not configured, OPENAI_API_KEY is missing"}
    ]
