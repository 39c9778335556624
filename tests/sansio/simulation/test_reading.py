"""Scenarios as they are written down: what each word means, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout.chat import ModelConfig
from turnout.config.values import SettingsError
from turnout.simulation import Arrivals, Fault, Spread, read_scenario

GOOD: dict[str, Any] = {"models": ["a/m"], "providers": {"a": {}}}
SCENARIOS = sorted((Path(__file__).resolve().parents[3] / "transports" / "turnout_io" / "scenarios").glob("*.yaml"))


def test_every_word_has_its_meaning() -> None:
    scenario = read_scenario(
        yaml.safe_load("""
            seed: 7
            duration: 10m
            calls: 100
            kind: collect
            concurrent: false
            bins: 5
            prompt_tokens: [100, 200]
            arrivals: {rate: 20, regular: true, steps: [{at: 4m, rate: 60}]}
            models: [route/all, a/m]
            routes: {all: [a/m, b/m]}
            policy: {maxRetries: 1, firstTokenTimeout: 3s}
            providers:
              a:
                firstContent: {median: 400ms, p95: 1.2s}
                per_token: {mean: 10ms}
                tokens: 50
                max_concurrency: 4
                requests_per_minute: 60
                announces: true
                faults:
                  - {from: 3m, until: 6m, fail: 503, retry_after: 2s}
                  - {fail: slow, factor: 3, share: 0.5}
              b:
        """)
    )
    a, b = scenario.providers
    assert (scenario.seed, scenario.duration, scenario.calls, scenario.bins) == (7, 600.0, 100, 5)
    assert (scenario.kind, scenario.concurrent) == ("collect", False)
    assert scenario.prompt_tokens == Spread("uniform", 100, 200)
    assert scenario.arrivals == Arrivals(rate=20, regular=True, steps=((240.0, 60.0),))
    assert scenario.models == (ModelConfig.route("all"), ModelConfig("a", "m"))
    assert (scenario.policy.max_retries, scenario.policy.timeouts.first_token) == (1, 3.0)
    assert (a.first_content, a.per_token) == (Spread("lognormal", 0.4, 1.2), Spread("exponential", 0.01))
    assert (a.tokens, a.max_concurrency, a.requests_per_minute, a.announces) == (Spread("constant", 50), 4, 60, True)
    assert a.faults == (
        Fault(kind="status", status=503, begins=180, ends=360, retry_after=2),
        Fault(kind="slow", factor=3, share=0.5),
    )
    assert (b.name, b.faults) == ("b", ())
    users = read_scenario({**GOOD, "arrivals": {"users": 3, "think": "2s"}})
    assert users.arrivals == Arrivals(users=3, think=Spread("constant", 2))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenarios_that_come_with_it_can_be_read(path: Path) -> None:
    assert read_scenario(yaml.safe_load(path.read_text("utf-8"))).providers


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"models": None}, "models: a scenario needs it"),
        ({"models": ["gpt"]}, "models[0]: a model is written provider/model, as in openai/gpt-4o-mini, not 'gpt'"),
        ({"models": [7]}, "models[0]: text was expected, not int"),
        ({"models": ["b/m"]}, "the scenario: b/m: no provider is named 'b' (there are: a)"),
        ({"models": ["route/x"]}, "the scenario: route/x: there is no such route"),
        ({"provider": {}}, "provider: no such setting; did you mean providers?"),
        ({"timeout": 5}, "timeout: no such setting: write policy: {timeout: …}"),
        ({"timeouts": {}}, "timeouts: no such setting: each timer is a setting of the section policy: connectTimeout"),
        ({"providers": [1]}, "providers: a mapping was expected, not list"),
        ({"providers": {"a": {"tokns": 1}}}, "providers.a.tokns: no such setting; did you mean tokens?"),
        ({"providers": {"a": {"tokens": [1]}}}, "providers.a.tokens: a lower and an upper bound were expected"),
        ({"providers": {"a": {"tokens": [5, 1]}}}, "providers.a.tokens: the upper bound 1 is below the lower one, 5"),
        ({"providers": {"a": {"per_token": {"p95": 1}}}}, "providers.a.per_token: {median: …, p95: …} or {mean: …}"),
        ({"providers": {"a": {"per_token": {"mean": "x"}}}}, "providers.a.per_token.mean: a duration such as"),
        ({"providers": {"a": {"per_token": {"mean": 0}}}}, "providers.a.per_token: the mean or median must be above 0"),
        ({"providers": {"a": {"announces": "yes"}}}, "providers.a.announces: true or false was expected, not 'yes'"),
        ({"providers": {"a": {"max_concurrency": 0}}}, "providers.a: SimulatedProvider.max_concurrency must be"),
        ({"providers": {"a": {"faults": {}}}}, "providers.a.faults: a list of faults was expected"),
        ({"providers": {"a": {"faults": [{}]}}}, "providers.a.faults[0].fail: an error status or one of refused, "),
        ({"providers": {"a": {"faults": [{"fail": 200}]}}}, "providers.a.faults[0]: Fault.status must be at least 400"),
        ({"providers": {"a": {"faults": [{"fail": 700}]}}}, "providers.a.faults[0]: 700 is no status of an error"),
        (
            {"providers": {"a": {"faults": [{"fail": "cut"}, {"fail": "cut", "until": "soon"}]}}},
            "providers.a.faults[1].until: a duration such as 55s, 50ms or 1m30s was expected, not 'soon'",
        ),
        (
            {"providers": {"a": {"faults": [{"fail": "cut", "from": "2m", "until": "1m"}]}}},
            "providers.a.faults[0]: it ends at 60 s, before it begins at 120 s",
        ),
        ({"arrivals": {"users": 1, "rate": 2}}, "arrivals: calls come at a rate or from users, not both"),
        ({"arrivals": {"rate": 0}}, "arrivals: Arrivals.rate must be"),
        ({"arrivals": {"steps": [{"rate": 1}]}}, "arrivals.steps[0].at: a duration such as"),
        ({"arrivals": {"steps": [{"at": 2, "rate": 1}, {"at": 1, "rate": 1}]}}, "arrivals: the steps are not in the"),
        ({"arrivals": {"steps": {}}}, "arrivals.steps: a list was expected, such as [{at: 4m, rate: 60}]"),
        ({"kind": "talk"}, "kind: one of stream, chat, collect was expected, not 'talk'"),
        ({"duration": 0}, "the scenario: Scenario.duration must be"),
        ({"policy": {"max_retries": -1}}, "policy: "),
        ({"policy": {"retry": 1}}, "policy.retry: no such setting; did you mean retry_mode?"),
        ({"routes": {"x": {}}}, "routes.x.choices: a list of models was expected"),
    ],
)
def test_a_wrong_word_is_named_where_it_stands(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_scenario({**GOOD, **changes})
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("document", [None, [], "x", 7])
def test_a_document_that_is_no_mapping_is_refused(document: object) -> None:
    with pytest.raises(SettingsError):
        read_scenario(document)
