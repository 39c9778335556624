"""The suite runs, its parts return figures, and what it writes can be read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import PARTS, main
from benchmarks.clients.interface import TITLES
from benchmarks.clients.worker import ROOT, Order, least_of_rounds, least_of_turns, running_worker
from benchmarks.environments import PEERS, interpreters
from benchmarks.plot import bars
from benchmarks.report import Context, Ratio, Report, Table, as_json, as_markdown, as_text
from benchmarks.server import Server, running_server
from benchmarks.server.routes import BURST, CALL, CHUNK, CHUNK_SIZE, PACKETS, Route, encode_routes, route_named

OWN = ("socket", "trio", "asyncio", "requests", "requests-session")
BY_HAND = tuple(name for name in TITLES if name.startswith("hand-") and name != "hand-codec")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.mark.full
@pytest.mark.parametrize("name", [*OWN, *BY_HAND])
def test_every_client_brings_the_whole_reply(name: str, server: Server) -> None:
    with running_worker(name) as worker:
        chat = worker.do("chat", [server.base_url(CALL)], 2)
        stream = worker.do("stream", [server.base_url("burst-100")], 2)
        packets = worker.do("stream", [server.base_url("packets")], 1, warm_up=0)
        vectors = worker.do("embed", [server.base_url("vectors-base64")], 1)
    reply = json.loads(_body(CALL))["choices"][0]["message"]["content"]
    content = json.loads(CHUNK[6:])["choices"][0]["delta"]["content"]
    assert chat.total == 2 * len(reply)
    assert stream.total == 2 * 100 * len(content)
    assert packets.total == PACKETS * len(content)
    assert vectors.total == 100 * 1_536
    assert min(chat.cpu, stream.cpu, packets.cpu, vectors.cpu) > 0


@pytest.mark.full
@pytest.mark.parametrize("name", ["socket", "trio", "asyncio", "hand-trio", "hand-asyncio"])
def test_streams_together_all_end(name: str, server: Server) -> None:
    with running_worker(name) as worker:
        together = worker.do("together", [server.base_url("burst-100")], 20)
    assert together.total == 20 * 100 * 2
    assert 0 < together.first["p50"] <= together.first["p99"] <= together.length["max"]


@pytest.mark.full
def test_a_fallback_is_taken(server: Server) -> None:
    with running_worker("socket") as worker:
        fallen = worker.do("chat", [server.base_url("failure"), server.base_url(CALL)], 3)
    assert fallen.total == 3 * len(json.loads(_body(CALL))["choices"][0]["message"]["content"])


@pytest.mark.full
def test_the_peak_of_a_client_is_that_of_its_own_work(server: Server) -> None:
    # A client that imported the large replies of other parts had 119 MB before it began, whatever it did.
    with running_worker("hand-trio") as worker:
        peak = worker.do("chat", [server.base_url(CALL)], 1).peak_kib
    assert peak < 80 * 1024


@pytest.mark.full
def test_the_cheapest_round_counts(server: Server) -> None:
    clients = {"hand-socket": sys.executable, "hand-codec": sys.executable}
    least = least_of_rounds(clients, 2, "stream", [server.base_url("burst")], 1)
    assert set(least) == set(clients)


@pytest.mark.full
def test_a_turn_does_every_order(server: Server) -> None:
    clients = {"socket": sys.executable, "hand-socket": sys.executable}
    orders = {form: Order("embed", [server.base_url(f"vectors-{form}")], 1) for form in ("base64", "short")}
    least = least_of_turns(clients, 2, orders)
    assert {form: {name: each.total for name, each in least[form].items()} for form in orders} == {
        "base64": dict.fromkeys(clients, 100 * 1_536),
        "short": dict.fromkeys(clients, 100),
    }


def test_the_server_in_python_sends_what_the_server_in_c_sends(server: Server, tmp_path: Path) -> None:
    (tmp_path / "routes").write_bytes(encode_routes())
    program = [sys.executable, str(ROOT / "benchmarks" / "server" / "python_server.py"), str(tmp_path / "routes")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        other = Server(int(process.stdout.readline()), "Python")
        for route in (CALL, "burst-100", "packets"):
            assert _get(other, route) == _get(server, route)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_c_compiler_is_used_if_there_is_one(server: Server) -> None:
    assert server.language == ("C" if shutil.which("cc") or shutil.which("gcc") or shutil.which("clang") else "Python")


def test_the_chunks_are_of_the_size_that_the_tables_state() -> None:
    assert len(CHUNK) == CHUNK_SIZE
    burst = route_named("burst")
    assert burst.count == BURST
    call = route_named(CALL)
    head, _, body = call.head.partition(b"\r\n\r\n")
    assert (len(body), head.count(b"\r\n")) == (600, 16)


def test_the_routes_file_holds_every_byte() -> None:
    encoded = encode_routes([Route("r", b"head", b"chunk", 3, b"tail", 0.005)])
    assert encoded == b"r 5000 3 4 5 4\nheadchunktail"


# -- reports ------------------------------------------------------------------------------------------------------

REPORT = Report(
    "melons",
    (Table("Grams", ("fruit", "weight"), (("fig", "5"), ("melon", "1,500"))),),
    (Ratio("a melon over a fig", 300.0, 250.0), Ratio("figs a day", 3.0, 2.5, "figs", at_least=True)),
    {"Turnout, fig": 5.0, "melon <big>": 1_500.0},
    notes=("A melon weighs more because it is larger.",),
)


def test_a_report_states_which_aims_are_met() -> None:
    text = as_text(REPORT)
    assert "Grams\nfruit  weight\nfig         5\nmelon   1,500\n" in text
    assert [ratio.is_met for ratio in REPORT.ratios] == [False, True]
    assert "300 ×      ≤ 250 ×  not met" in text
    assert "3.00 figs  ≥ 2.50 figs      met" in text
    assert text.endswith("\n\nA melon weighs more because it is larger.")


def test_a_report_is_written_as_json_and_markdown() -> None:
    context = Context(server=Server(1, "C"), own={})
    read = json.loads(as_json([REPORT], context))
    assert read["machine"]["server"] == "C"
    assert read["reports"][0]["ratios"][0]["value"] == 300.0
    page = as_markdown([REPORT], context)
    assert "| a melon over a fig | 300 × | ≤ 250 × | not met |" in page
    assert "| fig | 5 |" in page
    assert "\n\nA melon weighs more because it is larger.\n" in page


def test_the_plot_is_well_formed_and_longer_for_more() -> None:
    tree = ElementTree.fromstring(bars([("Weights", REPORT.bars)]))
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(bar.attrib["width"]) for bar in tree.iter(f"{space}rect")][1:]
    assert widths == sorted(widths)
    assert "melon <big>" in [text.text for text in tree.iter(f"{space}text")]


# -- the command line ---------------------------------------------------------------------------------------------


@pytest.mark.full
def test_parts_run_alone_and_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--scale", "0.01", "--rounds", "1", "--no-peers", "--docs", str(tmp_path)]
    assert main(["routing", "waiting", "imports", *options]) == 0
    shown = capsys.readouterr().out
    assert "µs of CPU a call of one chunk" in shown
    assert shown.count("Aims") == 3
    assert len(json.loads((tmp_path / "benchmarks.json").read_text("utf-8"))["reports"]) == 3
    assert (tmp_path / "benchmarks.md").read_text("utf-8").startswith("# Benchmarks\n")


@pytest.mark.full
@pytest.mark.parametrize("part", sorted(set(PARTS) - {"routing", "waiting", "imports", "thousands", "streams"}))
def test_every_part_runs(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([part, "--scale", "0.001", "--rounds", "1", "--no-peers"]) == 0
    assert ("Bytecodes" if part == "work" else "Aims") in capsys.readouterr().out


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bursst"])
    assert "unknown part 'bursst'; known are bursts, " in capsys.readouterr().err


def test_only_peers_with_an_environment_are_measured(tmp_path: Path) -> None:
    assert interpreters(tmp_path) == {}
    python = tmp_path / "openai" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert interpreters(tmp_path) == {"openai": str(python), "openai-async": str(python)}
    assert set(PEERS) <= set(TITLES)


def _body(name: str) -> bytes:
    return route_named(name).head.partition(b"\r\n\r\n")[2]


def _get(server: Server, route: str) -> tuple[int, dict[str, str], bytes]:
    with urllib.request.urlopen(f"{server.base_url(route)}/chat/completions", data=b"{}") as response:
        return response.status, dict(response.headers), response.read()
