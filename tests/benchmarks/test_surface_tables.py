"""Our tables for the comparison with the SDKs: that they follow the code, and that none is empty. Needs no SDK."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.surfaces import source
from benchmarks.surfaces.compare import load_reviews
from benchmarks.surfaces.known import TABLES

# A value of each table that its providers have had for years. An SDK has it as well.
_LONG_KNOWN = {
    "efforts": "high",
    "openai-chat.finish-reasons": "tool_calls",
    "openai-chat.wire": "reasoning_content",
    "openai-chat.parts": "thinking",
    "openai-chat.requests": "input_audio",
    "openai.models": "gpt-4o-mini",
    "openai.error-codes": "rate_limit_exceeded",
    "responses.events": "response.output_text.done",
    "responses.items": "function_call",
    "responses.finish-reasons": "max_output_tokens",
    "responses.requests": "input_image",
    "responses.wire": "output_tokens",
    "anthropic.events": "content_block_delta",
    "anthropic.blocks": "tool_use",
    "anthropic.deltas": "input_json_delta",
    "anthropic.finish-reasons": "end_turn",
    "anthropic.error-codes": "overloaded_error",
    "anthropic.requests": "tool_result",
    "anthropic.models": "claude-sonnet-4-5",
    "anthropic.wire": "cache_read_input_tokens",
    "claude.thinking": "adaptive",
    "gemini.finish-reasons": "MAX_TOKENS",
    "gemini.parts": "functionCall",
    "gemini.wire": "promptTokenCount",
    "gemini.thinking-levels": "HIGH",
    "gemini.requests": "maxOutputTokens",
    "cohere.events": "tool-plan-delta",
    "cohere.finish-reasons": "MAX_TOKENS",
    "cohere.parts": "thinking",
    "cohere.requests": "search_document",
    "cohere.wire": "billed_units",
    "groq.models": "llama-3.3-70b-versatile",
    "xai.models": "grok-4",
    "rerank.wire": "results",
    "ollama.wire": "eval_count",
    "ollama.requests": "num_predict",
    "bedrock.events": "contentBlockDelta",
    "bedrock.finish-reasons": "end_turn",
    "bedrock.blocks": "toolUse",
    "bedrock.error-codes": "ThrottlingException",
    "bedrock.wire": "inputTokens",
    "bedrock.requests": "docx",
}

# A small dialect whose modules are spread over its folder. `turns` has no `__init__.py`; that of `reading` is empty.
_MADE_UP = {
    "__init__.py": "",
    "request.py": "from made_up.dialect.turns.parts import PART\nBODY = {'model': PART}\n",
    "turns/parts.py": "'''The parts.'''\nPART = 'input_file'\n",
    "stream.py": "from made_up.dialect.wire import Event\nENDS = {'stop': Event}\n",
    "reading/__init__.py": "",
    "reading/events.py": "def knows(kind: str) -> bool:\n    return kind == 'text-delta'\n",
    "empty.py": "'''Nothing but this docstring.'''\n",
    "wire.py": "import msgspec\nclass Event(msgspec.Struct, rename='camel'):\n    finish_reason: str = 'none'\n",
}


@pytest.fixture
def dialect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A made-up dialect, by the name that the functions under test take."""
    for name, text in _MADE_UP.items():
        file = tmp_path / "made_up" / "dialect" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(source, "PROVIDERS", "made_up")
    yield "dialect"
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_up"]:
        del sys.modules[name]


def test_requests_are_read_from_all_modules_that_make_them(dialect: str) -> None:
    assert source.sent_by(dialect) == {"model", "input_file"}


def test_answers_are_read_from_all_other_modules_of_a_dialect(dialect: str) -> None:
    assert source.read_by(dialect) == {"stop", "text-delta", "camel", "none"}


def test_fields_and_constants_are_found_wherever_they_are_in_a_dialect(dialect: str) -> None:
    assert source.fields_of(dialect) == {"finishReason"}
    assert source.constants_of(dialect, "ENDS") == {"stop"}


def test_a_place_without_a_value_is_refused(dialect: str) -> None:
    with pytest.raises(source.NothingFound, match=r"no literals in made_up\.dialect\.empty: "):
        source.literals_of("dialect.empty")
    with pytest.raises(source.NothingFound, match=r"no fields of wire types in made_up\.dialect\.stream: "):
        source.fields_of("dialect.stream")
    with pytest.raises(source.NothingFound, match=r"no values of GONE in made_up\.dialect: "):
        source.constants_of(dialect, "GONE")


@pytest.mark.parametrize("read", [source.literals_of, source.sent_by, source.read_by, source.fields_of])
def test_a_module_that_does_not_exist_is_refused(read: Callable[[str], frozenset[str]]) -> None:
    with pytest.raises(ModuleNotFoundError, match="a_dialect_that_is_gone"):
        read("a_dialect_that_is_gone")


@pytest.mark.parametrize("name", sorted({*TABLES, *_LONG_KNOWN}))
def test_each_table_knows_a_value_that_its_providers_have_had_for_years(name: str) -> None:
    assert _LONG_KNOWN[name] in TABLES[name]


def test_no_review_is_of_a_value_that_its_table_knows() -> None:
    reviewed = [(review.known, value) for review in load_reviews() for value in review.values]
    assert [(known, value) for known, value in reviewed if value in TABLES[known]] == []
