#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calls made with the providers' own SDKs: sdk.py SPEC, spec.client one of openai_sdk,
openai_sdk_async, anthropic_sdk, genai_sdk, boto3_sdk. Usage is what the SDK says. One JSON line per call."""
import asyncio
import concurrent.futures
import hashlib
import json
import os
import sys

from common import load_spec, prompt, show


class Result:
    def __init__(self):
        self.sha, self.events = hashlib.sha256(), 0
        self.out = {"pid": os.getpid(), "status": 200, "id": None, "model": None, "input_tokens": None, "output_tokens": None,
                    "cached_tokens": None, "reasoning_tokens": None, "finish_reason": None, "error": None}

    def text(self, text):
        if text:
            self.sha.update(text.encode())

    def chat_usage(self, usage):
        if usage:
            self.out.update(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)
            if usage.prompt_tokens_details:
                self.out["cached_tokens"] = usage.prompt_tokens_details.cached_tokens
            if usage.completion_tokens_details:
                self.out["reasoning_tokens"] = usage.completion_tokens_details.reasoning_tokens

    def responses(self, reply):
        self.out.update(id=reply.id, model=reply.model, finish_reason=reply.status)
        if reply.usage:
            self.out.update(input_tokens=reply.usage.input_tokens, output_tokens=reply.usage.output_tokens,
                            cached_tokens=reply.usage.input_tokens_details.cached_tokens,
                            reasoning_tokens=reply.usage.output_tokens_details.reasoning_tokens)

    def message(self, message):
        usage = message.usage
        read, write = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        self.out.update(id=message.id, model=message.model, finish_reason=message.stop_reason, cached_tokens=read,
                        input_tokens=usage.input_tokens + read + write, output_tokens=usage.output_tokens)

    def gemini(self, reply):
        self.out.update(id=reply.response_id, model=reply.model_version)
        finish = reply.candidates[0].finish_reason
        self.out["finish_reason"] = finish.value if finish else self.out["finish_reason"]
        usage = reply.usage_metadata
        if usage:
            thoughts = usage.thoughts_token_count or 0
            self.out.update(input_tokens=usage.prompt_token_count, output_tokens=usage.candidates_token_count + thoughts,
                            cached_tokens=usage.cached_content_token_count or 0, reasoning_tokens=thoughts)

    def result(self, failure=None):
        return {**self.out, "events": self.events, "text_sha": self.sha.hexdigest()[:16], "failure": failure}


def chat_arguments(spec):
    arguments = {"model": spec["model"], "messages": [{"role": "user", "content": prompt(spec)}]}
    if spec["stream"]:
        arguments["stream"] = True
        if spec["include_usage"]:
            arguments["stream_options"] = {"include_usage": True}
    return arguments


def chat_chunk(seen, chunk):
    seen.events += 1
    seen.out.update(id=chunk.id, model=chunk.model)
    for choice in chunk.choices:
        seen.text(choice.delta.content)
        seen.out["finish_reason"] = choice.finish_reason or seen.out["finish_reason"]
    seen.chat_usage(chunk.usage)


def chat_reply(seen, reply):
    seen.out.update(id=reply.id, model=reply.model, finish_reason=reply.choices[0].finish_reason)
    seen.text(reply.choices[0].message.content)
    seen.chat_usage(reply.usage)


def with_openai(spec):
    import openai
    client = openai.OpenAI(api_key=spec["key"], base_url=spec["base"] + "/v1", default_headers=spec["headers"], max_retries=spec.get("retries", 0))

    def call(seen):
        if spec["dialect"] == "openai_embeddings":
            reply = client.embeddings.create(model=spec["model"], input=[prompt(spec)] * spec.get("inputs", 1))
            seen.out.update(model=reply.model, input_tokens=reply.usage.prompt_tokens)
        elif spec["dialect"] == "openai_responses":
            if not spec["stream"]:
                reply = client.responses.create(model=spec["model"], input=prompt(spec))
                seen.text(reply.output_text)
                return seen.responses(reply)
            for event in client.responses.create(model=spec["model"], input=prompt(spec), stream=True):
                seen.events += 1
                if event.type == "response.output_text.delta":
                    seen.text(event.delta)
                elif event.type == "response.completed":
                    seen.responses(event.response)
        elif spec["stream"]:
            with client.chat.completions.create(**chat_arguments(spec)) as stream:
                for chunk in stream:
                    chat_chunk(seen, chunk)
                    if spec["abort_after"] and seen.events >= spec["abort_after"]:
                        return None
        else:
            chat_reply(seen, client.chat.completions.create(**chat_arguments(spec)))
        return None
    return call


def with_anthropic(spec):
    import anthropic
    client = anthropic.Anthropic(api_key=spec["key"], base_url=spec["base"], default_headers=spec["headers"], max_retries=spec.get("retries", 0))
    arguments = {"model": spec["model"], "max_tokens": 1024, "messages": [{"role": "user", "content": prompt(spec)}]}

    def call(seen):
        if spec["stream"]:
            with client.messages.stream(**arguments) as stream:
                for event in stream:
                    seen.events += 1
                    if event.type == "content_block_delta" and event.delta.type == "text_delta":
                        seen.text(event.delta.text)
                message = stream.get_final_message()
        else:
            message = client.messages.create(**arguments)
            for block in message.content:
                seen.text(getattr(block, "text", ""))
        seen.message(message)
    return call


def with_genai(spec):
    from google import genai
    client = genai.Client(api_key=spec["key"], http_options={"base_url": spec["base"], "headers": spec["headers"]})

    def call(seen):
        if spec["stream"]:
            for reply in client.models.generate_content_stream(model=spec["model"], contents=prompt(spec)):
                seen.events += 1
                seen.text(reply.text)
                seen.gemini(reply)
        else:
            reply = client.models.generate_content(model=spec["model"], contents=prompt(spec))
            seen.text(reply.text)
            seen.gemini(reply)
    return call


def with_boto3(spec):
    import boto3
    from botocore.config import Config
    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=spec["base"], aws_access_key_id="AKIATEST",
                          aws_secret_access_key="test", verify=spec.get("ca") or None, config=Config(retries={"max_attempts": 0}))
    client.meta.events.register("before-call.*.*", lambda params, **_: params["headers"].update(spec["headers"]))

    def usage(seen, value):
        seen.out.update(input_tokens=value["inputTokens"] + value.get("cacheReadInputTokens", 0), output_tokens=value["outputTokens"],
                        cached_tokens=value.get("cacheReadInputTokens", 0))

    def invoke(seen):
        body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": prompt(spec)}]})
        for part in client.invoke_model_with_response_stream(modelId=spec["model"], body=body, contentType="application/json")["body"]:
            event = json.loads(part["chunk"]["bytes"])
            seen.events += 1
            if event["type"] == "message_start":
                seen.out.update(id=event["message"]["id"], model=event["message"]["model"])
            seen.text(event.get("delta", {}).get("text"))
            metrics = event.get("amazon-bedrock-invocationMetrics")
            if metrics:
                usage(seen, {name.replace("TokenCount", "Tokens"): value for name, value in metrics.items()})

    def call(seen):
        seen.out["model"] = spec["model"]
        if spec["dialect"] == "bedrock_invoke":
            return invoke(seen)
        messages = [{"role": "user", "content": [{"text": prompt(spec)}]}]
        if not spec["stream"]:
            reply = client.converse(modelId=spec["model"], messages=messages)
            seen.text(reply["output"]["message"]["content"][0]["text"])
            return usage(seen, reply["usage"])
        for event in client.converse_stream(modelId=spec["model"], messages=messages)["stream"]:
            seen.events += 1
            seen.text(event.get("contentBlockDelta", {}).get("delta", {}).get("text"))
            if "metadata" in event:
                usage(seen, event["metadata"]["usage"])
        return None
    return call


async def openai_async(spec):
    import openai
    async with openai.AsyncOpenAI(api_key=spec["key"], base_url=spec["base"] + "/v1", default_headers=spec["headers"], max_retries=0) as client:
        async def worker():
            for _ in range(spec["calls"]):
                seen = Result()
                try:
                    reply = await client.chat.completions.create(**chat_arguments(spec))
                    if spec["stream"]:
                        async for chunk in reply:
                            chat_chunk(seen, chunk)
                    else:
                        chat_reply(seen, reply)
                    show(seen.result(), spec)
                except openai.OpenAIError as error:
                    show(failed(seen, error), spec)
        await asyncio.gather(*(worker() for _ in range(spec["concurrency"])))


def failed(seen, error):
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    if isinstance(status, int):
        seen.out["status"] = status
        seen.out["error"] = str(getattr(error, "type", None) or getattr(error, "status", None) or "error")
        return seen.result()
    return seen.result(f"{type(error).__name__}: {error}")


def main():
    spec = load_spec()
    if spec.get("ca"):
        os.environ["SSL_CERT_FILE"] = spec["ca"]
    if spec["client"] == "openai_sdk_async":
        asyncio.run(openai_async(spec))
        return
    makers = {"openai_sdk": with_openai, "anthropic_sdk": with_anthropic, "genai_sdk": with_genai, "boto3_sdk": with_boto3}
    if spec["client"] not in makers:
        sys.exit(f"unknown client {spec['client']}")

    def worker(_):
        call, results = makers[spec["client"]](spec), []
        for _ in range(spec["calls"]):
            seen = Result()
            try:
                call(seen)
                results.append(seen.result())
            except Exception as error:  # noqa: BLE001: every SDK has its own; the row decides
                results.append(failed(seen, error))
        return results
    with concurrent.futures.ThreadPoolExecutor(spec["concurrency"]) as pool:
        for results in pool.map(worker, range(spec["concurrency"])):
            for result in results:
                show(result, spec)


if __name__ == "__main__":
    main()
