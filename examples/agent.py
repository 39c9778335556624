"""Lets a model call two functions, in at most five rounds: python examples/agent.py [QUESTION]"""

import json
import sys
from datetime import UTC, datetime

from turnout import ChatRequest, Message, Tool, ToolCall
from turnout_io.sync import Router

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [Tool("weather", "The weather of a city.", CITY), Tool("clock", "The time now, in UTC.")]
ROUNDS = 5


def run(call: ToolCall) -> str:
    """Return the result of a call. An error is a result too: the model can react to it."""
    try:
        if call.name == "clock":
            return datetime.now(UTC).isoformat(timespec="minutes")
        if call.name == "weather":
            return json.dumps({"city": call.parsed()["city"], "degrees": 12, "sky": "rain"})
        return f"there is no tool {call.name}"
    except (KeyError, TypeError, ValueError) as error:
        return f"the arguments are wrong: {error!r}"


def main() -> None:
    messages = [Message.user(sys.argv[1] if len(sys.argv) > 1 else "What is the weather in Oslo?")]
    with Router.from_env(timeout=60) as router:
        for _ in range(ROUNDS):
            reply = router.chat(
                ChatRequest("openai/gpt-4o-mini", messages, tools=TOOLS, fallbacks=["gemini/gemini-2.5-flash"])
            )
            messages.append(reply.message)
            if not reply.tool_calls:
                print(reply.text)
                return
            for call in reply.tool_calls:
                print(f"{call.name}({call.arguments})")
                messages.append(Message.tool(call, run(call)))
        print(f"no answer after {ROUNDS} rounds")


if __name__ == "__main__":
    main()
