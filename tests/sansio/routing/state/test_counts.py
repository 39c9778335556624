"""What the windows and the breaker count, value by value: at the edges, and after a success."""

from __future__ import annotations

import pytest

from turnout.chat import RateWindow, Usage
from turnout.routing.policy.settings import BreakerPolicy, Limit
from turnout.routing.state.breaker import Breaker
from turnout.routing.state.learnt.latency import Latency, PeakEwma
from turnout.routing.state.learnt.pace import Pace
from turnout.routing.state.limiter import Limiter
from turnout.routing.state.limits import Amounts, ProviderRateLimit, SlidingWindow
from turnout.routing.state.throttle import Throttle

# -- the entries of a window ------------------------------------------------------------------------------------------


def test_bookings_that_share_an_entry_leave_the_window_with_the_last_of_them() -> None:
    window = SlidingWindow(2)
    first, second = window.take(1, 0.0), window.take(1, 0.2)
    assert first is second
    assert window.taken(60.1) == 2
    assert window.wait(1, 60.1) == pytest.approx(0.1)
    assert window.taken(60.2) == 0


def test_an_entry_is_shared_for_a_quarter_of_a_second_after_its_first_booking() -> None:
    window = SlidingWindow(9)
    first = window.take(1, 0.0)
    assert window.take(1, 0.2) is first
    assert window.take(1, 0.25) is not first
    assert window.taken(60.2) == 1


def test_a_correction_takes_back_at_most_what_was_booked() -> None:
    window = SlidingWindow(10)
    window.take(3, 0.0)
    booking = window.take(2, 1.0)
    window.correct(booking, -5)
    assert window.taken(1.0) == 3


def test_more_than_the_whole_limit_fits_into_an_empty_window() -> None:
    window = SlidingWindow(10)
    assert window.wait(25, 0.0) == 0
    window.take(4, 0.0)
    assert window.wait(25, 0.0) == 60.0


def test_a_limit_is_updated_and_what_was_used_still_counts() -> None:
    limiter = Limiter("openai", Limit(requests_per_minute=2, tokens_per_minute=100))
    reservation = limiter.acquire(object(), Amounts.of(90, 0), 0.0)
    assert reservation is not None
    limiter.update(Limit(requests_per_minute=3, tokens_per_minute=120))
    assert limiter.wait(Amounts.of(40, 0), 1.0) == 59.0  # tokens
    reservation.adjust(Usage(prompt_tokens=10, completion_tokens=0), refund=False)
    assert limiter.wait(Amounts.of(40, 0), 1.0) == 0
    limiter.acquire(object(), Amounts.of(1, 0), 1.0)
    limiter.acquire(object(), Amounts.of(1, 0), 1.0)
    assert limiter.wait(Amounts.of(1, 0), 1.0) == 59.0  # requests


def test_the_longer_wait_of_requests_and_tokens_holds() -> None:
    limiter = Limiter("openai", Limit(requests_per_minute=1, tokens_per_minute=100))
    limiter.acquire(object(), Amounts.of(1, 0), 0.0)
    assert limiter.wait(Amounts.of(1, 0), 1.0) == 59.0


def test_what_was_used_is_no_refund_of_the_request() -> None:
    limiter = Limiter("openai", Limit(requests_per_minute=1))
    reservation = limiter.acquire(object(), Amounts.of(0, 0), 0.0)
    assert reservation is not None
    reservation.adjust(Usage(prompt_tokens=5, completion_tokens=0), refund=False)
    assert limiter.wait(Amounts.of(1, 0), 1.0) == 59.0
    reservation.adjust(None, refund=True)
    assert limiter.wait(Amounts.of(1, 0), 1.0) == 0


# -- what a provider reports ------------------------------------------------------------------------------------------


def test_attempts_in_flight_are_taken_from_what_the_provider_reports() -> None:
    reported = ProviderRateLimit()
    reported.update(RateWindow(limit=None, remaining=5, reset=10), 0.0, in_flight=3)
    assert (reported.wait(2, 0.0), reported.wait(3, 1.0)) == (0, 9.0)


def test_of_two_reports_of_one_moment_the_later_one_holds() -> None:
    reported = ProviderRateLimit()
    reported.update(RateWindow(limit=None, remaining=5, reset=10), 1.0, 0)
    reported.update(RateWindow(limit=None, remaining=0, reset=10), 1.0, 0)
    assert reported.wait(1, 1.0) == 10.0
    reported.update(RateWindow(limit=None, remaining=9, reset=10), 0.5, 0)
    assert reported.wait(1, 1.0) == 10.0


@pytest.mark.parametrize(("reset", "wait"), [(60.0, 2.0), (30.0, 30.0), (90.0, 60.0)])
def test_a_window_that_refills_evenly_is_waited_for_in_part(reset: float, wait: float) -> None:
    reported = ProviderRateLimit()
    reported.update(RateWindow(limit=60, remaining=0, reset=reset), 0.0, 0)
    assert reported.wait(2, 0.0) == pytest.approx(wait)


# -- the breaker ------------------------------------------------------------------------------------------------------

POLICY = BreakerPolicy(window=10.0, minimum_calls=4, failure_ratio=0.5, consecutive_failures=3, break_duration=5.0)


def fail(breaker: Breaker, now: float, times: int = 1) -> Breaker:
    for _ in range(times):
        breaker.record_failure(object(), now, started=now)
    return breaker


def succeed(breaker: Breaker, now: float, times: int = 1, started: float | None = None) -> Breaker:
    for _ in range(times):
        breaker.record_success(object(), now, started=now if started is None else started)
    return breaker


def test_a_success_ends_a_row_of_failures() -> None:
    breaker = succeed(fail(Breaker(POLICY), 0.0, 2), 0.0, 9)
    assert fail(breaker, 1.0, 2).state(1.0) == "closed"
    assert fail(breaker, 1.0).state(1.0) == "open"


def test_a_success_that_closes_the_breaker_forgets_what_was_counted_before() -> None:
    breaker = fail(Breaker(POLICY), 0.0, 3)
    succeed(breaker, 6.0)
    assert breaker.state(6.0) == "closed"
    # Two of six are under the ratio. With failures that came during the break they would not be.
    succeed(breaker, 6.0, 3)
    assert fail(breaker, 6.0, 2).state(6.0) == "closed"


def test_a_success_counts_as_a_call() -> None:
    breaker = succeed(Breaker(POLICY), 0.0, 3)
    fail(breaker, 0.0)
    fail(breaker, 0.0)
    assert breaker.state(0.0) == "closed"  # 2 of 5
    succeed(breaker, 0.0)
    fail(breaker, 0.0)
    assert breaker.state(0.0) == "closed"  # 3 of 7


def test_a_failure_leaves_the_window_when_it_is_as_old_as_the_window() -> None:
    policy = BreakerPolicy(window=10.0, minimum_calls=2, failure_ratio=1.0, consecutive_failures=0)
    assert fail(fail(Breaker(policy), 0.0), 9.9).state(9.9) == "open"
    assert fail(fail(Breaker(policy), 0.0), 10.0).state(10.0) == "closed"


@pytest.mark.parametrize(("started", "state"), [(-0.1, "half-open"), (0.0, "closed")])
def test_only_what_started_after_the_break_shows_the_present_health(started: float, state: str) -> None:
    breaker = fail(Breaker(POLICY), 0.0, 3)
    assert succeed(breaker, 6.0, started=started).state(6.0) == state


def test_a_failure_from_before_the_break_does_not_open_the_breaker_again() -> None:
    breaker = fail(Breaker(POLICY), 0.0, 3)
    breaker.record_failure(object(), 6.0, started=-1.0)
    assert (breaker.consecutive_opens, breaker.state(6.0)) == (1, "half-open")
    breaker.record_failure(object(), 6.0, started=0.0)
    assert (breaker.consecutive_opens, breaker.state(6.0)) == (2, "open")


def test_refusals_without_a_wait_double_the_cooldown_up_to_a_minute() -> None:
    breaker, now, seconds = Breaker(POLICY), 0.0, []
    for _ in range(6):
        breaker.cool_down_after_refusal(now, 0.0)
        breaker.cool_down_after_refusal(now, 0.0)  # of an attempt that started before
        seconds.append(breaker.cool_until - now)
        now = breaker.cool_until
    assert seconds == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    succeed(breaker, now)
    breaker.cool_down_after_refusal(now, 1.0)
    assert breaker.cool_until - now == pytest.approx(6.0)


@pytest.mark.parametrize("count", [0, 1])
def test_another_process_closes_the_breaker_unless_it_opened_again_here(count: int) -> None:
    breaker = fail(Breaker(POLICY), 0.0, 3)
    breaker.closed_elsewhere(count)
    assert breaker.state(0.0) == "closed"
    again = fail(fail(Breaker(POLICY), 0.0, 3), 6.0)
    again.closed_elsewhere(count)
    assert again.state(6.0) == "open"


# -- pace, throttle, latency, congestion ------------------------------------------------------------------------------


def accepted(pace: Pace, count: int) -> Pace:
    for second in range(count):
        pace.take(float(second))
    return pace


def test_a_limit_is_learnt_from_a_refusal_that_a_window_of_a_minute_explains() -> None:
    for count, retry_after, known in ((56, None, True), (12, 48.0, True), (12, None, False), (56, 1.0, False)):
        pace = accepted(Pace(), count)
        pace.refused(retry_after, float(count))
        for _ in range(70):
            pace.accepted()
        assert pace.is_known is known


def test_a_learnt_limit_grows_after_two_minutes() -> None:
    pace = accepted(Pace(), 12)
    pace.refused(48.0, 12.0)
    for _ in range(70):
        pace.accepted()
    for second in range(12):
        pace.take(100.0 + second / 4)
    assert pace.wait((), 120.0) > 0
    assert pace.wait((), 131.9) > 0  # two minutes after the refusal it is still the same limit
    for second in range(12):
        pace.take(250.0 + second)
    assert pace.wait((), 262.0) == 0  # two minutes of growth


def test_a_refusal_lets_only_requests_after_it_count_as_unanswered() -> None:
    pace = Pace()
    pace.refused(None, 10.0)
    assert pace.wait([10.0], 10.5) == 0
    assert pace.wait([10.1], 10.5) == pytest.approx(1.6)


def test_a_reported_limit_is_no_more_than_the_provider_says() -> None:
    pace = accepted(Pace(), 21)
    pace.reported(remaining=1, limit=22, in_flight=0, now=21.0)
    pace.take(21.0)
    assert pace.wait((), 21.0) == 39.0


def test_one_request_a_minute_tests_a_limit() -> None:
    pace = Pace()
    assert pace.may_ask_anyway(0.0)
    pace.refused(None, 0.0)
    assert (pace.may_ask_anyway(59.9), pace.may_ask_anyway(60.0)) == (False, True)
    pace.ask_anyway(60.0)
    assert (pace.may_ask_anyway(119.9), pace.may_ask_anyway(120.0)) == (False, True)


def test_few_requests_are_never_held_back() -> None:
    throttle = Throttle()
    for _ in range(9):
        throttle.count_request(0.0)
    assert not any(throttle.refuses(0.0) for _ in range(5))


def test_the_share_of_repetitions_is_that_of_the_book() -> None:
    throttle = Throttle()
    for number in range(99):
        throttle.count_request(0.0)
        if number < 25:
            throttle.count_answer(0.0)
    allowed = sum(not throttle.refuses(0.0) for _ in range(100))
    assert allowed == pytest.approx(51, abs=1)  # 1 - (99 - 2 * 25) / 100


def test_many_samples_in_a_short_time_still_count() -> None:
    average = PeakEwma()
    average.add(10.0, 0.0)
    average.add(0.0, 0.0)
    assert average.value == pytest.approx(9.0)


def test_a_short_time_without_content_says_nothing_about_the_latency() -> None:
    latency = Latency()
    latency.record_first_content(5.0, 0.0)
    latency.record_censored(1.0, 0.0)
    assert latency.first_content.value == 5.0
    latency.record_censored(8.0, 0.0)
    assert latency.first_content.value == 8.0


def test_the_quantile_of_the_newest_times() -> None:
    latency = Latency()
    for seconds in range(1, 11):
        assert latency.quantile(0.5) is None
        latency.record_first_content(float(seconds), 0.0)
    assert [latency.quantile(share) for share in (0.1, 0.5, 0.95, 1.0)] == [1.0, 5.0, 10.0, 10.0]
