// The SDKs of OpenAI and Anthropic for Node as clients of the gateway: `node node_clients.mjs BASE_URL`.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const url = process.argv[2];
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "The weather in Paris?" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

for (const model of ["gpt", "claude", "gemini"]) {
  const whole = await openai.chat.completions.create({ model, messages });
  assert.ok(whole.choices[0].message.content);
  let text = "";
  let usage = null;
  const stream = await openai.chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.ok(text);
  assert.ok(usage.total_tokens > 0);
  let called = 0;
  const weather = { name: "weather", parameters, parse: JSON.parse, description: "The weather.",
    function: () => { called += 1; return "21 degrees"; } };
  const runner = openai.chat.completions.runTools({ model, messages, tools: [{ type: "function", function: weather }] });
  assert.ok(await runner.finalContent());
  assert.ok(called >= 1);
  const streamed = openai.chat.completions.runTools({
    model, messages, stream: true, tools: [{ type: "function", function: weather }],
  });
  assert.ok(await streamed.finalContent());
  assert.ok(called >= 2);
  const response = await openai.responses.create({ model, input: "hello" });
  assert.ok(response.output_text);
  const kinds = [];
  for await (const event of await openai.responses.create({ model, input: "hello", stream: true })) kinds.push(event.type);
  assert.equal(kinds.at(-1), "response.completed");
}
const vectors = await openai.embeddings.create({ model: "embed", input: ["a", "b"] });
assert.ok(vectors.data[1].embedding.length > 1);
await assert.rejects(openai.chat.completions.create({ model: "nothing", messages }), OpenAI.NotFoundError);
await assert.rejects(openai.chat.completions.create({ model: "limited", messages }), OpenAI.RateLimitError);
await assert.rejects(async () => {
  for await (const chunk of await openai.chat.completions.create({ model: "broken", messages, stream: true })) void chunk;
}, OpenAI.APIError);

for (const model of ["claude", "gpt", "gemini"]) {
  const whole = await anthropic.messages.create({ model, max_tokens: 200, messages });
  assert.ok(whole.content[0].text);
  assert.ok(whole._request_id);
  const tools = [{ name: "weather", description: "The weather.", input_schema: parameters }];
  const first = await anthropic.messages.stream({ model, max_tokens: 400, messages, tools }).finalMessage();
  assert.equal(first.stop_reason, "tool_use");
  const results = first.content.filter((block) => block.type === "tool_use")
    .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: "21 degrees" }));
  const second = await anthropic.messages.create({
    model, max_tokens: 400, tools,
    messages: [...messages, { role: "assistant", content: first.content }, { role: "user", content: results }],
  });
  assert.equal(second.stop_reason, "end_turn");
}
await assert.rejects(anthropic.messages.create({ model: "busy", max_tokens: 9, messages }), { status: 529 });
await assert.rejects(async () => {
  const stream = await anthropic.messages.create({ model: "broken", max_tokens: 9, messages, stream: true });
  for await (const event of stream) void event;
}, Anthropic.APIError);
console.log("ok");
