"""Record, then replay: the same answers come, whatever they were, and no secret stands in the file."""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.testing.exchanges import TIMEOUTS, URL, Seen, use, use_async
from turnout import ChatRequest, Message, ModelConfig
from turnout.errors import (
    ConnectFailed,
    Disconnected,
    Phase,
    RemoteProtocolError,
    TimedOut,
    Timer,
    TransportError,
)
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io import sync
from turnout_io.testing import (
    AsyncRecordingTransport,
    AsyncReplayTransport,
    AsyncScriptedTransport,
    Fault,
    RecordingTransport,
    ReplayTransport,
    Reply,
    ScriptedTransport,
    ScriptError,
)
from turnout_io.testing.cassette import CassetteError

# -- anything at all ----------------------------------------------------------------------------------------------

TOKENS = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=12).map("x-".__add__)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20).map(
    str.strip
)
MESSAGES = st.text(max_size=20)
PHASES = st.sampled_from(Phase)
FAULTS = st.one_of(
    st.builds(ConnectFailed, MESSAGES),
    st.builds(TimedOut, MESSAGES, timer=st.sampled_from(Timer), phase=PHASES),
    st.builds(Disconnected, MESSAGES, reused=st.booleans(), phase=PHASES),
    st.builds(TransportError, MESSAGES, phase=PHASES),
    st.builds(RemoteProtocolError, MESSAGES),
)
PIECES = st.binary(min_size=1, max_size=40) | st.text(min_size=1).map(lambda text: text.encode("utf-8", "replace"))
BODIES = (
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode())
)  # fmt: skip
REQUESTS = st.builds(
    HttpRequest,
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.text("abc/?=&%20é", max_size=12).map(f"{URL}/".__add__),
    st.lists(st.tuples(TOKENS, VALUES), max_size=3),
    BODIES,
)
ANSWERS: st.SearchStrategy[Reply | TransportError | RemoteProtocolError] = FAULTS | st.builds(
    Reply,
    st.integers(200, 599),
    st.lists(PIECES | st.builds(TimedOut, MESSAGES), max_size=6).flatmap(
        lambda steps: st.just(steps) | FAULTS.map(lambda fault: [*steps, fault])
    ),
    st.lists(st.tuples(TOKENS, VALUES), max_size=4),
)


EXCHANGES = st.lists(st.tuples(REQUESTS, ANSWERS), max_size=4)


@pytest.mark.full
@given(EXCHANGES)
@settings(max_examples=200)
def test_what_was_recorded_is_replayed(exchanges: list[tuple[HttpRequest, Any]]) -> None:
    requests = [request for request, _ in exchanges]
    script = ScriptedTransport()
    script.add(*(answer for _, answer in exchanges))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "of", "ours", "cassette.json")
        recorded = use(RecordingTransport(script, path), requests)
        replay = ReplayTransport(path)
        assert use(replay, requests) == recorded
        replay.assert_all_called()
        json.loads(path.read_text("utf-8"))


@given(EXCHANGES)
@settings(max_examples=30)
@pytest.mark.parametrize("run", ["trio", "asyncio"])
def test_what_was_recorded_by_async_code_is_replayed(run: str, exchanges: list[tuple[HttpRequest, Any]]) -> None:
    requests = [request for request, _ in exchanges]
    script = AsyncScriptedTransport()
    script.add(*(answer for _, answer in exchanges))

    def started(transport: Any) -> list[Seen]:
        return (
            trio.run(use_async, transport, requests) if run == "trio" else asyncio.run(use_async(transport, requests))
        )

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cassette.json")
        recorded = started(AsyncRecordingTransport(script, path))
        assert started(AsyncReplayTransport(path)) == recorded
        assert use(ReplayTransport(path), requests) == recorded, "one file serves both"


def test_a_recording_is_the_same_in_every_run(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        script = ScriptedTransport()
        script.add(Reply(200, ["ä\n".encode(), b"\xff"], {"x-a": "b"}), ConnectFailed("refused"))
        use(RecordingTransport(script, tmp_path / name), [HttpRequest("POST", URL, (), b'{"b":1,"a":[2]}')] * 2)
    one = (tmp_path / "one.json").read_text("utf-8")
    assert one == (tmp_path / "two.json").read_text("utf-8")
    assert '"ä\\n"' in one
    assert '"/w=="' in one
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]


def test_an_answer_that_was_left_early_can_be_read_no_further(tmp_path: Path) -> None:
    script = ScriptedTransport()
    script.add(Reply(200, [b"a", b"b", b"c"]))
    path = tmp_path / "left.json"
    use(RecordingTransport(script, path), [HttpRequest("GET", URL)], stop_after=2)
    response = ReplayTransport(path).open(HttpRequest("GET", URL), TIMEOUTS)
    assert [response.read(1.0), response.read(1.0)] == [b"a", b"b"]
    with pytest.raises(ScriptError, match="not read further when it was recorded"):
        response.read(1.0)


def test_a_request_that_was_cancelled_is_not_recorded(tmp_path: Path) -> None:
    class Interrupted(ScriptedTransport):
        def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Any:
            raise KeyboardInterrupt

    transport = RecordingTransport(Interrupted(), tmp_path / "none.json")
    with pytest.raises(KeyboardInterrupt):
        transport.open(HttpRequest("GET", URL), TIMEOUTS)
    transport.close()
    assert json.loads((tmp_path / "none.json").read_bytes())["exchanges"] == []


@pytest.mark.full
def test_a_recording_that_is_never_closed_says_so(tmp_path: Path) -> None:
    script = ScriptedTransport()
    script.add(Reply(200))
    transport = RecordingTransport(script, tmp_path / "lost.json")
    transport.open(HttpRequest("GET", URL), TIMEOUTS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport
        gc.collect()
    assert any("lost.json" in str(warning.message) for warning in caught)


# -- through a router ---------------------------------------------------------------------------------------------

OPENAI = ModelConfig("openai", "gpt-4o-mini")
GEMINI = ModelConfig("gemini", "gemini-2.5-flash")


def call(transport: Any, text: str = "Greet me.", key: str = "sk-one-key") -> str:
    environ = {"OPENAI_API_KEY": key, "GEMINI_API_KEY": key}
    request = ChatRequest(OPENAI, [Message.user(text)], fallbacks=[GEMINI])
    router = sync.Router.from_env(environ=environ, dotenv=None, transport=transport, backoff_initial=0)
    with router, router.stream(request) as stream:
        return "".join(event.delta for event in stream if event.type == "token")


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    script = ScriptedTransport()
    script.answer("openai", fault=Fault(status=401))
    script.answer("gemini", "Hello there, 世界")
    assert call(RecordingTransport(script, tmp_path / "call.json")) == "Hello there, 世界"
    return tmp_path / "call.json"


def test_a_call_is_replayed_with_another_key(cassette: Path) -> None:
    replay = ReplayTransport(cassette)
    assert call(replay, key="sk-quite-another") == "Hello there, 世界"
    replay.assert_all_called()


def test_what_differs_is_said(cassette: Path) -> None:
    with pytest.raises(ScriptError) as caught:
        call(ReplayTransport(cassette), "Greet her.")
    assert str(caught.value).splitlines() == [
        f"request 1 is not in the recording {cassette}: POST https://api.openai.com/v1/chat/completions",
        "  the most similar unused exchange is number 1. Differences:",
        "    body, messages[0].content: recorded 'Greet me.', sent 'Greet her.'",
    ]
    replay = ReplayTransport(cassette)
    call(replay)
    with pytest.raises(ScriptError, match="it is in the recording 1 times, and all of them are used"):
        call(replay)
    with pytest.raises(
        ScriptError, match=r"(?s)no request used these exchanges of .* 1. POST .*openai.* 2. POST .*gemini"
    ):
        ReplayTransport(cassette).assert_all_called()


@pytest.mark.parametrize(
    ("recorded", "asked", "difference"),
    [
        (b'{"a": 1, "b": [true]}', b'{"b":[true],"a":1.0}', None),
        (b'{"a": true}', b'{"a": 1}', "body, a: recorded True, sent 1"),
        (b'{"a": 1}', b'{"b": 1}', "body, a: recorded 1, not sent"),
        (b'{"a": [1, 2]}', b'{"a": [1]}', "body, a: recorded 2 entries, sent 1"),
        (b'{"a": "1"}', b'{"a": 1}', "body, a: recorded '1', sent 1"),
        (b"not json", b"{}", "body: recorded b'not json', sent b'{}'"),
        (b"\xff\x00", b"\xff\x00", None),
        (b"", b"x", "body: recorded b'', sent b'x'"),
    ],
)
def test_bodies_of_json_are_compared_as_json(
    tmp_path: Path, recorded: bytes, asked: bytes, difference: str | None
) -> None:
    script = ScriptedTransport()
    script.add(Reply(200, "answer"))
    use(RecordingTransport(script, tmp_path / "one.json"), [HttpRequest("POST", URL, (), recorded)])
    replay = ReplayTransport(tmp_path / "one.json")
    request = HttpRequest("POST", URL, (), asked)
    if difference is None:
        assert replay.open(request, TIMEOUTS).read(1.0) == b"answer"
        return
    with pytest.raises(ScriptError) as caught:
        replay.open(request, TIMEOUTS)
    assert difference in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not a cassette"),
        ("[]", "has no"),
        ('{"turnout-cassette": 2, "exchanges": []}', "version 2"),
        ('{"turnout-cassette": 1}', "is a broken cassette"),
        ('{"turnout-cassette": 1, "exchanges": [{"request": {}}]}', r"exchanges\[0\]: 'method' is missing"),
        (
            '{"turnout-cassette": 1, "exchanges": [{"request": 7}]}',
            r"exchanges\[0\]: request has the type int",
        ),
        ('{"turnout-cassette": 1, "exchanges": 7}', "exchanges: a list was expected"),
        ("[" * 100_000, "nested too deeply"),
        ('{"turnout-cassette": 1,\n\n x', "line 3"),
        ("9" * 5000, "is not a cassette"),
    ],
)
def test_a_file_that_is_no_cassette_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(CassetteError, match=says) as caught:
        ReplayTransport(path)
    assert str(path) in str(caught.value)


def test_a_key_of_this_run_that_is_a_common_word_does_no_harm(cassette: Path) -> None:
    assert call(ReplayTransport(cassette), key="Greet me.") == "Hello there, 世界"
