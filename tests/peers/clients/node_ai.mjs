// The package `ai` with four providers as a client of the gateway: `node node_ai.mjs BASE_URL`.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const url = process.argv[2];
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: "none" });
const compatible = createOpenAICompatible({ name: "turnout", baseURL: `${url}/v1`, apiKey: "none", includeUsage: true });
const flavours = {
  compatible: (model) => compatible(model),
  chat: (model) => openai.chat(model),
  responses: (model) => openai.responses(model),
  anthropic: (model) => anthropic(model),
};
const tools = {
  weather: tool({
    description: "The weather.",
    inputSchema: z.object({ city: z.string() }),
    execute: async () => "21 degrees",
  }),
};

for (const [flavour, make] of Object.entries(flavours)) {
  for (const name of ["gpt", "claude", "gemini"]) {
    const at = `${flavour} ${name}`;
    const whole = await generateText({ model: make(name), prompt: "hello", maxRetries: 0 });
    assert.ok(whole.text, at);
    assert.equal(whole.finishReason, "stop", at);
    const stream = streamText({ model: make(name), prompt: "hello", maxRetries: 0, onError: () => {} });
    let text = "";
    for await (const delta of stream.textStream) text += delta;
    assert.ok(text, at);
    assert.equal(await stream.finishReason, "stop", at);
    assert.ok((await stream.usage).outputTokens > 0, at);
    const steps = await generateText({
      model: make(name), prompt: "The weather in Paris?", tools, stopWhen: stepCountIs(4), maxRetries: 0,
      ...(flavour === "responses" ? { providerOptions: { openai: { store: false } } } : {}),
    });
    assert.ok(steps.steps.length >= 2, at);
    assert.ok(steps.text, at);
  }
  const broken = streamText({ model: make("broken"), prompt: "hello", maxRetries: 0, onError: () => {} });
  let failed = false;
  for await (const part of broken.fullStream) failed ||= part.type === "error";
  assert.ok(failed, `${flavour}: a broken stream looks whole`);
}
const schema = z.object({ city: z.string(), degrees: z.number() });
for (const model of [openai.chat("gpt"), openai.responses("gpt")]) {
  const made = await generateObject({ model, schema, prompt: "x", maxRetries: 0 });
  assert.ok("city" in made.object);
}
const vectors = await embedMany({ model: compatible.textEmbeddingModel("embed"), values: ["a", "b"] });
assert.equal(vectors.embeddings.length, 2);
console.log("ok");
