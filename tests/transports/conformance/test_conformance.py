"""Every transport of the package follows every rule of `turnout_io.base`, as strictly as it declares."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from turnout_io.conformance import (
    ALL_CHECKS,
    Check,
    Outcome,
    Result,
    Strictness,
    check_async_transport,
    check_transport,
    render,
)
from turnout_io.conformance.__main__ import SHIPPED, main
from turnout_io.conformance.checks_tls import _basic, _expect_password
from turnout_io.conformance.markdown import rules_table, summary_table
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import Http1Adapter, RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.trio import TrioTransport

# Rules that a plain session of the user does not keep: it adds its fields and cookies, and the user closes its pool. It
# does not report whether a connection was reused, so it keeps fewer rules exactly. The garbage collector closes the
# socket of a failed TLS handshake, and its warning would appear in another test.
OF_A_USERS_SESSION = {
    "request.has-no-fields-of-its-own",
    "reuse.no-cookies",
    "close.transport",
    "tls.not-spoken",
    "tls.system-trust-by-default",
}

# Rules that urllib3 does not keep, in a way that a router can bear: docs/transports.md lists them.
OF_URLLIB3 = {
    "interim.others",
    "early-end.in-the-head",
    "early-end.in-the-last-chunk",
    "protocol.strict-chunks",
    "reuse.surplus-is-no-answer",
    "reuse.death-is-told",
    "reuse.silence-is-told",
    "upload.early-answer",
}


@functools.cache  # the tables below are made of what the tests above them found
def run(factory: Callable[..., Any], runtime: str, check: Check) -> Result:
    if runtime == "blocking":
        return next(check_transport(factory, [check]))
    return next(check_async_transport(factory, runtime, [check]))


ROOT = Path(__file__).resolve().parents[3]

SHIPPED_CLASSES: list[tuple[Callable[..., Any], str]] = [
    (RequestsTransport, "blocking"),
    (SocketTransport, "blocking"),
    (TrioTransport, "trio"),
    (AsyncioTransport, "asyncio"),
]


@pytest.mark.full
@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.rule)
@pytest.mark.parametrize(("factory", "runtime"), SHIPPED_CLASSES, ids=["requests", "socket", "trio", "asyncio"])
def test_a_shipped_transport(factory: Callable[..., Any], runtime: str, check: Check) -> None:
    result = run(factory, runtime, check)
    if result.outcome is Outcome.SKIPPED:
        # Nothing else may be skipped: the shipped transports take every setting.
        assert (runtime, check.needs_cancellation) == ("blocking", True), result.detail
        return
    assert result.outcome is Outcome.PASSED, result.detail
    assert result.strictness is None, result.detail


USERS_CHECKS = [
    check
    for check in ALL_CHECKS
    if check.rule not in OF_A_USERS_SESSION
    and check.rule.partition(".")[0] != "timers"
    and not check.needs
    and not check.needs_cancellation
]


# After these bytes urllib3 waits for more, until the timeout of the check.
WAITING = {"protocol.bad-chunks"}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=check.rule, marks=pytest.mark.full if check.rule in WAITING else ())
        for check in USERS_CHECKS
    ],
)
def test_a_session_of_the_users_is_used_as_it_is(check: Check) -> None:
    with requests.Session() as session:
        session.trust_env = False
        result = run(lambda: RequestsTransport(session), "blocking", check)
    assert result.label == ("not kept" if check.rule in OF_URLLIB3 else "kept"), result.detail


@pytest.mark.full
@pytest.mark.parametrize(
    "check", [check for check in ALL_CHECKS if check.rule.startswith("timers.")], ids=lambda check: check.rule
)
def test_adapter_gives_exact_timers_to_a_session_of_the_users(check: Check) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, Http1Adapter())
        if check.needs:
            pytest.skip("a session has settings of its own")
        result = run(lambda: RequestsTransport(session), "blocking", check)
    assert result.outcome is Outcome.PASSED, result.detail
    assert result.strictness is None, result.detail


def test_the_table_shows_rule_label_and_failure() -> None:
    results = [
        Result("a.rule", "what it says", Outcome.PASSED),
        Result("another.rule", "what it says", Outcome.PASSED, Strictness.PER_READ, "what was seen"),
        Result("third", "what it says", Outcome.FAILED, None, "what was found"),
        Result("fourth", "what it says", Outcome.SKIPPED, None, "because"),
        Result("fifth", "what it says", Outcome.PASSED, Strictness.NONE),
    ]
    assert render(results).splitlines()[:7] == [
        "rule          label",
        "a.rule        kept",
        "another.rule  per read  what it says; what was seen",
        "third         broken    what it says; what was found",
        "fourth        skipped   what it says; because",
        "fifth         not kept  what it says",
        "",
    ]
    assert [line[:12].strip() for line in render(results).splitlines()[7:]] == [
        "1 kept", "1 per read", "1 not kept", "1 broken", "1 skipped",
    ]  # fmt: skip


def test_tables_of_markdown_show_the_same() -> None:
    results = {
        "A": [Result("a.rule", "a|b", Outcome.PASSED), Result("b", "is kept", Outcome.PASSED, Strictness.PER_BODY)],
        "B": [Result("a.rule", "a|b", Outcome.FAILED, None, "why"), Result("b", "is kept", Outcome.SKIPPED)],
    }
    assert rules_table(results).splitlines() == [
        "| rule | what it says | `A` | `B` |",
        "| --- | --- | --- | --- |",
        "| `a.rule` | a\\|b | kept | **broken** |",
        "| `b` | is kept | per body | – |",
    ]
    assert summary_table(results).splitlines()[2:] == ["| `A` | 1 | `b` (per body) | 0 |", "| `B` | 0 | – | 1 |"]


def test_the_tables_in_the_documents_name_the_rules_and_the_transports() -> None:
    lines = (ROOT / "docs" / "conformance.md").read_text("utf-8").splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("| rule |"))
    assert re.findall(r"`(\w+)`", lines[header]) == [factory.__name__ for factory, _ in SHIPPED_CLASSES]
    rows = [line.split(" | ")[:2] for line in lines[header + 2 :] if line.startswith("| `")]
    assert rows == [[f"| `{check.rule}`", check.description.replace("|", "\\|")] for check in ALL_CHECKS]


@pytest.mark.full
def test_the_tables_in_the_documents_are_what_the_checks_find() -> None:
    assert [name.rpartition(":")[2] for name, _ in SHIPPED] == [factory.__name__ for factory, _ in SHIPPED_CLASSES]
    found = {
        factory.__name__: [run(factory, runtime, check) for check in ALL_CHECKS] for factory, runtime in SHIPPED_CLASSES
    }
    assert f"\n{summary_table(found)}\n" in (ROOT / "docs" / "extend" / "transport.md").read_text("utf-8")
    assert f"\n{rules_table(found)}\n" in (ROOT / "docs" / "conformance.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a factory as module:name, or give --all"),
        (["no_such_module_here:X"], "No module named 'no_such_module_here'"),
        (["turnout_io.base"], "as module:name, such as my_module:MyTransport"),
        (["no_module.MyTransport"], "write no_module:MyTransport, if MyTransport is in the module no_module"),
        (["turnout_io.base:Nope"], "turnout_io.base has no Nope"),
        (["turnout_io.base:__all__"], "__all__ cannot be called"),
        (["turnout_io.testing:ReplayTransport"], "without arguments makes no transport: TypeError"),
        (["builtins:dict"], "has no method `open`"),
        (["pathlib:Path"], "has no method `close`"),
        (["pathlib:Path", "--runtime", "trio"], "is not an async transport, because its `open` is not async"),
        (["turnout_io.transports.trio:TrioTransport"], "at the command line with --runtime trio or --runtime asyncio"),
    ],
)
def test_a_factory_without_a_transport_is_an_error_of_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_rules_are_named_once() -> None:
    rules = [check.rule for check in ALL_CHECKS]
    assert len(rules) == len(set(rules)) >= 40


def test_only_the_named_rules_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["turnout_io.transports.socket:SocketTransport", "-k", "status.is-no-error", "-k", "body.length"]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert [line.split()[1] for line in shown.err.splitlines()] == ["status.is-no-error", "body.length"]
    assert "2 kept" in shown.out
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_name_without_rules_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["turnout_io.transports.socket:SocketTransport", "-k", "no.such-rule"])
    assert "no rule has no.such-rule in its name" in capsys.readouterr().err


def test_an_error_that_most_checks_share_comes_first() -> None:
    failed = [Result(f"r{n}", "what", Outcome.FAILED, None, f"no attribute 'read' (checks_a.py:{n})") for n in range(3)]
    other = Result("other", "what", Outcome.FAILED, None, "another one")
    assert render([*failed, other]).startswith("3 checks failed with the same error: no attribute 'read'\n\nrule ")
    assert render([failed[0], other]).startswith("rule ")


def test_all_skips_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "trio", None)
    monkeypatch.delitem(sys.modules, "turnout_io.transports.trio", raising=False)
    assert main(["--all", "-k", "connect.refused", "-q"]) == 0
    told = capsys.readouterr()
    assert "turnout_io.transports.trio:TrioTransport: skipped: " in told.err
    assert "AsyncioTransport" in told.out


def test_a_wrong_password_for_the_proxy_is_shown_but_a_real_one_is_not() -> None:
    for pair, shown in (("user:p%40ss%3Aword", "user:p%40ss%3Aword"), ("ada:secret", "another value, ***")):
        with pytest.raises(AssertionError, match=re.escape(shown)) as caught:
            _expect_password(_basic(pair))
        assert "after percent-decoding" in str(caught.value)
        assert "secret" not in str(caught.value)
