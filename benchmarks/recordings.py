"""How many of the recorded exchanges are read as a correct client reads them: `python -m benchmarks.recordings [-v]`.

The recordings are looked for in TURNOUT_RECORDINGS, then in ../shared/recordings.
"""

from __future__ import annotations

import sys
from collections import Counter

from tests.sansio.providers.recordings import ROOT, differences, play, provider_of, recordings

KINDS = ("chat", "stream", "embedding", "error", "models")


def main() -> int:
    right: Counter[tuple[str, str]] = Counter()
    all_of: Counter[tuple[str, str]] = Counter()
    unread: Counter[str] = Counter()
    for recording in recordings():
        provider = provider_of(recording)
        if provider is None:
            unread[recording.folder] += 1
            continue
        key = recording.folder, recording.kind
        all_of[key] += 1
        wrong = differences(recording, play(recording, provider))
        right[key] += not wrong
        if wrong and "-v" in sys.argv:
            print(recording.path, *wrong, sep="\n    ")
    if not all_of:
        print(f"no recordings in {ROOT}")
        return 1
    print(f"{'provider':<14}" + "".join(f"{kind:>12}" for kind in KINDS) + f"{'unread':>12}")
    for folder in sorted({folder for folder, _ in all_of} | set(unread)):
        cells = [f"{right[folder, kind]}/{all_of[folder, kind]}" if all_of[folder, kind] else "" for kind in KINDS]
        print(f"{folder:<14}" + "".join(f"{cell:>12}" for cell in cells) + f"{unread[folder] or '':>12}")
    print(f"\n{right.total()} of {all_of.total()} as they should be; {unread.total()} in dialects that are not there")
    return 0 if right == all_of else 1


if __name__ == "__main__":
    raise SystemExit(main())
