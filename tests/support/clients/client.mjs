// SPDX-License-Identifier: Apache-2.0
// Calls made by Node: client.mjs SPEC, spec.client one of node_fetch, node_openai, node_anthropic,
// node_genai. The spec and the output are those of common.py. One JSON line per call.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
// Packages live in the build folder, beside no source file of ours.
const packages = process.env.LLMTAP_NODE_MODULES ? createRequire(process.env.LLMTAP_NODE_MODULES + '/x.js') : require;
const spec = { model: 'm', stream: false, headers: {}, key: 'sk-test-0123456789abcdefghij', calls: 1, concurrency: 1,
  include_usage: true, abort_after: 0, prompt_bytes: 0, prompt: 'Say hello.', resolve: {}, ...JSON.parse(process.argv[2]) };

if (Object.keys(spec.resolve).length) {
  const dns = require('node:dns');
  const lookup = dns.lookup;
  dns.lookup = (host, options, done) => lookup(spec.resolve[host] ? spec.resolve[host][0] : host, options, done);
}

const prompt = spec.prompt_bytes
  ? (' {"usage":{"prompt_tokens":1,"completion_tokens":1}} data: [DONE] ' + 'lorem ipsum '.repeat(spec.prompt_bytes / 12 + 1)).slice(0, spec.prompt_bytes)
  : spec.prompt;
const messages = [{ role: 'user', content: prompt }];

class Seen {
  sha = createHash('sha256');
  events = 0;
  out = { pid: process.pid, status: 200, id: null, model: null, input_tokens: null, output_tokens: null, cached_tokens: null,
    reasoning_tokens: null, finish_reason: null, error: null };

  text(text) { if (text) this.sha.update(text); }
  chatUsage(usage) {
    if (!usage) return;
    this.out.input_tokens = usage.prompt_tokens;
    this.out.output_tokens = usage.completion_tokens;
    this.out.cached_tokens = usage.prompt_tokens_details?.cached_tokens ?? null;
    this.out.reasoning_tokens = usage.completion_tokens_details?.reasoning_tokens ?? null;
  }
  chat(value) {
    this.out.id = value.id;
    this.out.model = value.model;
    for (const choice of value.choices) {
      this.text((choice.delta ?? choice.message).content);
      this.out.finish_reason = choice.finish_reason ?? this.out.finish_reason;
    }
    this.chatUsage(value.usage);
  }
  response(value) {
    Object.assign(this.out, { id: value.id, model: value.model, finish_reason: value.status });
    if (value.usage) Object.assign(this.out, { input_tokens: value.usage.input_tokens, output_tokens: value.usage.output_tokens,
      cached_tokens: value.usage.input_tokens_details.cached_tokens, reasoning_tokens: value.usage.output_tokens_details.reasoning_tokens });
  }
  message(value) {
    const { usage } = value;
    const read = usage.cache_read_input_tokens ?? 0;
    Object.assign(this.out, { id: value.id, model: value.model, finish_reason: value.stop_reason, cached_tokens: read,
      input_tokens: usage.input_tokens + read + (usage.cache_creation_input_tokens ?? 0), output_tokens: usage.output_tokens });
  }
  gemini(value) {
    this.out.id = value.responseId;
    this.out.model = value.modelVersion;
    for (const candidate of value.candidates ?? []) {
      for (const part of candidate.content?.parts ?? []) this.text(part.text);
      this.out.finish_reason = candidate.finishReason ?? this.out.finish_reason;
    }
    const usage = value.usageMetadata;
    if (usage) Object.assign(this.out, { input_tokens: usage.promptTokenCount, cached_tokens: usage.cachedContentTokenCount ?? 0,
      output_tokens: usage.candidatesTokenCount + (usage.thoughtsTokenCount ?? 0), reasoning_tokens: usage.thoughtsTokenCount ?? 0 });
  }
  show(failure = null) {
    console.log(JSON.stringify({ client: spec.client, ...this.out, events: this.events,
      text_sha: this.sha.digest('hex').slice(0, 16), failure }));
  }
}

// Chat completions and messages by bare fetch, as most agents do it.
async function fetchCall(seen) {
  const anthropic = spec.dialect === 'anthropic';
  const body = { model: spec.model, messages };
  if (anthropic) body.max_tokens = 1024;
  if (spec.stream) body.stream = true;
  if (spec.stream && !anthropic && spec.include_usage) body.stream_options = { include_usage: true };
  const auth = anthropic ? { 'x-api-key': spec.key, 'anthropic-version': '2023-06-01' } : { authorization: 'Bearer ' + spec.key };
  const abort = new AbortController();
  const reply = await fetch(spec.base + (anthropic ? '/v1/messages' : '/v1/chat/completions'),
    { method: 'POST', headers: { 'content-type': 'application/json', ...auth, ...spec.headers }, body: JSON.stringify(body), signal: abort.signal });
  seen.out.status = reply.status;
  if (!spec.stream || reply.status !== 200) {
    const value = await reply.json();
    if (value.error) seen.out.error = value.error.type;
    else if (anthropic) { value.content.forEach((block) => seen.text(block.text)); seen.message(value); } else seen.chat(value);
    return;
  }
  let rest = '';
  let usage = {};
  const decoder = new TextDecoder();
  for await (const piece of reply.body) {
    rest += decoder.decode(piece, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const line = event.split('\n').find((l) => l.startsWith('data: '));
      if (!line || line === 'data: [DONE]') continue;
      const value = JSON.parse(line.slice(6));
      if (value.type === 'ping') continue;
      seen.events += 1;
      if (value.error) { seen.out.error = value.error.type; continue; }
      if (!anthropic) { seen.chat(value); continue; }
      if (value.type === 'message_start') usage = value.message;
      if (value.type === 'content_block_delta') seen.text(value.delta.text);
      if (value.type === 'message_delta') seen.message({ ...usage, stop_reason: value.delta.stop_reason, usage: { ...usage.usage, ...value.usage } });
    }
    // Leaving the loop waits for the body's end unless it was aborted first; that throws an AbortError.
    if (spec.abort_after && seen.events >= spec.abort_after) abort.abort();
  }
}

function openaiCall() {
  const OpenAI = packages('openai').default ?? packages('openai');
  const client = new OpenAI({ apiKey: spec.key, baseURL: spec.base + '/v1', defaultHeaders: spec.headers, maxRetries: spec.retries ?? 0 });
  return async (seen) => {
    if (spec.dialect === 'openai_responses') {
      if (!spec.stream) { const reply = await client.responses.create({ model: spec.model, input: prompt }); seen.text(reply.output_text); seen.response(reply); return; }
      for await (const event of await client.responses.create({ model: spec.model, input: prompt, stream: true })) {
        seen.events += 1;
        if (event.type === 'response.output_text.delta') seen.text(event.delta);
        if (event.type === 'response.completed') seen.response(event.response);
      }
    } else if (spec.dialect === 'openai_embeddings') {
      const reply = await client.embeddings.create({ model: spec.model, input: prompt });
      seen.out.model = reply.model;
      seen.out.input_tokens = reply.usage.prompt_tokens;
    } else if (spec.stream) {
      const stream = await client.chat.completions.create({ model: spec.model, messages, stream: true, ...(spec.include_usage ? { stream_options: { include_usage: true } } : {}) });
      for await (const chunk of stream) {
        seen.events += 1;
        seen.chat(chunk);
        if (spec.abort_after && seen.events >= spec.abort_after) break;
      }
    } else {
      seen.chat(await client.chat.completions.create({ model: spec.model, messages }));
    }
  };
}

function anthropicCall() {
  const Anthropic = packages('@anthropic-ai/sdk').default ?? packages('@anthropic-ai/sdk');
  const client = new Anthropic({ apiKey: spec.key, baseURL: spec.base, defaultHeaders: spec.headers, maxRetries: spec.retries ?? 0 });
  return async (seen) => {
    const request = { model: spec.model, max_tokens: 1024, messages };
    if (!spec.stream) { const reply = await client.messages.create(request); reply.content.forEach((b) => seen.text(b.text)); seen.message(reply); return; }
    const stream = client.messages.stream(request);
    for await (const event of stream) {
      seen.events += 1;
      if (event.type === 'content_block_delta') seen.text(event.delta.text);
    }
    seen.message(await stream.finalMessage());
  };
}

function genaiCall() {
  const { GoogleGenAI } = packages('@google/genai');
  const client = new GoogleGenAI({ apiKey: spec.key, httpOptions: { baseUrl: spec.base, headers: spec.headers } });
  return async (seen) => {
    if (!spec.stream) { seen.gemini(await client.models.generateContent({ model: spec.model, contents: prompt })); return; }
    for await (const reply of await client.models.generateContentStream({ model: spec.model, contents: prompt })) { seen.events += 1; seen.gemini(reply); }
  };
}

const call = { node_fetch: () => fetchCall, node_openai: openaiCall, node_anthropic: anthropicCall, node_genai: genaiCall }[spec.client]();
await Promise.all(Array.from({ length: spec.concurrency }, async () => {
  for (let i = 0; i < spec.calls; i += 1) {
    const seen = new Seen();
    try {
      await call(seen);
      seen.show();
    } catch (error) {
      if (spec.abort_after && error.name === 'AbortError') seen.show();
      else if (Number.isInteger(error.status)) { seen.out.status = error.status; seen.out.error = error.error?.error?.type ?? error.type ?? 'error'; seen.show(); } else seen.show(`${error.name}: ${error.message}`);
    }
  }
}));
