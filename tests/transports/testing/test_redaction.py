"""A key is found in every form in which a peer may quote it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from turnout.http import HttpRequest
from turnout_io.testing.redaction import REMOVED, Redaction

KEYS = st.text("abAB01+/=_-. %&é", min_size=8, max_size=30).filter(lambda key: key == key.strip() and " " not in key)


@given(KEYS, st.sampled_from([quote, quote_plus, lambda key: quote(key, safe="")]))
def test_a_key_that_a_url_encodes_is_found_as_it_is_and_encoded(key: str, encode: Callable[[str], str]) -> None:
    encoded = encode(key)
    redaction = Redaction().with_credentials_of(HttpRequest("GET", f"https://api.test/v1?key={encoded}&a=b"))
    for form in (key, encoded, quote(key, safe="")):
        assert redaction.text(f"no such key: {form}!") == f"no such key: {REMOVED}!"
    assert redaction.request(HttpRequest("GET", f"https://api.test/v1?key={encoded}")).url.endswith(f"key={REMOVED}")


def test_hexadecimal_digits_of_either_case_are_known() -> None:
    redaction = Redaction(["sk-abc+def/ghi="])
    for quoted in ("sk-abc%2Bdef%2Fghi%3D", "sk-abc%2bdef%2fghi%3d"):
        assert redaction.text(quoted) == REMOVED


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_key_is_found_in_base64_between_other_bytes(before: bytes, after: bytes) -> None:
    key = "sk-abc+def/ghi="
    text = base64.b64encode(before + key.encode() + after).decode()
    assert REMOVED in Redaction([key]).text(text)
