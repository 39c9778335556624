"""The structure of the repository: few files in a folder, few lines in a file, and no imports in a circle."""

from __future__ import annotations

import ast
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"sansio": ["turnout"], "transports": ["turnout_io", "turnout_sandbox"], ".": ["benchmarks", "tools"]}
MOST_FILES = 16
MOST_LINES = 450


def sources() -> list[Path]:
    """Return the Python files of the repository: those that git knows, or all if this is not a checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found = [ROOT / line for line in listed.stdout.splitlines()]
    except (OSError, subprocess.CalledProcessError):
        folders = ("sansio", "transports", "benchmarks", "tools", "tests", "examples")
        found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if path.is_file())


def test_a_folder_has_at_most_16_files() -> None:
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in sources())
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_a_file_has_at_most_450_lines() -> None:
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in sources()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def modules(root: Path, packages: Mapping[str, list[str]] = PACKAGES) -> dict[str, Path]:
    """Return the file of each module of these packages."""
    found: dict[str, Path] = {}
    for folder, names in packages.items():
        for name in names:
            for path in sorted((root / folder / name).rglob("*.py")):
                parts = path.relative_to(root / folder).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path, known: Mapping[str, Path]) -> set[str]:
    """Return the modules that a module imports: at its top, in its functions and for type checkers alike.

    An import of a module also runs the packages around it, unless the importing module is inside them.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name of the module"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {member if member in known else str(node.module) for member in members}
    outer = {module.rsplit(".", depth)[0] for module in found for depth in range(1, module.count(".") + 1)}
    found |= {package for package in outer if not f"{name}.".startswith(f"{package}.")}
    return {module for module in found if module in known and module != name}


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(start: str) -> None:
        path: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(graph[start])))]
        order[start] = lowest[start] = len(order)
        stack.append(start)
        while path:
            node, rest = path[-1]
            for other in rest:
                if other not in order:
                    order[other] = lowest[other] = len(order)
                    stack.append(other)
                    path.append((other, iter(sorted(graph[other]))))
                    break
                if other in stack:
                    lowest[node] = min(lowest[node], order[other])
            else:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node])
                if lowest[node] == order[node]:
                    at = stack.index(node)
                    component = sorted(stack[at:])
                    del stack[at:]
                    found.extend([component] if len(component) > 1 else [])

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return sorted(found)


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = modules(ROOT)
    assert len(known) > 400
    assert circles({name: imported(name, path, known) for name, path in known.items()}) == []


@pytest.mark.parametrize(
    "back",
    [
        "from turnout.a import A",
        "import turnout.a",
        "from turnout import a",
        "def later():\n    from turnout.a import A",
        "if TYPE_CHECKING:\n    from turnout.a import A",
    ],
)
def test_the_check_sees_a_circle(tmp_path: Path, back: str) -> None:
    package = tmp_path / "sansio" / "turnout"
    package.mkdir(parents=True)
    texts = {
        "__init__": "",
        "a": "from turnout.b import B",
        "b": "from turnout.c import C",
        "c": back,
        "d": "import ast",
    }
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text, "utf-8")
    known = modules(tmp_path, {"sansio": ["turnout"]})
    graph = {name: imported(name, path, known) for name, path in known.items()}
    assert circles(graph) == [["turnout.a", "turnout.b", "turnout.c"]]


def test_the_check_sees_a_circle_through_a_package(tmp_path: Path) -> None:
    package = tmp_path / "sansio" / "turnout" / "inner"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from turnout.inner.a import A", "utf-8")
    (package / "a.py").write_text("from turnout.b import B", "utf-8")
    (package.parent / "b.py").write_text("from turnout.inner.c import C", "utf-8")
    (package / "c.py").write_text("", "utf-8")
    known = modules(tmp_path, {"sansio": ["turnout"]})
    graph = {name: imported(name, path, known) for name, path in known.items()}
    assert circles(graph) == [["turnout.b", "turnout.inner", "turnout.inner.a"]]
