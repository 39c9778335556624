#!/usr/bin/env bash
# pydantic-ai 2.68.0: a stream that reports its usage as it goes is counted once for each chunk. Every chunk has the
# whole prompt and the tokens so far, and the sum grows with the square of the answer: 1,000 chunks of one token make
# 500,500 output tokens and 1,000 prompts. UsageLimits then stop runs that are far from their limit.
#
# A client that asks for usage gets this form from Baseten: in the schema of its stream_options `continuous_usage_stats`
# is true unless the request says otherwise. vLLM and SGLang send it on request (github.com/sgl-project/sglang/pull/12241).
# The setting openai_continuous_usage_stats makes pydantic-ai take the last report, but no one needs it to get the form.
# Other libraries add up too, and others take the last. langchain-baseten takes the last, though the class of
# langchain-openai that it is made from adds up.
#
# Seen on 2026-12-01 with Python 3.11: 5 chunks of one token, prompt of 100 tokens; each asks for include_usage only
#   pydantic-ai-slim 2.68.0                                 input 500, output 15
#   the same, output_tokens_limit=10                        UsageLimitExceeded
#   the same, openai_continuous_usage_stats=True            input 100, output 5
#   langchain-openai 1.7.4, stream_usage=True               input 500, output 15
#   smolagents 1.26.0                                       input 500, output 15
#   langchain-baseten 0.2.5                                 input 100, output 5
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
packages=("pydantic-ai-slim[openai]==2.68.0" "langchain-openai==1.7.4" "langchain-baseten==0.2.5")
packages+=("smolagents[openai]==1.26.0" "openai==3.57.0")
"$scratch/v/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import asyncio
import http.server
import json
import threading

from langchain_baseten import ChatBaseten
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent, UsageLimitExceeded, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from smolagents import OpenAIModel
from smolagents.models import agglomerate_stream_deltas

CHUNKS = 5
options = []


def chunk(number):
    finish_reason = "stop" if number == CHUNKS else None
    choice = {"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 100, "completion_tokens": number, "total_tokens": 100 + number}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": usage}


BODY = "".join(f"data: {json.dumps(chunk(number + 1))}\n\n" for number in range(CHUNKS)) + "data: [DONE]\n\n"


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        options.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["stream_options"])
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY.encode())

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"


def pydantic_ai(limits=None, **settings):
    agent = Agent(OpenAIChatModel("m", provider=OpenAIProvider(base_url=url, api_key="k"), settings=settings))

    async def run():
        async with agent.run_stream("Hi", usage_limits=limits) as result:
            assert await result.get_output() == "a" * CHUNKS
            return result.usage.input_tokens, result.usage.output_tokens

    return asyncio.run(run())


def langchain(model):
    whole = None
    for value in model.stream("Hi"):
        whole = value if whole is None else whole + value
    return whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]


def smolagents():
    model = OpenAIModel(model_id="m", api_base=url, api_key="k")
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    usage = agglomerate_stream_deltas(list(model.generate_stream(messages))).token_usage
    return usage.input_tokens, usage.output_tokens


def play(name, counts):
    print(f"{name}: input {counts[0]}, output {counts[1]}, asked with {options[-1]}")
    return counts


ADDED, LAST = (500, 15), (100, 5)
settings = {"model": "m", "api_key": "k", "base_url": url}
assert play("pydantic-ai", pydantic_ai()) == ADDED
try:
    pydantic_ai(UsageLimits(output_tokens_limit=10))
except UsageLimitExceeded as error:
    print(f"output_tokens_limit=10: {error}")
else:
    raise SystemExit("the limit holds now")
assert play("langchain-openai", langchain(ChatOpenAI(stream_usage=True, **settings))) == ADDED
assert play("smolagents", smolagents()) == ADDED
assert play("langchain-baseten", langchain(ChatBaseten(**settings))) == LAST
assert options == [{"include_usage": True}] * 5
assert play("openai_continuous_usage_stats", pydantic_ai(openai_continuous_usage_stats=True)) == LAST
PY
