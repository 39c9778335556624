"""The core does no I/O, knows no time, and owns no chance: seen in its source, and at run time."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "sansio" / "turnout"
SOURCES = sorted(CORE.rglob("*.py"))

FORBIDDEN_MODULES = {
    "socket", "ssl", "select", "selectors", "time", "asyncio", "trio", "threading", "multiprocessing", "subprocess",
    "os", "io", "pathlib", "tempfile", "shutil", "urllib.request", "http.client", "requests", "urllib3", "httpx",
    "secrets", "uuid", "logging", "signal", "concurrent.futures",
}  # fmt: skip
FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}
# Names that are pure in a module that also has others which are not.
PURE_OF_RANDOM = {"Random"}
PURE_OF_IO = {"BytesIO"}  # a buffer in memory
CLOCKS = {"now", "utcnow", "today"}


def faults(source: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        where = f"{source.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            found += [f"{where} imports {alias.name}" for alias in node.names if alias.name in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            is_pure = module == "io" and {alias.name for alias in node.names} <= PURE_OF_IO
            if (module in FORBIDDEN_MODULES and not is_pure) or node.level:
                found.append(f"{where} imports from {'.' * node.level}{module}")
            if module == "random":
                found += [f"{where} takes {a.name} of random" for a in node.names if a.name not in PURE_OF_RANDOM]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "random" and node.attr not in PURE_OF_RANDOM:
                found.append(f"{where} uses the global random.{node.attr}")
            if node.value.id in ("datetime", "date") and node.attr in CLOCKS:
                found.append(f"{where} reads the clock by {node.value.id}.{node.attr}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            found.append(f"{where} calls {node.func.id}()")
    return found


@pytest.mark.parametrize("source", SOURCES, ids=[str(source.relative_to(CORE)) for source in SOURCES])
def test_the_core_does_no_io(source: Path) -> None:
    assert faults(source) == []


def test_the_check_sees_what_it_looks_for(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(
        "import socket, random\nfrom time import monotonic\nfrom random import choice\n"
        "from io import BytesIO\nfrom io import BytesIO, open\n"
        "from datetime import datetime\nx = random.random()\ny = datetime.now()\nopen('f')\n"
    )
    assert sorted(fault.split(" ", 1)[1] for fault in faults(planted)) == [
        "calls open()",
        "imports from io",
        "imports from time",
        "imports socket",
        "reads the clock by datetime.now",
        "takes choice of random",
        "uses the global random.random",
    ]


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


WATCH = """
import sys
seen = []
WATCHED = ("socket.", "subprocess.", "os.system", "os.listdir.never", "urllib.", "http.")
def hook(event, args):
    if event.startswith(WATCHED) or (event == "open" and not str(args[0]).endswith((".py", ".pyc", ".so"))):
        seen.append((event, str(args[0]) if args else ""))
import {warm}
threads = __import__("threading").active_count()
sys.addaudithook(hook)
import {module}
assert __import__("threading").active_count() == threads
print(seen)
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", ["turnout", "turnout_io", "turnout.providers", "turnout.routing.router"])
def test_importing_opens_nothing_and_starts_nothing(module: str) -> None:
    assert run_python(WATCH.format(module=module, warm="attrs, h11, msgspec, random")) == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["turnout_io.sync", "turnout_io.trio"])
def test_importing_a_driver_opens_nothing_and_starts_nothing(module: str) -> None:
    assert run_python(WATCH.format(module=module, warm="attrs, h11, msgspec, random, inspect, trio")) == "[]"


def test_the_everyday_import_takes_only_what_it_needs() -> None:
    loaded = run_python("import turnout, sys; print(*sys.modules)").split()
    for heavy in ("requests", "trio", "asyncio", "ssl", "socket", "yaml", "click", "msgspec", "turnout.providers"):
        assert heavy not in loaded, heavy


@pytest.mark.full
def test_the_everyday_import_is_cheap() -> None:
    """At most twice the CPU of `import json, ssl, http.client`: the least of several runs of each, in turn."""

    def cpu(modules: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_python(f"import {modules}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    pairs = [(cpu("turnout"), cpu("json, ssl, http.client")) for _ in range(7)]
    assert min(ours for ours, _ in pairs) <= 2 * min(theirs for _, theirs in pairs)
