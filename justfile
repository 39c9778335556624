# The steps of CI by name. `just --list` shows them.

# Run the fast lane: under a minute.
test *args:
    pytest -n auto -m "not slow" {{args}}

# Run the tests that CI runs for a change: under six minutes.
test-ci *args:
    pytest -n auto {{args}}

# Run all tests.
test-all:
    pytest -n auto tests

# Check style, format and the direction of imports.
lint:
    ruff check .
    ruff format --check .
    lint-imports

# Check types with both checkers.
types:
    mypy
    pyright

# Check that the blocking driver is the one generated from the async driver.
unasync:
    python tools/unasync.py --check

# Check how every provider failure is handled through every driver.
crash-test:
    python -m benchmarks.crash_test

# Compare the recorded exchanges with their expected reading, if the recordings are there.
recordings:
    python -m benchmarks.recordings

# Do what CI does for a change: at most 12 minutes.
ci:
    .ci/run

# Do everything that is slow: foreign servers, real clients, soak, fuzzing, other Pythons.
full:
    .ci/full
