"""The error family: one root, and every error survives the way to another process."""

from __future__ import annotations

import inspect
import pickle

import pytest

from turnout import errors
from turnout.chat import ChatResponse, ModelConfig
from turnout.embeddings import Vectors
from turnout.errors import (
    AllAttemptsFailed,
    MissingCredentials,
    ProviderError,
    RateLimited,
    ServerError,
    StreamTruncated,
    TurnoutError,
)
from turnout.messages import Message
from turnout.trace import Trace
from turnout.trace.entries import Started

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TurnoutError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_pickles_with_all_it_carries(kind: type[TurnoutError]) -> None:
    error = kind("what failed")
    error.trace = Trace("chat", ("p/m",), entries=[Started(0.0, 1, 0, "p/m")])
    error.vectors = Vectors.of([[1.0]])
    vars(error).update(detail="kept")  # anything set on it travels
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.message == "what failed"
    assert again.trace.to_dict() == error.trace.to_dict()
    assert again.vectors == error.vectors
    assert vars(again)["detail"] == "kept"


def test_a_provider_error_says_who_and_what() -> None:
    error = RateLimited("slow down", status=429, code="rate_limit_exceeded", provider="groq", retry_after=1.5)
    assert str(error) == "groq: slow down (429, rate_limit_exceeded)"
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, again.code, again.retry_after) == (429, "rate_limit_exceeded", 1.5)
    assert str(ServerError("broken")) == "broken"


def test_a_partial_answer_travels_with_its_error() -> None:
    partial = ChatResponse(message=Message.assistant("half"), model=ModelConfig("p", "m"))
    again = pickle.loads(pickle.dumps(StreamTruncated("cut", partial=partial)))
    assert again.partial == partial


def test_errors_of_several_attempts_are_kept_in_order() -> None:
    first, last = ServerError("one"), ProviderError("two")
    error = AllAttemptsFailed("both", errors=(first, last))
    assert error.last is last
    assert [str(each) for each in pickle.loads(pickle.dumps(error)).errors] == ["one", "two"]
    assert AllAttemptsFailed().last is None
    assert MissingCredentials("x", missing_env=("A",)).missing_env == ("A",)
    assert TurnoutError().message == ""


def test_an_error_of_no_call_has_a_trace_of_nothing() -> None:
    assert TurnoutError("x").trace.entries == []
    assert TurnoutError("x").trace.explain() == "no attempt was made"
