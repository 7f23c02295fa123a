#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a provider's own SDK says that a call used: usage.py SPEC, spec.sdk one of SDKS. One JSON line
with the numbers of the SDK's usage object, in the meaning of llmtap's (input with what came from the
cache or went there, output with reasoning); what the object does not have is null."""
import json
import os
import sys

FIELDS = ("input", "output", "cached", "cache_write", "reasoning", "total")


def told(**numbers):
    return {name: numbers.get(name) for name in FIELDS}


def part(value, *names):
    for name in names:
        value = getattr(value, name, None)
    return value


def openai_chat(spec):
    import openai
    client = openai.OpenAI(api_key="sk-test", base_url=spec["base"] + "/v1", max_retries=0)
    arguments = {"model": spec["model"], "messages": [{"role": "user", "content": "Say hello."}]}
    if spec["stream"]:
        *_, last = client.chat.completions.create(**arguments, stream=True, stream_options={"include_usage": True})
        usage = last.usage
    else:
        usage = client.chat.completions.create(**arguments).usage
    return told(input=usage.prompt_tokens, output=usage.completion_tokens, cached=part(usage, "prompt_tokens_details", "cached_tokens"),
                reasoning=part(usage, "completion_tokens_details", "reasoning_tokens"), total=usage.total_tokens)


def openai_responses(spec):
    import openai
    client = openai.OpenAI(api_key="sk-test", base_url=spec["base"] + "/v1", max_retries=0)
    if spec["stream"]:
        *_, last = client.responses.create(model=spec["model"], input="Say hello.", stream=True)
        usage = last.response.usage
    else:
        usage = client.responses.create(model=spec["model"], input="Say hello.").usage
    return told(input=usage.input_tokens, output=usage.output_tokens, cached=usage.input_tokens_details.cached_tokens,
                reasoning=usage.output_tokens_details.reasoning_tokens, total=usage.total_tokens)


def openai_embeddings(spec):
    import openai
    client = openai.OpenAI(api_key="sk-test", base_url=spec["base"] + "/v1", max_retries=0)
    usage = client.embeddings.create(model=spec["model"], input="Say hello.").usage
    return told(input=usage.prompt_tokens, total=usage.total_tokens)


def anthropic_messages(spec):
    import anthropic
    client = anthropic.Anthropic(api_key="sk-ant-test", base_url=spec["base"], max_retries=0)
    arguments = {"model": spec["model"], "max_tokens": 64, "messages": [{"role": "user", "content": "Say hello."}]}
    if spec["stream"]:
        with client.messages.stream(**arguments) as stream:
            usage = stream.get_final_message().usage
    else:
        usage = client.messages.create(**arguments).usage
    read, write = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    return told(input=usage.input_tokens + (read or 0) + (write or 0), output=usage.output_tokens, cached=read, cache_write=write)


def google_genai(spec):
    from google import genai
    client = genai.Client(api_key="AIzaTest", http_options={"base_url": spec["base"]})
    if spec["stream"]:
        *_, last = client.models.generate_content_stream(model=spec["model"], contents="Say hello.")
    else:
        last = client.models.generate_content(model=spec["model"], contents="Say hello.")
    usage = last.usage_metadata
    thoughts = usage.thoughts_token_count
    return told(input=usage.prompt_token_count, output=usage.candidates_token_count + (thoughts or 0),
                cached=usage.cached_content_token_count, reasoning=thoughts, total=usage.total_token_count)


def mistralai_chat(spec):
    from mistralai.client import Mistral
    client = Mistral(api_key="test", server_url=spec["base"])
    arguments = {"model": spec["model"], "messages": [{"role": "user", "content": "Say hello."}]}
    if spec["stream"]:
        with client.chat.stream(**arguments) as stream:
            *_, last = stream
        usage = last.data.usage
    else:
        usage = client.chat.complete(**arguments).usage
    return told(input=usage.prompt_tokens, output=usage.completion_tokens, total=usage.total_tokens)


def cohere_chat(spec):
    import cohere
    client = cohere.ClientV2(api_key="test", base_url=spec["base"], max_retries=0)
    arguments = {"model": spec["model"], "messages": [{"role": "user", "content": "Say hello."}]}
    if spec["stream"]:
        *_, last = client.chat_stream(**arguments)
        usage = last.delta.usage
    else:
        usage = client.chat(**arguments).usage
    return told(input=int(usage.billed_units.input_tokens), output=int(usage.billed_units.output_tokens))


def ollama_chat(spec):
    import ollama
    client = ollama.Client(host=spec["base"])
    arguments = {"model": spec["model"], "messages": [{"role": "user", "content": "Say hello."}]}
    if spec["stream"]:
        *_, last = client.chat(**arguments, stream=True)
    else:
        last = client.chat(**arguments)
    return told(input=last.prompt_eval_count, output=last.eval_count)


SDKS = {"openai chat": openai_chat, "openai responses": openai_responses, "openai embeddings": openai_embeddings,
        "anthropic messages": anthropic_messages, "google-genai generate_content": google_genai, "mistralai chat": mistralai_chat,
        "cohere chat": cohere_chat, "ollama chat": ollama_chat}


def main():
    spec = json.loads(sys.argv[1])
    if spec.get("ca"):
        os.environ["SSL_CERT_FILE"] = spec["ca"]
    print(json.dumps({"pid": os.getpid(), **SDKS[spec["sdk"]](spec)}))


if __name__ == "__main__":
    main()
