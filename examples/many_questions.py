"""Answers each line of standard input, in eight threads and within a limit.

python examples/many_questions.py < questions.txt
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from turnout import ChatRequest, TurnoutError
from turnout.routing import Limit, Price
from turnout_io.recorder import TraceRecorder
from turnout_io.sync import Router

MODEL = "groq/llama-3.1-8b-instant"


def main() -> None:
    questions = [line.strip() for line in sys.stdin if line.strip()]
    with (
        TraceRecorder("calls.jsonl") as recorder,  # read it with: turnout explain calls.jsonl
        Router.from_env(
            timeout=120,
            limits={"groq": Limit(requests_per_minute=600, max_concurrency=4)},
            prices={"llama-3.1-8b-instant": Price(0.05, 0.08)},
            on_trace=recorder,
        ) as router,
        ThreadPoolExecutor(8) as pool,
    ):

        def answer(question: str) -> tuple[str, float]:
            try:
                reply = router.chat(ChatRequest(MODEL, question, fallbacks=["openai/gpt-4o-mini"]))
            except TurnoutError as error:
                return f"failed: {error}", 0.0
            return reply.text, reply.usage.cost or 0.0

        total = 0.0
        for question, (text, cost) in zip(questions, pool.map(answer, questions), strict=True):
            total += cost
            print(f"{question}\n  {text}")
        print(f"cost: {total:.6f}")


if __name__ == "__main__":
    main()
