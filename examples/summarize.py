"""Summarizes a text file: python examples/summarize.py FILE [--explain]"""

import sys
from pathlib import Path

from turnout import ChatRequest, Message, StreamInterrupted
from turnout_io.sync import Router


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    request = ChatRequest(
        "openai/gpt-4o-mini",
        [Message.system("Summarize the text in three sentences."), Message.user(text)],
        fallbacks=["gemini/gemini-2.5-flash", "groq/llama-3.3-70b-versatile"],
    )
    with Router.from_env(timeout=30) as router, router.stream(request) as stream:
        try:
            for event in stream:
                if event.type == "token":
                    print(event.delta, end="", flush=True)
        except StreamInterrupted as error:
            sys.exit(f"\nthe answer is incomplete: {error}")
        print()
        if "--explain" in sys.argv:
            print(stream.response.trace.explain())


if __name__ == "__main__":
    main()
