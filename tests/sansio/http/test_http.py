"""Requests and header fields as values."""

from __future__ import annotations

import pytest

from turnout.http import Headers, HttpRequest, shown_url


def test_names_are_found_without_regard_to_case_and_repeats_are_kept() -> None:
    headers = Headers([("Set-Cookie", "a"), ("X-Id", "1"), ("set-cookie", "b")])
    assert headers.get("x-ID") == "1"
    assert headers.get("SET-COOKIE") == "a"
    assert headers.get_all("Set-cookie") == ("a", "b")
    assert headers.get("none") is None
    assert list(headers) == [headers[0], *headers[1:]]
    assert len(headers) == 3
    assert headers == Headers(list(headers))
    assert hash(headers) == hash(Headers(list(headers)))
    assert headers != [("X-Id", "1")]


@pytest.mark.parametrize("name", ["X-Id", "x-id", "New"])
def test_fields_with_one_more_are_those_of_a_new_list(name: str) -> None:
    before = Headers([("Host", "x.test"), ("X-Id", "1")])
    after, made = before.with_field(name, "2"), Headers([*before, (name, "2")])
    assert after == made
    assert after.names == made.names
    assert [after.get(one) for one in after.names] == [made.get(one) for one in made.names]
    assert before.get("new") is None


@pytest.mark.parametrize("name", ["Authorization", "x-goog-api-key", "X-API-Key", "api-key", "Cookie"])
def test_no_repr_shows_a_secret(name: str) -> None:
    request = HttpRequest("POST", "https://x.test/", [(name, "Bearer sk-secret")], b"sk-secret in the body")
    assert isinstance(request.headers, Headers)
    assert "sk-secret" not in repr(request)
    assert "***" in repr(request)


def test_a_url_is_shown_without_its_credentials() -> None:
    url = "https://user:sk-secret@x.test/a?alt=sse&key=sk-secret&X-Amz-Signature=sk-secret&%6Bey=sk-secret&key=#k"
    assert shown_url(url) == "https://x.test/a?alt=sse&key=***&X-Amz-Signature=***&%6Bey=***&key=#k"
    assert "sk-secret" not in repr(HttpRequest("GET", url))
    assert shown_url("https://x.test/keys?monkey=banana") == "https://x.test/keys?monkey=banana"


def test_auth_is_no_part_of_what_a_request_is() -> None:
    plain = HttpRequest("GET", "https://x.test/")
    signed = HttpRequest("GET", "https://x.test/", auth=lambda request: request)
    assert plain == signed
    assert "auth" not in repr(signed)


def test_a_dict_is_no_list_of_fields() -> None:
    with pytest.raises(TypeError, match=r"pass its items\(\)"):
        Headers({"a": "b"})  # type: ignore[dict-item]  # what is tested
