"""Which tests run, and the profiles of the property tests.

* `pytest -m "not slow"` is the fast lane: without the tests that are marked slow, without the folders and files in
  `SLOW`, which it does not even import, and with fewer examples of each property test.
* `pytest` leaves out the tests that are marked full: .ci/full runs them. If a file, a folder or a test is named, all of
  it runs.

No profile has a deadline for one example, for a shared machine stalls at times. `pytest` draws anew at each run, and so
goes on searching. `pytest --hypothesis-profile=repeatable` draws the same each time: what it says of a change is about
the change. `covering` draws few: it is for the lines and branches that are reached, not for the values.
"""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from turnout.routing.call import attempt

FAST_LANE = "not slow"
# By the CPU time that they take, with their imports. Each worker of the fast lane imports each file.
SLOW = frozenset(
    {
        "benchmarks",
        "peers",
        "docs/test_fleet_pages.py",
        "docs/test_prose.py",  # pre-commit runs it
        "docs/test_shown_transports.py",
        "sansio/providers/anthropic",  # imports the vendor's SDK, as the two others
        "sansio/providers/openai_responses/test_requests.py",
        "sansio/providers/catalog/test_newest_models.py",
        "sansio/providers/encoding/test_adapt.py",
        "sansio/providers/encoding/test_tool_arguments.py",
        "sansio/providers/sdks",
        "sansio/providers/test_linear_work.py",
        "sansio/providers/test_recordings.py",
        "sansio/shared/test_balance_worlds.py",
        "sansio/shared/test_window_worlds.py",
        "sansio/vectors",
        "test_structure.py",
        "tools",
        "transports/cli",
        "transports/conformance",
        "transports/drivers/cancellation",
        "transports/drivers/runtime",
        "transports/sandbox",
        "transports/secrets",
        "transports/serve",
        "transports/shared",
        "transports/test_handed_cases.py",
        "transports/test_price_list.py",
        "transports/testing/test_rules_of_the_seam.py",
        "transports/testing/test_scripted.py",
        "transports/transports",
    }
)
# The share of the examples of a property test that the fast lane draws, and how many at least.
FAST_SHARE, FAST_EXAMPLES = 10, 10
_TESTS = Path(__file__).parent

# Errors that no exchange should raise fail a test, and do not only fail an attempt.
attempt.RAISE_UNEXPECTED = True

settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("searching"), derandomize=True, max_examples=50)
settings.register_profile("covering", settings.get_profile("repeatable"), max_examples=15)
settings.load_profile("searching")

# A shell that starts the tests in the background ignores Ctrl-C for them, and each process that a test starts inherits
# that. A handler is not inherited: then the tests of Ctrl-C see what a terminal would show.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_slow(path: Path) -> bool:
    parts = path.relative_to(_TESTS).parts
    return any("/".join(parts[: end + 1]) in SLOW for end in range(len(parts)))


def pytest_configure(config: pytest.Config) -> None:
    if not config.option.markexpr and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.option.markexpr = "not full"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.option.markexpr == FAST_LANE and _is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    for item in items:
        if item.get_closest_marker("full") is not None or _is_slow(item.path):
            item.add_marker("slow")
        elif config.option.markexpr == FAST_LANE and isinstance(item, pytest.Function):
            draw_less(item.obj)


def draw_less(test: object) -> None:
    """Let a property test draw fewer examples. Hypothesis keeps the settings of a test in this attribute."""
    given = getattr(test, "_hypothesis_internal_use_settings", None)
    if isinstance(given, settings):
        fewer = min(given.max_examples, max(FAST_EXAMPLES, given.max_examples // FAST_SHARE))
        test._hypothesis_internal_use_settings = settings(given, max_examples=fewer)  # type: ignore[attr-defined]
