"""A whole answer that does not meet a strict demand of the request is a failed attempt of a healthy candidate."""

from __future__ import annotations

import json
import pickle
from typing import Any

import attrs
import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.routing.call.world import World, failing
from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.errors import AllAttemptsFailed, AllDemandsUnmet, DemandUnmet
from turnout.events import End, Token
from turnout.failures import FailureClass
from turnout.messages import Message, Tool, ToolChoice
from turnout.prices import Price
from turnout.providers import create
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.policy.settings import Hedge
from turnout.routing.state.candidate_state import Health
from turnout.simulation import Outcome, Script

USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PARAMETERS = {"type": "object", "properties": {}}
STRICT, LOOSE = Tool("f", "x", PARAMETERS, strict=True), Tool("g", "x", PARAMETERS)
SCHEMA = {"type": "object"}
JSON: dict[str, Any] = {"response_format": ResponseFormat(SCHEMA)}
BOTH = {**JSON, "tools": [STRICT], "tool_choice": ToolChoice("required")}
MODES = pytest.mark.parametrize("mode", ["chat", "collect"])


@attrs.frozen
class Delayed:
    """An answer whose head arrives after so many seconds."""

    answer: str
    head: float


class Asked(World):
    """Providers that speak chat completions: each script is a message, or a script of the network."""

    def __init__(self, mode: str, *answers: list[Any], **policy: Any) -> None:
        self.mode = mode
        super().__init__(*([self._script(one) for one in mine] for mine in answers), **policy)
        for host in self.left:
            name = host.removesuffix(".test")
            provider = create("openai-compatible", name=name, base_url=f"http://{host}", api_key="k")
            self.core.register(provider, replace=True)

    def _script(self, answer: Any) -> Script:
        if isinstance(answer, Script):
            return answer
        if isinstance(answer, Delayed):
            return attrs.evolve(self._script(answer.answer), head=answer.head)
        message, finish = answer if isinstance(answer, tuple) else (answer, "stop")
        message = {"content": message} if isinstance(message, str) else message
        if self.mode == "chat":
            choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
            return Script(body=((0.0, json.dumps({"choices": [choice], "usage": USAGE}).encode()),))
        delta = {"choices": [{"index": 0, "delta": message, "finish_reason": None}]} if message else {"choices": []}
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": USAGE}
        return Script(body=((0.0, sse(delta)), (0.1, sse(end, "[DONE]"))))

    def health(self) -> Health:
        (health,) = self.core.health(self.simulation.now)
        return health

    def ask(self, **fields: Any) -> Outcome:
        models = [ModelConfig(f"p{number}", "m") for number in range(len(self.left))]
        request = ChatRequest(models[0], [Message.user("x")], fallbacks=models[1:], **fields)
        return self.run(Stream(request) if self.mode == "stream" else Chat(request, collect=self.mode == "collect"))


def failures(outcome: Outcome) -> list[dict[str, Any]]:
    return [entry for entry in outcome.call.trace.to_dict()["entries"] if entry["kind"] == "failed"]


@MODES
def test_the_next_candidate_is_tried(mode: str) -> None:
    world = Asked(mode, ["no JSON"], ['{"a": 1}'], max_retries=0)
    outcome = world.ask(**JSON)
    assert outcome.error is None
    assert (outcome.result.text, outcome.result.unmet, outcome.result.model.provider) == ('{"a": 1}', (), "p1")
    (failed,) = failures(outcome)
    assert (failed["failure"], failed["tokens"], failed["phase"]) == (FailureClass.UNMET_DEMAND, 15, "body")


@MODES
def test_the_same_candidate_is_asked_again_within_its_retries(mode: str) -> None:
    world = Asked(mode, ["no JSON", '{"a": 1}'], max_retries=1)
    outcome = world.ask(**JSON)
    assert (outcome.result.text, len(world.asked)) == ('{"a": 1}', 2)


@MODES
def test_retries_leave_attempts_for_the_untried_candidates(mode: str) -> None:
    world = Asked(mode, ["no"], ["no"], ["{}"], max_retries=5, max_attempts=3)
    outcome = world.ask(**JSON)
    assert (outcome.result.text, [url.split(".")[0] for url, _ in world.asked]) == ("{}", ["p0", "p1", "p2"])


@MODES
@pytest.mark.parametrize(
    ("fields", "answer", "fails"),
    [
        (JSON, "no JSON", True),
        (JSON, "", True),
        (JSON, '```json\n{"a": 1}\n```', False),
        (JSON, 'Here it is: ```json\n{"a": 1}\n```', True),
        ({"response_format": ResponseFormat(SCHEMA, strict=False)}, "no JSON", False),
        ({"response_format": ResponseFormat()}, "no JSON", False),
        (JSON, ("no JS", "length"), False),
        (JSON, ("no JSON", "content_filter"), False),
        (JSON, ("no JSON", "a new word"), False),
        (JSON, {"content": "no JSON", "refusal": "no"}, False),
        (JSON | {"tools": [STRICT]}, ({"tool_calls": [{"index": 0, **CALL}]}, "stop"), False),
        ({"tools": [STRICT], "tool_choice": ToolChoice("required")}, "no call", True),
        ({"tools": [LOOSE, STRICT], "tool_choice": ToolChoice("required")}, "no call", True),
        ({"tools": [LOOSE], "tool_choice": ToolChoice("required")}, "no call", False),
        ({"tools": [LOOSE, STRICT], "tool_choice": ToolChoice.named("g")}, "no call", False),
        ({"tools": [LOOSE, STRICT], "tool_choice": ToolChoice.named("f")}, "no call", True),
        ({"tools": [STRICT], "tool_choice": ToolChoice("auto")}, "no call", False),
        ({"tools": [STRICT]}, "no call", False),
        ({"tools": [STRICT], "tool_choice": ToolChoice("required")}, {"content": "", "refusal": "no"}, False),
    ],
)
def test_which_answers_fail(mode: str, fields: dict[str, Any], answer: Any, fails: bool) -> None:
    outcome = Asked(mode, [answer], max_retries=0).ask(**fields)
    assert isinstance(outcome.error, DemandUnmet) is fails
    assert (outcome.result is None) is fails


@MODES
def test_the_error_has_the_demands_the_model_and_the_answer(mode: str) -> None:
    world = Asked(mode, ["no"], max_retries=1, prices={"p0/*": Price(1e6, 1e6)})
    outcome = world.ask(**BOTH)
    error = outcome.error
    assert type(error) is DemandUnmet
    assert error.demands == ("response_format", "tool_choice")
    assert error.partial is not None
    assert (error.partial.text, error.partial.usage.total_tokens, error.partial.usage.cost) == ("no", 15, 15.0)
    assert all(word in str(error) for word in ("p0/m", "response_format", "tool_choice"))
    assert outcome.call.trace.cost == 30.0
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.demands, copy.partial.text) == (error.demands, "no")


@MODES
def test_the_error_of_several_candidates_names_them_all(mode: str) -> None:
    outcome = Asked(mode, ["no"], ["no, not at all"], max_retries=0).ask(**JSON)
    error = outcome.error
    assert isinstance(error, AllDemandsUnmet)
    assert isinstance(error, DemandUnmet)
    assert error.partial is not None
    assert (error.demands, error.partial.text) == (("response_format",), "no, not at all")
    assert all(word in str(error) for word in ("p0/m", "p1/m", "response_format"))
    assert pickle.loads(pickle.dumps(error)).demands == error.demands


@MODES
def test_the_answer_is_kept_if_another_candidate_fails_otherwise(mode: str) -> None:
    error = Asked(mode, ["no JSON"], [failing(503)], max_retries=0).ask(**JSON).error
    assert type(error) is AllAttemptsFailed
    assert error.partial is not None
    assert error.partial.text == "no JSON"


@MODES
def test_it_never_counts_against_the_candidate(mode: str) -> None:
    world = Asked(mode, ["no JSON"], max_retries=0)
    for _ in range(20):
        assert isinstance(world.ask(**JSON).error, DemandUnmet)
    health = world.health()
    assert (health.state, health.times_opened, health.available_in) == ("closed", 0, 0.0)


def test_a_probe_that_gets_such_an_answer_closes_the_breaker() -> None:
    world = Asked("chat", [*(failing(503) for _ in range(5)), "no JSON"], max_retries=0)
    for _ in range(5):
        world.ask()
    assert world.health().state == "open"
    world.simulation.now += 10
    assert isinstance(world.ask(**JSON).error, DemandUnmet)
    assert world.health().state == "closed"


def test_a_rule_can_choose_the_next_step() -> None:
    world = Asked("chat", ["no JSON"], ["{}"], rules={"unmet-demand": "raise"})
    assert type(world.ask(**JSON).error) is DemandUnmet
    assert len(world.asked) == 1


def test_an_answer_that_may_not_be_repeated_is_an_error() -> None:
    error = Asked("chat", ["no JSON"], ["{}"], retry_mode="only_if_unsent").ask(**JSON).error
    assert isinstance(error, DemandUnmet)
    assert error.partial is not None


def test_a_stream_that_delivered_content_reports_it_on_its_end() -> None:
    outcome = Asked("stream", ["no JSON"], ["{}"]).ask(**JSON)
    assert outcome.error is None
    events = [event for _, event in outcome.events]
    assert isinstance(events[-1], End)
    assert (events[-1].unmet, outcome.result.unmet) == (("response_format",), ("response_format",))


def test_a_stream_that_delivered_nothing_goes_on_with_the_next_candidate() -> None:
    outcome = Asked("stream", [""], ["{}"], max_retries=0).ask(**JSON)
    assert outcome.error is None
    assert [type(event) for _, event in outcome.events] == [Token, End]
    assert outcome.result.model.provider == "p1"


def test_a_faster_answer_without_the_demand_lets_the_other_one_finish() -> None:
    world = Asked(
        "chat", [Delayed("{}", 1.0)], [Delayed("no JSON", 0.5)], max_retries=0, hedge=Hedge(delay=0.1, budget=1.0)
    )
    world.simulation.concurrent = True
    outcome = world.ask(**JSON)
    assert len(world.asked) == 2
    assert (outcome.error, outcome.result.text) == (None, "{}")
