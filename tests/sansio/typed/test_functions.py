"""A function gives a tool, from its signature and its docstring, and is called with what a model wrote."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import Tool, ToolCall
from turnout.typed.function import FunctionTool, function_tool, result_text


@attrs.frozen
class Place:
    city: str
    country: str = "NO"


class Point(pydantic.BaseModel):
    x: int


def weather(city: str, unit: Literal["c", "f"] = "c", days: list[int] | None = None) -> str:
    """Return the weather of a city.

    It may be wrong.

    Args:
        city: The name of the city,
            in English.
        unit (str): The unit: `c` or `f`.

    Returns:
        A text.
    """
    return f"{city} {unit} {days}"


def sphinx(city: str) -> str:
    """Return the weather.

    :param city: The name of the city.
    :returns: A text.
    """
    return city


async def search(query: str, /) -> str:
    return query


def everything(place: Place, point: Point, limit: Annotated[int, msgspec.Meta(ge=1)] = 5, anything: Any = None) -> int:
    return point.x + limit


def call(name: str, arguments: str) -> ToolCall:
    return ToolCall("c1", name, arguments)


def test_a_function_gives_a_tool() -> None:
    assert Tool.of(weather) == Tool(
        "weather",
        "Return the weather of a city.\n\nIt may be wrong.",
        {
            "type": "object",
            "properties": {
                "city": {"description": "The name of the city, in English.", "type": "string"},
                "unit": {"description": "The unit: `c` or `f`.", "enum": ["c", "f"]},
                "days": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
            },
            "required": ["city"],
        },
    )
    assert Tool.of(sphinx).description == "Return the weather."
    assert Tool.of(sphinx).parameters["properties"]["city"]["description"] == "The name of the city."
    assert Tool.of(weather, name="w", description="d", strict=True).parameters["required"] == ["city", "unit", "days"]


def test_arguments_are_read_by_their_types() -> None:
    read = function_tool(everything).read_arguments(
        call("everything", '{"place": {"city": "Oslo"}, "point": {"x": "1"}, "limit": "7"}')
    )
    assert read == {"place": Place("Oslo"), "point": Point(x=1), "limit": 7, "anything": None}
    assert everything(**read) == 8
    assert function_tool(weather).read_arguments(call("weather", '{"city": "Oslo"}')) == {
        "city": "Oslo",
        "unit": "c",
        "days": None,
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("{", "not JSON"),
        ("{}", "missing required field `city`"),
        ('{"city": "Oslo", "unit": "k"}', r"Invalid enum value 'k' - at `\$.unit`"),
        ("[]", "Expected `object`"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        function_tool(weather).read_arguments(call("weather", arguments))


def test_a_function_that_cannot_be_a_tool_is_named() -> None:
    def stars(*cities: str) -> None: ...
    def unknown(city: complex) -> None: ...

    for function, problem in ((search, "query"), (stars, "cities"), (unknown, "complex")):
        with pytest.raises(TypeError, match=f"cannot be a tool: .*{problem}"):
            Tool.of(function)
    with pytest.raises(TypeError, match=r"Tool.of\(weather\)"):
        Tool(weather)  # type: ignore[arg-type]  # what is tested


def test_an_object_that_can_be_called_gives_a_tool() -> None:
    class Search:
        """Search the web."""

        def __call__(self, query: str) -> str:
            return query

    assert Tool.of(Search()).name == "Search"
    assert Tool.of(Search()).description == "Search the web."


@given(st.text(), st.sampled_from(["c", "f"]), st.none() | st.lists(st.integers(-5, 5), max_size=3))
def test_any_arguments_come_through(city: str, unit: Any, days: list[int] | None) -> None:
    arguments = {"city": city, "unit": unit, "days": days}
    text = msgspec.json.encode(arguments).decode()
    assert function_tool(weather).read_arguments(call("weather", text)) == arguments


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("12 degrees", "12 degrees"),
        ({"a": 1}, '{"a":1}'),
        (Place("Oslo"), '{"city":"Oslo","country":"NO"}'),
        (Point(x=1), '{"x":1}'),
        (None, "null"),
        (Tool, "\"<class 'turnout.types.tools.Tool'>\""),
    ],
)
def test_a_result_becomes_text(value: object, text: str) -> None:
    assert result_text(value) == text


def test_a_tool_of_a_schema_from_elsewhere_gets_its_arguments_unchanged() -> None:
    def look(**arguments: Any) -> dict[str, Any]:
        return arguments

    tool = FunctionTool(Tool("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}}), look)
    text = '{"at": "signal 4", "not in the schema": [1, null]}'
    assert tool.function(**tool.read_arguments(call("look", text))) == {
        "at": "signal 4",
        "not in the schema": [1, None],
    }
    with pytest.raises(ValueError, match="the arguments of 'look' must be a JSON object, not list"):
        tool.read_arguments(call("look", "[1]"))
    with pytest.raises(ValueError, match="are not JSON"):
        tool.read_arguments(call("look", '{"at": '))
