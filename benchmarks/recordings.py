"""How many recorded exchanges are read as a correct client reads them: `python -m benchmarks.recordings`.

The bodies that real providers sent are given to Turnout's parsers, and what comes out is compared with what a correct
client reports. Each cell is how many are right, of how many there are. The recordings are no part of the project: they
are looked for in TURNOUT_RECORDINGS, then in ../shared/recordings. The exit code is 1 where one is read wrong, or none
is found.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from benchmarks.measure import parser, print_table
from tests.sansio.providers.recordings import ROOT, differences, play, provider_of, recordings

KINDS = ("chat", "stream", "embedding", "error", "models")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("recordings", __doc__)
    options.add_argument("-v", "--verbose", action="store_true", help="say what is wrong with each that is read wrong")
    options.add_argument("--folder", default=None, help="only the recordings of this provider")
    given = options.parse_args(arguments)
    right: Counter[tuple[str, str]] = Counter()
    all_of: Counter[tuple[str, str]] = Counter()
    unread: Counter[str] = Counter()
    for recording in recordings():
        if given.folder not in (None, recording.folder):
            continue
        provider = provider_of(recording)
        if provider is None:
            unread[recording.folder] += 1
            continue
        key = recording.folder, recording.kind
        all_of[key] += 1
        wrong = differences(recording, play(recording, provider))
        right[key] += not wrong
        if wrong and given.verbose:
            print(recording.path, *wrong, sep="\n    ")
    if not all_of:
        print(f"no recordings in {ROOT}")
        return 1
    rows = []
    for folder in sorted({folder for folder, _ in all_of} | set(unread)):
        cells = [f"{right[folder, kind]}/{all_of[folder, kind]}" if all_of[folder, kind] else "" for kind in KINDS]
        rows.append((folder, *cells, str(unread[folder] or "")))
    title = "recordings read right, of all; `unread` are of surfaces that Turnout does not ask"
    print_table(title, ("provider", *KINDS, "unread"), rows)
    print(f"{right.total()} of {all_of.total()} as they should be, {unread.total()} unread")
    return 0 if right == all_of else 1


if __name__ == "__main__":
    sys.exit(main())
