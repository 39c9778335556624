"""Write docs/verified.md: what each provider of the catalog was verified against.

    python -m tools.verified             write the page
    python -m tools.verified --check     fail if the page differs from what would be written
    python -m tools.verified --collect   count the recordings again, and write the page

The page has three sources. `tools/verified.toml` has the recordings by month, which `--collect` counts: a recording
counts if it is read as a correct client reads it. `benchmarks/surfaces/sdks.txt` has the versions of the SDKs, and
their types are compared with the tables of the library. `tests/peers/servers.toml` has the servers that tests talk to.
"""

from __future__ import annotations

import argparse
import datetime
import email.utils
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.providers import CATALOG

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "verified.md"
COUNTS = ROOT / "tools" / "verified.toml"
UNDATED = "undated"

# The SDK that is the reference for the types of a provider. Every other provider follows the SDK of OpenAI.
SDKS = {
    "openai": "openai",
    "azure": "openai",
    "anthropic": "anthropic",
    "gemini": "google-genai",
    "mistral": "mistralai",
    "cohere": "cohere",
    "groq": "groq",
    "cerebras": "cerebras-cloud-sdk",
    "together": "together",
    "ollama": "ollama",
    "xai": "xai-sdk",
    "glm4": "zai-sdk",
    "zai": "zai-sdk",
    "bedrock": "botocore",
}
# The providers of recordings in a folder of another name.
FOLDERS = {"glm": "glm4", "other-alibaba": "dashscope"}
HEAD = """\
# What each provider was verified against

`python -m tools.verified` writes this page, and a test fails if it is not current.

* **Recordings**: responses of the real service that Turnout reads as a correct client does, by the month in which the
  service sent them. A recording without a date is *undated*.
* **SDK**: the version of the vendor's SDK whose types `python -m benchmarks.surfaces` compares with Turnout's tables.
* **Servers**: programs written elsewhere that the tests talk to on loopback, with their versions
  (`.ci/full.d/servers`, `.ci/run`).

A provider with a dash in all three columns follows its API reference and the protocol that it shares with others.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page. Return 1 if it is not current, or if there are no recordings to count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is not current")
    parser.add_argument("--collect", action="store_true", help="count the recordings first")
    given = parser.parse_args(arguments)
    if given.collect:
        counts = collect()
        if not counts:
            print("no recordings were found", file=sys.stderr)
            return 1
        COUNTS.write_text(counts_file(counts), "utf-8")
    current = page()
    if given.check:
        same = PAGE.is_file() and PAGE.read_text("utf-8") == current
        if not same:
            print(f"{PAGE.name} is not current: run python -m tools.verified", file=sys.stderr)
        return 0 if same else 1
    PAGE.write_text(current, "utf-8")
    return 0


# -- the page -------------------------------------------------------------------------------------------------------


def page() -> str:
    """Return the page, made of the three sources."""
    recordings: Mapping[str, Mapping[str, int]] = tomllib.loads(COUNTS.read_text("utf-8"))
    sdks = _sdk_versions()
    servers = _servers()
    rows = ["| Provider | Recordings | SDK | Servers |", "|---|---|---|---|"]
    for name in CATALOG:
        sdk = SDKS.get(name)
        cells = (_months(recordings.get(name, {})), f"{sdk} {sdks[sdk]}" if sdk else "", ", ".join(servers[name]))
        rows.append(f"| `{name}` | " + " | ".join(cell or "–" for cell in cells) + " |")
    total = sum(sum(months.values()) for months in recordings.values())
    return f"{HEAD}\n{total} recordings in all.\n\n" + "\n".join(rows) + "\n"


def _months(counts: Mapping[str, int]) -> str:
    dated = [f"{month}: {counts[month]}" for month in sorted(set(counts) - {UNDATED})]
    return ", ".join([*dated, *([f"{UNDATED}: {counts[UNDATED]}"] if UNDATED in counts else [])])


def _sdk_versions() -> dict[str, str]:
    text = (ROOT / "benchmarks" / "surfaces" / "sdks.txt").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", text, re.MULTILINE))


def _servers() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    servers: list[dict[str, Any]] = tomllib.loads((ROOT / "tests" / "peers" / "servers.toml").read_text("utf-8"))[
        "server"
    ]
    for server in servers:
        version = server["requirement"].partition("==")[2]
        for provider, protocol in server["protocols"].items():
            found[provider].append(f"{server['name']} {version} ({protocol})")
    return found


# -- counting -------------------------------------------------------------------------------------------------------


def collect() -> dict[str, Counter[str]]:
    """Count the recordings that are read right, by provider and month."""
    from tests.sansio.providers.recordings import differences, play, provider_of, recordings

    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for recording in recordings():
        provider = provider_of(recording)
        if provider is None or differences(recording, play(recording, provider)):
            continue
        counts[FOLDERS.get(recording.folder, recording.folder)][month_of(recording.content["response"])] += 1
    return counts


def month_of(response: Mapping[str, Any]) -> str:
    """Return the year and month in which a response was sent: by its `Date`, or by the time in its body."""
    date = response["headers"].get("date")
    if date is not None:
        return email.utils.parsedate_to_datetime(date).strftime("%Y-%m")
    body = str(response.get("body_text") or "")
    if found := re.search(r'"created(?:_at)?": ?([0-9]{10})\b', body):
        return datetime.datetime.fromtimestamp(int(found[1]), datetime.UTC).strftime("%Y-%m")
    found = re.search(r'"created_at": ?"([0-9]{4}-[0-9]{2})-', body)
    return found[1] if found else UNDATED


def counts_file(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return the counts as TOML."""
    lines = ["# Written by `python -m tools.verified --collect`: recordings that are read right, by month."]
    for name in CATALOG:
        if name in counts:
            lines += ["", f"[{name}]", *(f'"{month}" = {counts[name][month]}' for month in sorted(counts[name]))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
