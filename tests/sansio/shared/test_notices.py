"""Notices between processes: told once, only believed within bounds, and never an exception."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout.shared.notices import Notice, NoticeBoard


def board() -> NoticeBoard:
    return NoticeBoard("me", most=60.0)


def test_a_notice_goes_out_once_with_what_remains_of_it() -> None:
    notices = board()
    notices.publish(Notice("x/y", "cooldown", 10.0), 100.0)
    assert notices.unsent
    assert notices.take_outgoing(103.0) == (Notice("x/y", "cooldown", 7.0),)
    assert notices.take_outgoing(103.0) == ()


def test_a_notice_that_has_ended_is_not_sent() -> None:
    notices = board()
    notices.publish(Notice("x/y", "cooldown", 10.0), 100.0)
    notices.publish(Notice("x/z", "opened", 0.0, 1), 100.0)
    assert notices.take_outgoing(111.0) == ()


def test_a_notice_is_cut_to_the_longest() -> None:
    notices = board()
    notices.publish(Notice("x/y", "cooldown", 10_000.0), 0.0)
    assert notices.take_outgoing(0.0) == (Notice("x/y", "cooldown", 60.0),)


def test_what_still_holds_is_said_again_when_the_store_began_anew() -> None:
    notices = board()
    notices.publish(Notice("x/y", "cooldown", 10.0), 0.0)
    notices.publish(Notice("x/z", "opened", 2.0, 1), 0.0)
    notices.take_outgoing(0.0)
    notices.say_again(5.0)
    assert notices.take_outgoing(5.0) == (Notice("x/y", "cooldown", 5.0),)


def test_a_closed_breaker_replaces_its_opening() -> None:
    notices = board()
    notices.publish(Notice("x/y", "opened", 10.0, 2), 0.0)
    notices.publish(Notice("x/y", "closed", count=2), 1.0)
    assert notices.take_outgoing(1.0) == (Notice("x/y", "closed", count=2),)
    notices.say_again(2.0)
    assert notices.take_outgoing(2.0) == ()


def test_messages_of_others_are_read_and_our_own_are_not() -> None:
    notices = board()
    notices.receive_snapshot([(b"v", b"4")], 0)
    assert notices.receive_message(b"5|x/y|cooldown|2500|0|other") == Notice("x/y", "cooldown", 2.5)
    assert notices.receive_message(b"6|x/y|cooldown|2500|0|me") is None
    assert notices.receive_message(b"7|x/y|closed|0|3|other") == Notice("x/y", "closed", count=3)
    assert not notices.stale


def test_a_gap_in_the_versions_asks_for_all() -> None:
    notices = board()
    notices.receive_snapshot([(b"v", b"4")], 0)
    notices.receive_message(b"6|x/y|cooldown|2500|0|me")
    assert notices.stale


def test_a_snapshot_has_what_remains() -> None:
    notices = board()
    fields = [
        (b"v", b"9"),
        (b"a/b|cooldown", b"5000|0|other"),
        (b"a/c|opened", b"9000|2|other"),
        (b"a/d|cooldown", b"500|0|other"),
        (b"a/e|cooldown", b"5000|0|me"),
    ]
    assert notices.receive_snapshot(fields, 1000) == (
        Notice("a/b", "cooldown", 4.0),
        Notice("a/c", "opened", 8.0, 2),
    )


HOSTILE = st.binary(max_size=500) | st.lists(
    st.sampled_from([b"|", b"5", b"99999999999999999999", b"x/y", b"cooldown", b"closed", b"\xff", b"-1", b"nan"]),
    max_size=12,
).map(b"|".join)  # fmt: skip


@given(st.lists(HOSTILE, max_size=5), st.lists(st.tuples(HOSTILE | st.none() | st.integers(), HOSTILE), max_size=5))
def test_foreign_text_is_ignored_or_bounded(
    messages: list[bytes], fields: list[tuple[bytes | int | None, bytes]]
) -> None:
    notices = board()
    found = [notices.receive_message(message) for message in messages]
    found += notices.receive_snapshot(fields, 0)
    for notice in found:
        if notice is not None:
            assert 0 <= notice.remaining <= 60
            assert len(notice.candidate) <= 400
