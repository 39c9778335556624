"""Programs that were written elsewhere as clients of the gateway: SDKs, frameworks, coding agents.

`.ci/full.d/serve` installs them and sets TURNOUT_CLIENTS_PYTHON (a Python with the packages) and TURNOUT_CLIENTS_NODE
(a folder with node_modules). Without these, the tests are skipped.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from turnout_io.sandbox import Fault, Sandbox, ScriptedAnswer
from turnout_sandbox.answers import ScriptedCall
from turnout_sandbox.received import Received

PYTHON = os.environ.get("TURNOUT_CLIENTS_PYTHON")
NODE = os.environ.get("TURNOUT_CLIENTS_NODE")
CLIENTS = Path(__file__).parent / "clients"

pytestmark = [pytest.mark.peer, pytest.mark.full, pytest.mark.timeout(300)]
with_python = pytest.mark.skipif(PYTHON is None, reason="set TURNOUT_CLIENTS_PYTHON; see .ci/full.d/serve")
with_node = pytest.mark.skipif(NODE is None, reason="set TURNOUT_CLIENTS_NODE; see .ci/full.d/serve")

ALIASES = {
    "gpt": "openai/gpt-4o-mini",
    "claude": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "embed": "openai/text-embedding-3-small",
    "broken": "mistral/mistral-small-latest",
    "limited": "groq/llama-3.3-70b-versatile",
    "busy": "together/meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "badkey": "xai/grok-3-mini",
}


@attrs.frozen
class Served:
    """A running gateway, and the sandbox behind it."""

    url: str
    sandbox: Sandbox


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Run `turnout serve` in front of a sandbox, where some providers always fail."""
    with Sandbox() as sandbox:
        sandbox.script("mistral", Fault(abort="reset", after_tokens=3), forever=True)
        sandbox.script("groq", Fault(status=429, headers={"retry-after": "1"}), forever=True)
        sandbox.script("together", Fault(status=503), forever=True)
        sandbox.script("xai", Fault(status=401), forever=True)
        config = folder / "turnout.yaml"
        # Faults must not open breakers, or one test would change the next.
        router = {"maxRetries": 0, "breaker": "off"}
        serve = {"listen": "127.0.0.1:0", "aliases": ALIASES}
        config.write_text(yaml.safe_dump({"runtime": {"router": router}, "serve": serve}))
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from turnout_io.cli import main; main()",
                "serve",
                "--quiet",
                "--config",
                str(config),
            ],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **sandbox.environ()},
        )
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if "serving on" in line)
            yield Served(line.split()[-1], sandbox)
            process.terminate()
            process.wait(timeout=40)
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None, stdin: str = "") -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        input=stdin,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@with_python
@pytest.mark.parametrize("program", ["openai_python.py", "anthropic_python.py", "python_frameworks.py"])
def test_a_program_in_python(gateway: Served, program: str, tmp_path: Path) -> None:
    assert PYTHON is not None
    clean = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ""}
    assert run(PYTHON, str(CLIENTS / program), gateway.url, env=clean, cwd=tmp_path).strip().endswith("ok")


@with_python
def test_llm(gateway: Served, tmp_path: Path) -> None:
    """The command `llm` with the gateway as one of its models, whole and streamed."""
    assert PYTHON is not None
    models = [{"model_id": "gw", "model_name": "claude", "api_base": f"{gateway.url}/v1", "api_key_name": "gw"}]
    (tmp_path / "extra-openai-models.yaml").write_text(yaml.safe_dump(models))
    environ = {"LLM_USER_PATH": str(tmp_path), "PYTHONPATH": ""}
    llm = str(Path(PYTHON).with_name("llm"))
    for option in ("--no-stream", "--no-log"):
        assert run(llm, "-m", "gw", "--key", "none", option, "hello", env=environ, cwd=tmp_path).strip()


@with_node
@pytest.mark.parametrize("program", ["node_clients.mjs", "node_ai.mjs"])
def test_a_program_in_node(gateway: Served, program: str) -> None:
    assert NODE is not None
    # Node looks for packages beside the program.
    copy = shutil.copy(CLIENTS / program, NODE)
    assert run("node", str(copy), gateway.url).strip().endswith("ok")


@with_python
def test_a_client_repeats_only_what_can_help(gateway: Served, tmp_path: Path) -> None:
    """The SDK repeats an error up to twice on its own, unless the gateway says that it is of no use."""
    assert PYTHON is not None
    program = (
        "import openai, sys\n"
        "client = openai.OpenAI(base_url=sys.argv[1] + '/v1', api_key='none', max_retries=2)\n"
        "try:\n"
        "    client.chat.completions.create(model=sys.argv[2], messages=[{'role': 'user', 'content': 'x'}])\n"
        "except openai.APIStatusError as error:\n"
        "    print(error.status_code)\n"
    )
    for model, provider, status, calls in (("badkey", "xai", "502", 1), ("limited", "groq", "429", 3)):
        before = len(gateway.sandbox.requests_to(provider))
        assert run(PYTHON, "-c", program, gateway.url, model, cwd=tmp_path).strip() == status
        assert len(gateway.sandbox.requests_to(provider)) - before == calls


# -- coding agents ---------------------------------------------------------------------------------------------------


def tool_names(body: Any) -> list[str]:
    return [str(tool.get("name") or tool.get("function", {}).get("name")) for tool in body.get("tools", ())]


def has_result(body: Any) -> bool:
    """Whether a conversation ends with the result of a tool, in chat completions or in Messages."""
    last = body["messages"][-1]
    content = last["content"] if isinstance(last["content"], list) else []
    return last["role"] == "tool" or any(part.get("type") == "tool_result" for part in content)


@with_node
@pytest.mark.parametrize("model", ["claude", "gpt", "gemini"])
def test_claude_code_reads_a_file(gateway: Served, model: str, tmp_path: Path) -> None:
    """Claude Code asks, calls its own tool, and answers from the result: with three protocols behind the gateway."""
    assert NODE is not None
    (tmp_path / "note.txt").write_text("the word is swordfish\n")

    def script(received: Received) -> ScriptedAnswer | str:
        # Nothing but this call may run: a made-up call would reach a real shell.
        text = json.dumps(received.body)
        if "swordfish" in text:
            return "The note says swordfish."
        if '"Read"' in text:
            return ScriptedAnswer(tool_calls=(ScriptedCall("Read", {"file_path": str(tmp_path / "note.txt")}),))
        return "ok"

    for provider in ("anthropic", "openai", "gemini"):
        gateway.sandbox.answer(provider, script)
    environ = {
        "HOME": str(tmp_path),
        "ANTHROPIC_BASE_URL": gateway.url,
        "ANTHROPIC_AUTH_TOKEN": "none",
        "ANTHROPIC_SMALL_FAST_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    claude = str(Path(NODE) / "node_modules" / ".bin" / "claude")
    arguments = ["-p", "What does note.txt say?", "--output-format", "json", "--model", model]
    result = json.loads(run(claude, *arguments, env=environ, cwd=tmp_path))
    for provider in ("anthropic", "openai", "gemini"):
        gateway.sandbox.answer(provider, None)
    assert result["result"] == "The note says swordfish."
    assert result["num_turns"] == 2


@with_node
@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_codex_calls_its_tool(gateway: Served, model: str, tmp_path: Path) -> None:
    """Codex speaks Responses, with tools that no other provider has beside its functions."""
    assert NODE is not None

    def script(received: Received) -> ScriptedAnswer | str:
        if has_result(received.body):
            return "There is no goal."
        return (
            ScriptedAnswer(text="I look.", tool_calls=(ScriptedCall("get_goal"),))
            if "get_goal" in tool_names(received.body)
            else "ok"
        )

    for provider in ("anthropic", "openai"):
        gateway.sandbox.answer(provider, script)
    (tmp_path / "config.toml").write_text(
        f'model = "{model}"\nmodel_provider = "gateway"\n[model_providers.gateway]\nname = "gateway"\n'
        f'base_url = "{gateway.url}/v1"\nwire_api = "responses"\nenv_key = "GATEWAY_KEY"\n'
        "request_max_retries = 0\nstream_max_retries = 0\n"
    )
    codex = str(Path(NODE) / "node_modules" / ".bin" / "codex")
    environ = {"HOME": str(tmp_path), "CODEX_HOME": str(tmp_path), "GATEWAY_KEY": "none"}
    arguments = ["exec", "--skip-git-repo-check", "-s", "read-only", "Is there a goal?"]
    output = run(codex, *arguments, env=environ, cwd=tmp_path)
    for provider in ("anthropic", "openai"):
        gateway.sandbox.answer(provider, None)
    assert output.strip().endswith("There is no goal.")
