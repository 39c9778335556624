#!/usr/bin/env bash
# mistralai 3.7.0: the class Mistral is in mistralai.client, and the package itself exports nothing.
#
# Seen on 2026-11-30 with Python 3.11:
#   from mistralai import Mistral         ImportError: cannot import name 'Mistral' from 'mistralai' (unknown location)
#   from mistralai.client import Mistral  works
#
# `mistralai` is a namespace package here, so `import mistralai` succeeds and shows nothing wrong.
# Exits with 1 if a version behaves in another way. Needs Python and its package registry; uses no network otherwise.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
"$scratch/v/bin/pip" install -q --disable-pip-version-check "mistralai==3.7.0" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import mistralai
from mistralai.client import Mistral

assert mistralai.__file__ is None, mistralai.__file__
assert not hasattr(mistralai, "Mistral")
try:
    from mistralai import Mistral as again  # noqa: F401
except ImportError as error:
    print(f"from mistralai import Mistral: ImportError: {error}")
else:
    raise SystemExit("the package exports Mistral now")
print(f"from mistralai.client import Mistral: {Mistral.__module__}.{Mistral.__name__}")
PY
