"""The table of errors: the status and code of each, what may be repeated, and what a client never sees."""

from __future__ import annotations

import json
import pickle

import pytest

from tests.sansio.serving.answers import ANSWERER, inbound_of
from tests.sansio.serving.test_answers_read_back import CHAT, MESSAGES, RESPONSES, Pair
from turnout import errors
from turnout.chat import ChatRequest
from turnout.errors import (
    AllAttemptsFailed,
    AuthenticationFailed,
    BudgetExceeded,
    CapabilityUnsupported,
    ConcurrencyExceeded,
    ConnectFailed,
    ContentFiltered,
    ContextLengthExceeded,
    DeadlineExceeded,
    DemandUnmet,
    Disconnected,
    InvalidRequest,
    MissingCredentials,
    NotFound,
    NotSupported,
    Overloaded,
    PermissionDenied,
    ProviderError,
    ProviderNotRegistered,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    RequestTooLarge,
    ServerError,
    StreamFailed,
    StreamTruncated,
    TimedOut,
    TurnoutError,
)
from turnout.providers import create
from turnout.serving import INTERNAL_ERROR, RequestRejected, served_error
from turnout.serving.errors import invalid_request

SECRET = "sk-live-1234 at https://10.0.0.7:8443/v1"
TABLE: list[tuple[TurnoutError, int, str, bool]] = [
    (InvalidRequest("bad", status=400), 400, "invalid_request", False),
    (InvalidRequest("bad", status=422, code="bad_tool"), 400, "bad_tool", False),
    (CapabilityUnsupported("no vision"), 400, "unsupported_parameter", False),
    (RequestTooLarge("too many images", status=413), 413, "request_too_large", False),
    (NotSupported(SECRET, status=405), 400, "unsupported_parameter", False),
    (ContextLengthExceeded("too long", status=400), 400, "context_length_exceeded", False),
    (ContentFiltered("no", status=400), 400, "content_filter", False),
    (AuthenticationFailed(SECRET, status=401), 502, "upstream_authentication_failed", False),
    (PermissionDenied(SECRET, status=403), 403, "upstream_permission_denied", False),
    (NotFound(SECRET, status=404), 404, "model_not_found", False),
    (ProviderNotRegistered("no provider x"), 404, "model_not_found", False),
    (RateLimited(SECRET, status=429, retry_after=7), 429, "rate_limit_exceeded", True),
    (QuotaExceeded(SECRET, status=429), 429, "insufficient_quota", False),
    (BudgetExceeded("too dear"), 429, "insufficient_quota", False),
    (Overloaded(SECRET, status=529, retry_after=3), 503, "overloaded", True),
    (ServerError(SECRET, status=500), 502, "upstream_error", False),
    (ProviderError(SECRET, status=418), 502, "upstream_error", False),
    (MissingCredentials(SECRET), 503, "not_configured", False),
    (ConcurrencyExceeded("full"), 503, "overloaded", True),
    (ProviderUnavailable("cooling down"), 503, "overloaded", True),
    (DeadlineExceeded(SECRET), 504, "deadline_exceeded", False),
    (TimedOut(SECRET), 504, "upstream_timeout", False),
    (ConnectFailed(SECRET), 502, "upstream_unreachable", False),
    (Disconnected(SECRET), 502, "upstream_unreachable", False),
    (RemoteProtocolError(SECRET), 502, "upstream_error", False),
    (DemandUnmet(SECRET, demands=("response_format",)), 502, "unmet_demand", False),
    (StreamTruncated(SECRET), 502, "stream_interrupted", False),
    (StreamFailed(SECRET), 502, "stream_interrupted", False),
    (TurnoutError(SECRET), 500, "internal_error", False),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "retryable"), TABLE, ids=[f"{type(row[0]).__name__}-{row[2]}" for row in TABLE]
)
def test_the_table(error: TurnoutError, status: int, code: str, retryable: bool) -> None:
    served = served_error(error)
    assert (served.status, served.code, served.retryable) == (status, code, retryable)
    assert served.retry_after == getattr(error, "retry_after", None)
    assert "sk-live" not in served.message
    assert "10.0.0.7" not in served.message
    assert served.message


def test_the_table_has_every_error_class() -> None:
    covered = {type(row[0]) for row in TABLE}
    bases = {"LocalProtocolError", "RoutingError", "StreamInterrupted", "TransportError", "TurnoutError"}
    bases |= {"AllAttemptsFailed", "AllDemandsUnmet", "AllRateLimited"}
    named = {getattr(errors, name) for name in errors.__all__ if name not in bases}
    missing = {found.__name__ for found in named if isinstance(found, type) and issubclass(found, TurnoutError)} - {
        found.__name__ for found in covered
    }
    assert not missing


def test_a_fault_of_the_gateway_itself_says_nothing() -> None:
    assert served_error(KeyError(SECRET)) is INTERNAL_ERROR


def test_a_broken_stream_has_the_error_of_its_cause() -> None:
    broken = StreamFailed("x")
    broken.__cause__ = RateLimited("slow", retry_after=2)
    assert served_error(broken).status == 429


INVALID = InvalidRequest("bad", provider="a")
MISSING = NotFound("none", provider="a")
LIMIT = RateLimited("slow", provider="a", retry_after=9)
SHORT = Overloaded("busy", provider="b", retry_after=2)
QUOTA = QuotaExceeded("empty", provider="c")
SERVER = ServerError("oops", provider="d")


@pytest.mark.parametrize(
    ("attempts", "status", "retry_after"),
    [
        ((INVALID, INVALID), 400, None),
        ((MISSING, INVALID), 400, None),
        ((INVALID, SERVER), 502, None),
        ((SERVER, INVALID), 502, None),
        ((LIMIT, SHORT), 503, 2),
        ((SHORT, LIMIT), 503, 2),
        ((LIMIT, INVALID), 429, 9),
        ((LIMIT, QUOTA), 429, 9),
        ((QUOTA, QUOTA), 429, None),
        ((LIMIT, SERVER), 502, None),
        ((SERVER, LIMIT), 429, 9),
    ],
)
def test_several_attempts(attempts: tuple[TurnoutError, ...], status: int, retry_after: float | None) -> None:
    served = served_error(AllAttemptsFailed("2 attempts", errors=attempts))
    assert (served.status, served.retry_after) == (status, retry_after)


def test_no_attempt_at_all() -> None:
    assert served_error(AllAttemptsFailed("none")) is INTERNAL_ERROR


def test_a_rejection_pickles() -> None:
    rejected = pickle.loads(pickle.dumps(invalid_request("n: no", "n")))
    assert isinstance(rejected, RequestRejected)
    assert rejected.error.param == "n"
    assert str(rejected) == "n: no"


# -- the bodies, read by the client's machines -----------------------------------------------------------------------

BACK: dict[int, type[ProviderError] | tuple[type[ProviderError], ...]] = {
    400: (InvalidRequest, ContentFiltered),
    413: InvalidRequest,
    403: PermissionDenied,
    404: NotFound,
    429: (RateLimited, QuotaExceeded),
    502: ServerError,
    503: (Overloaded, ServerError),
    504: (ServerError, Overloaded),
    500: ServerError,
    529: Overloaded,
}
PAIRS = pytest.mark.parametrize("pair", [CHAT, MESSAGES, RESPONSES], ids=["chat", "messages", "responses"])


@PAIRS
@pytest.mark.parametrize("error", [row[0] for row in TABLE], ids=[type(row[0]).__name__ for row in TABLE])
def test_a_client_reads_the_error(pair: Pair, error: TurnoutError) -> None:
    served = served_error(error)
    status = served.messages_status if pair is MESSAGES else served.status
    provider = create(pair.provider, api_key="k", **pair.settings)
    exchange = provider.chat(ChatRequest(f"{pair.provider}/m", "x"))
    exchange.receive_head(status, [("content-type", "application/json")])
    exchange.receive_data(pair.dialect.build_error(served, "req-1"))
    exchange.receive_end()
    failure = exchange.failure
    assert isinstance(failure, ProviderError)
    assert isinstance(failure, BACK[status])
    assert served.message in failure.message or failure.message in served.message
    if isinstance(error, ContextLengthExceeded | ContentFiltered | RateLimited | QuotaExceeded):
        expected = type(error) if pair is not MESSAGES or not isinstance(error, ContentFiltered) else InvalidRequest
        expected = RateLimited if pair is MESSAGES and isinstance(error, QuotaExceeded) else expected
        assert isinstance(failure, expected)


@PAIRS
@pytest.mark.parametrize("opened", [True, False])
def test_an_error_in_a_stream_is_a_failure_to_the_client(pair: Pair, opened: bool) -> None:
    writer = pair.dialect.make_writer(inbound_of(), ANSWERER)
    body = writer.ping() + (writer.opening() if opened else b"") + writer.ping()
    heard = pair.stream(body + writer.error(served_error(SHORT), "req-1"), ())
    assert isinstance(heard.failure, ProviderError)
    assert "no capacity" in heard.failure.message


def test_responses_end_with_both_events() -> None:
    writer = RESPONSES.dialect.make_writer(inbound_of(), ANSWERER)
    text = writer.error(served_error(SHORT), "").decode()
    failed, error = text.strip().split("\n\n")
    assert failed.startswith("event: response.failed\n")
    assert json.loads(failed.partition("data: ")[2])["response"]["status"] == "failed"
    assert json.loads(error.partition("data: ")[2])["error"]["code"] == "overloaded"
