"""The sixteen faults, and what is right in each.

The list is that of FailoverBench (github.com/failoverbench/failoverbench, its catalogue of 2026): 16 ways in which a
provider fails a client that has one fallback. The faults here are our own, and so is what they are held to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from benchmarks.crash_test.calls import ASK, Play, Seen
from benchmarks.crash_test.outage import outage
from benchmarks.crash_test.stage import Stage
from benchmarks.crash_test.verdicts import Expected, judge
from turnout.chat import ModelConfig
from turnout.errors import InvalidRequest
from turnout.trace.entries import Retrying
from turnout_io.sandbox import Fault

__all__ = ["SCENARIOS", "Scenario"]

OPENAI = ModelConfig("openai", "gpt-4o-mini")
GEMINI = ModelConfig("gemini", "gemini-2.5-flash")
NO_PREFILL = ModelConfig("anthropic", "claude-opus-4-6")

# Said without a hint how long to wait, which OpenAI's own text for it has.
LIMITED = {"error": {"message": "Rate limit reached", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}

PRIMARY_SECOND = Expected(answered_by="primary", primary=(2,), fallback=(0,), within=4.0)
FALLBACK_LAST = Expected(answered_by="fallback", primary=(3,), fallback=(1,), within=6.0)
FALLBACK_NEXT = attrs.evolve(FALLBACK_LAST, primary=(1,))


def _nothing(stage: Stage, seen: Seen) -> Iterator[str]:
    yield from ()


@attrs.frozen(kw_only=True, eq=False)
class Scenario:
    """One fault of the primary.

    fault     what happens, and `right`, what is the right thing to do, in words
    script    makes it happen
    expected  what is right, in numbers
    also      what else is wrong, seen by this scenario only
    plot      the calls that are made; one, unless said
    streamed  whether only a stream can meet this fault
    """

    name: str
    fault: str
    right: str
    script: Callable[[Stage], None]
    expected: Expected
    also: Callable[[Stage, Seen], Iterator[str]] = _nothing
    plot: Callable[[Stage], Play] | None = None
    streamed: bool = False
    fallback: ModelConfig = GEMINI

    def play(self, stage: Stage) -> Play:
        """Yields what is to be done, and returns the `Verdict`."""
        self.script(stage)
        if self.plot is not None:
            return (yield from self.plot(stage))
        seen = yield ASK
        assert seen is not None
        return judge(stage, seen, self.expected, self.also(stage, seen))


def _waited(stage: Stage, seen: Seen) -> Iterator[str]:
    gap, asked = stage.to_primary[-1].at - stage.to_primary[0].at, stage.profile.seconds(2.0)
    if gap < asked:
        yield f"the second attempt came {gap:.3f} s after the first, where the provider asked for {asked:.3f} s"


def _four_in_three_seconds(stage: Stage, seen: Seen) -> Iterator[str]:
    begun = stage.to_primary[0].at
    early = sum(one.at < begun + stage.profile.seconds(3.0) for one in stage.to_primary)
    if early > 4:
        yield f"{early} attempts in the first three seconds"


def _no_wasted_time(stage: Stage, seen: Seen) -> Iterator[str]:
    """There is no wait after the last attempt, and nothing takes time but the waits that the backoff asks for."""
    waits = sum(entry.wait for entry in seen.trace.entries if isinstance(entry, Retrying)) if seen.trace else 0.0
    if seen.seconds - waits >= 2.0:
        yield f"{seen.seconds - waits:.2f} s more than the backoff asked for"
    gap = stage.to_fallback[0].at - stage.to_primary[-1].at if stage.to_fallback else 0.0
    if gap >= 0.5:
        yield f"{gap:.2f} s went by between the primary's last answer and the fallback's request"


def _no_word_of_the_prefill(stage: Stage, seen: Seen) -> Iterator[str]:
    error: BaseException | None = seen.error
    while error is not None:
        if isinstance(error, InvalidRequest) or "prefill" in str(error):
            yield f"the fallback's refusal of a prefill came through: {error}"
        error = error.__cause__
    for one in stage.to_fallback:
        if one.status != 200:
            yield f"the fallback answered {one.status}"


def _skipped_one(stage: Stage, seen: Seen) -> Iterator[str]:
    told = seen.trace.explain() if seen.trace is not None else ""
    if "1 unreadable events skipped" not in told:
        yield "the trace says nothing of an event that could not be read"


SCENARIOS = (
    Scenario(
        name="S01",
        fault="429 with Retry-After 2, once",
        right="wait about 2 s, then the same",
        script=lambda on: on.breaks_once(
            Fault(status=429, body=LIMITED, headers={"retry-after": f"{on.profile.seconds(2.0):g}"})
        ),
        expected=PRIMARY_SECOND,
        also=_waited,
    ),
    Scenario(
        name="S02",
        fault="429 without a header, always",
        right="at most 4 attempts in 3 s, fail over",
        script=lambda on: on.breaks(Fault(status=429, body=LIMITED)),
        expected=FALLBACK_NEXT,
        also=_four_in_three_seconds,
    ),
    Scenario(
        name="S03",
        fault="500 once",
        right="the same again",
        script=lambda on: on.breaks_once(Fault(status=500)),
        expected=PRIMARY_SECOND,
    ),
    Scenario(
        name="S04",
        fault="503 always",
        right="fail over, in under 2 s more than the backoff",
        script=lambda on: on.breaks(Fault(status=503)),
        expected=FALLBACK_LAST,
        also=_no_wasted_time,
    ),
    Scenario(
        name="S05",
        fault="reset before the head, always",
        right="the same again, then fail over",
        script=lambda on: on.breaks(Fault(abort="reset")),
        expected=FALLBACK_LAST,
        also=_no_wasted_time,
    ),
    Scenario(
        name="S06",
        fault="silent for 120 s",
        right="leave it, never retry it, fail over",
        script=lambda on: on.breaks(Fault(delay=on.profile.seconds(120.0))),
        expected=attrs.evolve(FALLBACK_NEXT, within=25.0),
    ),
    Scenario(
        name="S07",
        fault="first token after 20 s",
        right="fail over in under 15 s",
        script=lambda on: on.breaks(Fault(first_token_delay=on.profile.seconds(20.0))),
        expected=attrs.evolve(FALLBACK_NEXT, within=15.0),
        streamed=True,
    ),
    Scenario(
        name="S08",
        fault="cut after 40 of 60 tokens",
        right="the whole from the fallback, or a clear error",
        script=lambda on: on.breaks(*(Fault(abort=cut, after_tokens=40) for cut in ("close", "reset", "close"))),
        expected=attrs.evolve(FALLBACK_LAST, primary=(1, 3), within=15.0),
    ),
    Scenario(
        name="S09",
        fault="30 s of silence in the middle",
        right="notice it, then the fallback or a clear error",
        script=lambda on: on.breaks(Fault(stall=on.profile.seconds(30.0), after_tokens=30)),
        expected=attrs.evolve(FALLBACK_NEXT, within=25.0),
    ),
    Scenario(
        name="S10",
        fault="one chunk is malformed",
        right="pass over it and finish",
        script=lambda on: on.breaks(Fault(corruption="json", after_tokens=30)),
        expected=attrs.evolve(PRIMARY_SECOND, primary=(1,)),
        also=_skipped_one,
        streamed=True,
    ),
    Scenario(
        name="S11",
        fault="no [DONE] at the end",
        right="finish promptly, with the usage",
        script=lambda on: on.breaks(Fault(done=False)),
        expected=attrs.evolve(PRIMARY_SECOND, primary=(1,)),
        streamed=True,
    ),
    Scenario(
        name="S12",
        fault="context_length_exceeded",
        right="no retry, the larger model",
        script=lambda on: on.breaks(Fault(error="context-length")),
        expected=FALLBACK_NEXT,
        also=_no_wasted_time,
    ),
    Scenario(
        name="S13",
        fault="400 from the content filter",
        right="no retry, nobody else, the reason is told",
        script=lambda on: on.breaks(Fault(error="content-filter")),
        expected=Expected(answered_by="nobody", primary=(1,), fallback=(0,), within=4.0),
    ),
    Scenario(
        name="S14",
        fault="cut, and the fallback refuses a prefill",
        right="never show that refusal",
        script=lambda on: on.breaks(Fault(abort="end", after_tokens=40)),
        expected=attrs.evolve(FALLBACK_LAST, primary=(1, 3), within=15.0),
        also=_no_word_of_the_prefill,
        streamed=True,
        fallback=NO_PREFILL,
    ),
    Scenario(
        name="S15",
        fault="down for 60 s, then well",
        right="the fallback serves, a probe, back again",
        script=lambda on: on.breaks(Fault(status=503)),
        expected=FALLBACK_LAST,
        plot=outage,
    ),
    Scenario(
        name="S16",
        fault="500 always: who is billed?",
        right="the fallback's model and usage alone",
        script=lambda on: on.breaks(Fault(status=500)),
        expected=FALLBACK_LAST,
    ),
)
