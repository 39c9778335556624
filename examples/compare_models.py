"""Asks several models the same question at once: python examples/compare_models.py [QUESTION]"""

import sys

import trio

from turnout import ChatRequest, TurnoutError
from turnout_io.trio import Router

MODELS = ["openai/gpt-4o-mini", "gemini/gemini-2.5-flash", "groq/llama-3.3-70b-versatile", "ollama/llama3.2"]


async def ask(router: Router, model: str, question: str) -> None:
    started = trio.current_time()
    try:
        reply = await router.chat(ChatRequest(model, question), collect=True)
    except TurnoutError as error:
        print(f"{model}: {error}")
        return
    seconds = trio.current_time() - started
    print(f"{model}: {seconds:.2f} s, {reply.usage.total_tokens} tokens\n  {reply.text[:120]}")


async def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else "Why do points freeze?"
    async with Router.from_env(timeout=30, max_retries=0) as router, trio.open_nursery() as nursery:
        for model in MODELS:
            nursery.start_soon(ask, router, model, question)


if __name__ == "__main__":
    trio.run(main)
