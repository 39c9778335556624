"""Run every operation of the newest official SDKs against the sandbox: `python -m benchmarks.sdks`.

The SDKs of `benchmarks/surfaces/sdks.txt` are installed, each into a folder of its own. Each of their operations runs
against the provider that the sandbox plays, and the result is a matrix: SDK and provider by operation. The exit code is
1 if an operation fails. `--write` puts the matrix into docs/sandbox.md; `--check` fails if it differs from there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measure import parser
from benchmarks.sdks.sites import OPERATIONS, WITHOUT_HTTP, Site, all_sites
from benchmarks.surfaces.environment import SdkFailed, install, pinned, sdk_name
from turnout_sandbox import Sandbox

_HERE = Path(__file__).parent
_DOCUMENT = _HERE.parents[1] / "docs" / "sandbox.md"
__all__ = ["main", "matrix_of"]

_BEGIN, _END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
_SECONDS = 300
_AT_ONCE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix; return 0 if every operation succeeds, 1 if one fails, 2 if an SDK cannot be installed."""
    options = parser("sdks", __doc__)
    options.add_argument("--newest", action="store_true", help="install the newest versions instead of the pinned ones")
    options.add_argument("--only", nargs="+", metavar="SDK", help="only these SDKs, by the names in sdks.txt")
    options.add_argument("--environments", type=Path, help="a folder that keeps the environments for the next run")
    options.add_argument("--write", action="store_true", help="write the matrix into docs/sandbox.md")
    options.add_argument("--check", action="store_true", help="fail if the matrix of docs/sandbox.md differs")
    given = options.parse_args(arguments)
    requirements = {sdk_name(line): sdk_name(line) if given.newest else line for line in pinned()}
    sites = [site for site in all_sites() if not given.only or site.sdk in given.only]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            results = _run_all(sites, requirements, given.environments or Path(scratch))
    except SdkFailed as error:
        print(error, file=sys.stderr)
        return 2
    failures = [
        f"{site.sdk} at {site.provider}, {operation}: {error}"
        for site, found in results.items()
        for operation, error in found.items()
        if error
    ]
    matrix = matrix_of(results, requirements)
    print(matrix)
    print("\n".join(failures) or "every operation succeeds")
    if given.write:
        _write(matrix)
    changed = given.check and matrix not in _DOCUMENT.read_text("utf-8")
    if changed:
        print(f"{_DOCUMENT.name} shows another matrix; write it with --write", file=sys.stderr)
    return 1 if failures or changed else 0


def _run_all(sites: Sequence[Site], requirements: Mapping[str, str], root: Path) -> dict[Site, dict[str, str]]:
    with Sandbox() as sandbox, ThreadPoolExecutor(_AT_ONCE) as pool:
        names = sorted({site.sdk for site in sites})
        folders = dict(zip(names, pool.map(lambda name: install(requirements[name], root), names), strict=True))
        groups = [[site for site in sites if site.sdk == name] for name in names]
        found = pool.map(lambda group: _run(group, folders[group[0].sdk], sandbox), groups)
        results: dict[Site, dict[str, str]] = {}
        for group, of_group in zip(groups, found, strict=True):
            results.update(zip(group, of_group, strict=True))
        return {site: results[site] for site in sites}


def _run(sites: Sequence[Site], folder: Path, sandbox: Sandbox) -> list[dict[str, str]]:
    """Return for each site of one SDK the error of each operation, "" if it succeeded.

    Raises:
        SdkFailed: If the SDK cannot be imported or the process does not end.
    """
    sdk, probes = sites[0].sdk, sites[0].probes
    command = [sys.executable, "-I", "-S", str(_HERE / "run_probes.py"), str(folder), probes]
    described = json.dumps([site.described(sandbox) for site in sites]).encode()
    try:
        ran = subprocess.run(command, input=described, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SdkFailed(f"{sdk}: no end after {_SECONDS} s") from None
    if ran.returncode:
        told = ran.stderr.decode(errors="replace").strip()[-1000:]
        raise SdkFailed(f"{sdk}: {told}")
    found: list[dict[str, str]] = json.loads(ran.stdout)
    unknown = {name for each in found for name in each} - set(OPERATIONS)
    assert not unknown, f"operations without a column: {unknown}"
    return found


def matrix_of(results: Mapping[Site, Mapping[str, str]], requirements: Mapping[str, str]) -> str:
    """Return the results as a table of Markdown."""
    lines = ["| SDK | provider | " + " | ".join(OPERATIONS) + " |", "| --- " * (len(OPERATIONS) + 2) + "|"]
    for site, found in results.items():
        cells = ["–" if name not in found else "**fails**" if found[name] else "yes" for name in OPERATIONS]
        lines.append(f"| {_versioned(requirements[site.sdk])} | {site.provider} | " + " | ".join(cells) + " |")
    lines += [
        f"| {_versioned(requirements[name])} | not over HTTP |" + " – |" * len(OPERATIONS)
        for name in WITHOUT_HTTP
        if name in requirements
    ]
    return "\n".join(lines) + "\n"


def _versioned(requirement: str) -> str:
    return requirement.replace("==", " ")


def _write(matrix: str) -> None:
    before, _, rest = _DOCUMENT.read_text("utf-8").partition(_BEGIN)
    _, found, after = rest.partition(_END)
    if not found:
        raise SystemExit(f"{_DOCUMENT}: the lines {_BEGIN!r} and {_END!r} are missing")
    _DOCUMENT.write_text(f"{before}{_BEGIN}\n{matrix}\n{_END}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
