#!/usr/bin/env bash
# @portkey-ai/gateway 1.15.2: usage in the form of OpenAI whose parts are larger than the whole. In that form
# `cached_tokens` is a part of `prompt_tokens`, and `reasoning_tokens` a part of `completion_tokens`. For Claude the
# gateway leaves the tokens of the cache out of `prompt_tokens`, and for Gemini the thoughts out of `completion_tokens`.
# Only `total_tokens` has them. So a client that knows OpenAI's form counts 5 of 305 tokens that Gemini charges for.
#
# Clients react in three ways, and none sees an error from the gateway: the AI SDK computes -990 tokens outside of the
# cache and a total of its own, genai-prices refuses the usage, and others price what is there.
#
# Seen on 2026-12-01 with Node 20 and Python 3.11
#   Claude: input 10, cache read 1000, cache written 20, output 5
#     gateway                       prompt_tokens 10, cached_tokens 1000, completion_tokens 5, total_tokens 1035
#     ai 6.0.326                    input 10, cacheRead 1000, noCache -990, total 15
#     genai-prices 0.2.3            ValueError: cache_read_tokens (1000) cannot exceed input_tokens (10)
#   Gemini: prompt 10, candidates 5, thoughts 300
#     gateway                       prompt_tokens 10, completion_tokens 5, reasoning_tokens 300, total_tokens 315
#     ai 6.0.326                    output 5, reasoning 300, total 15
#
# Exits with 1 if a version behaves in another way. Needs node, npm and Python. The requests go to a server on 127.0.0.1
# that plays the providers, and to a gateway on 127.0.0.1.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
packages=("@portkey-ai/gateway@1.15.2" "ai@6.0.326" "@ai-sdk/openai-compatible@2.0.92")
npm install --silent --no-audit --no-fund --ignore-scripts "${packages[@]}" >/dev/null
python3 -m venv v
v/bin/pip install -q --disable-pip-version-check "genai-prices==0.2.3" 2>/dev/null
cat >ask.mjs <<'JS'
import assert from "node:assert";
import { spawn } from "node:child_process";
import http from "node:http";
import net from "node:net";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText } from "ai";

const usage = { input_tokens: 10, cache_read_input_tokens: 1000, cache_creation_input_tokens: 20, output_tokens: 5 };
const content = [{ type: "text", text: "Hello!" }];
const claude = { id: "msg_1", type: "message", role: "assistant", model: "m", content, stop_reason: "end_turn", usage };
const counts = { promptTokenCount: 10, candidatesTokenCount: 5, thoughtsTokenCount: 300, totalTokenCount: 315 };
const parts = [{ text: "Hello!" }];
const candidates = [{ content: { role: "model", parts }, finishReason: "STOP", index: 0 }];
const gemini = { candidates, usageMetadata: counts, modelVersion: "m", responseId: "r" };

function listen(server) {
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
}

const provider = http.createServer((request, response) => {
  request.resume().on("end", () => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(request.url.includes("generateContent") ? gemini : claude));
  });
});
const host = `http://127.0.0.1:${await listen(provider)}`;
const probe = net.createServer();
const port = await listen(probe);
await new Promise((done) => probe.close(done));
const command = ["node_modules/@portkey-ai/gateway/build/start-server.js", "--headless", `--port=${port}`];
const gateway = spawn(process.execPath, command, { stdio: "ignore" });
const url = `http://127.0.0.1:${port}`;
try {
  for (let left = 150; left > 0; left--) {
    if (await fetch(url).then(() => true, () => false)) break;
    await new Promise((done) => setTimeout(done, 200));
  }

  async function ask(name, base) {
    const headers = { "x-portkey-provider": name, "x-portkey-custom-host": base, authorization: "Bearer k" };
    const body = JSON.stringify({ model: "m", max_tokens: 9, messages: [{ role: "user", content: "Hi" }] });
    const sent = { method: "POST", headers: { ...headers, "content-type": "application/json" }, body };
    const raw = (await (await fetch(`${url}/v1/chat/completions`, sent)).json()).usage;
    const model = createOpenAICompatible({ name: "p", baseURL: `${url}/v1`, headers })("m");
    const seen = (await generateText({ model, prompt: "Hi" })).usage;
    console.log(`${name}:`, JSON.stringify(raw));
    console.log("  ai:", JSON.stringify({ ...seen, raw: undefined }));
    return [raw, seen];
  }

  let [raw, seen] = await ask("anthropic", `${host}/v1`);
  assert.deepEqual([raw.prompt_tokens, raw.prompt_tokens_details.cached_tokens], [10, 1000]);
  assert.deepEqual([raw.completion_tokens, raw.total_tokens], [5, 1035]);
  assert.deepEqual([seen.inputTokens, seen.inputTokenDetails.noCacheTokens, seen.totalTokens], [10, -990, 15]);
  [raw, seen] = await ask("google", host);
  assert.deepEqual([raw.completion_tokens, raw.completion_tokens_details.reasoning_tokens], [5, 300]);
  assert.deepEqual([raw.prompt_tokens, raw.total_tokens], [10, 315]);
  assert.deepEqual([seen.outputTokens, seen.outputTokenDetails.reasoningTokens, seen.totalTokens], [5, 300, 15]);
} finally {
  gateway.kill();
  provider.closeAllConnections();
  provider.close();
}
JS
node ask.mjs
v/bin/python - <<'PY'
from genai_prices import Usage, calc_price

usage = Usage(input_tokens=10, cache_read_tokens=1000, cache_write_tokens=20, output_tokens=5)
try:
    price = calc_price(usage, "claude-sonnet-4-5", provider_id="anthropic")
except ValueError as error:
    print(f"genai-prices: ValueError: {error}")
else:
    raise SystemExit(f"genai-prices: {price.total_price}")
PY
