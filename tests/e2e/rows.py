# SPDX-License-Identifier: Apache-2.0
"""The end-to-end table: each row is one client, one way to the server, one kind of reply, and what
llmtap must say of it. README's support matrix is made from these rows by matrix.py."""
import dataclasses

OPENSSL = "OpenSSL 3 (libssl)"
NODE = "OpenSSL 3 (inside node)"
# Libraries of other releases, and other ways into the same one.
TLS_OF = {"curl_bullseye": "OpenSSL 1.1.1 (libssl)", "curl_trixie": "OpenSSL 3.5 (libssl)", "openssl_ssl": "OpenSSL 3 (libssl)",
          "openssl_ex": "OpenSSL 3 (libssl, SSL_read_ex)", "openssl_bio": "OpenSSL 3 (libssl, BIO)"}

# How a row's calls reach the server; each hop that llmtap sees is (who, direction).
ROUTES = {
    "tls": [("client", "outbound"), ("server", "inbound")],
    "plain": [("client", "outbound"), ("server", "inbound")],
    "nginx": [("client", "outbound"), ("nginx", "inbound"), ("nginx", "outbound"), ("server", "inbound")],
    "nginx_plain": [("client", "outbound"), ("nginx", "inbound"), ("nginx", "outbound"), ("server", "inbound")],
}


@dataclasses.dataclass
class Row:
    name: str
    client: str
    dialect: str
    stream: bool = False
    via: str = "tls"
    plan: dict = dataclasses.field(default_factory=dict)    # x-test-… of llm_dialects.Plan
    spec: dict = dataclasses.field(default_factory=dict)    # further fields of the client's spec
    calls: int = 1
    concurrency: int = 1
    outcome: str = "ok"                                     # of every hop, or per who
    outcomes: dict = dataclasses.field(default_factory=dict)
    client_fails: bool = False                              # the library must report a failure
    own_server: bool = False                                # the row kills its server
    twice: bool = False                                     # also run without the probe: same output
    heavy: bool = False
    floods: bool = False                                    # faster than any reader: bytes may be lost, if the call says so
    note: str = ""

    @property
    def total(self):
        return self.calls * self.concurrency

    @property
    def tls(self):
        if self.via.endswith("plain"):
            return "none"
        return NODE if self.client.startswith("node") else TLS_OF.get(self.client, OPENSSL)

    @property
    def encoding(self):
        return self.plan.get("encoding", "")


def usage(**more):
    return {"input-tokens": 120, "output-tokens": 30, "cached-tokens": 50, "reasoning-tokens": 4, **more}


def basic_rows():
    rows = []
    for client in ("curl", "http.client", "requests", "httpx", "httpx_async", "aiohttp"):
        for dialect in ("openai_chat", "anthropic"):
            for stream in (False, True):
                rows.append(Row(f"{client} {dialect}{' stream' if stream else ''}", client, dialect, stream, plan=usage(),
                                twice=client == "httpx"))
    for client in TLS_OF:
        for dialect, stream in (("openai_chat", False), ("anthropic", True)):
            rows.append(Row(f"{client} {dialect}{' stream' if stream else ''}", client, dialect, stream, plan=usage()))
    for dialect in ("openai_responses", "openai_embeddings", "openai_completions", "gemini", "ollama", "ollama_generate"):
        for stream in (False, True):
            if not (stream and dialect == "openai_embeddings"):
                rows.append(Row(f"httpx {dialect}{' stream' if stream else ''}", "httpx", dialect, stream, plan=usage()))
    rows.append(Row("httpx gemini array stream", "httpx", "gemini_array", True, plan=usage()))
    sdks = [("openai_sdk", "openai_chat"), ("openai_sdk", "openai_responses"), ("openai_sdk_async", "openai_chat"),
            ("anthropic_sdk", "anthropic"), ("genai_sdk", "gemini"), ("node_fetch", "openai_chat"), ("node_fetch", "anthropic"),
            ("node_openai", "openai_chat"), ("node_openai", "openai_responses"), ("node_anthropic", "anthropic"), ("node_genai", "gemini")]
    for client, dialect in sdks:
        for stream in (False, True):
            rows.append(Row(f"{client} {dialect}{' stream' if stream else ''}", client, dialect, stream, plan=usage(),
                            twice=client == "node_openai"))
    rows += [Row("boto3 converse", "boto3_sdk", "bedrock_converse", plan=usage()),
             Row("boto3 converse stream", "boto3_sdk", "bedrock_converse", True, plan=usage()),
             Row("boto3 invoke stream", "boto3_sdk", "bedrock_invoke", True, plan=usage()),
             Row("boto3 exception in the stream", "boto3_sdk", "bedrock_converse", True, plan={"chunks": 20, "error-after": 5},
                 outcome="stream_error", client_fails=True)]
    for encoding in ("gzip", "deflate", "br", "zstd"):
        for stream in (False, True):
            rows.append(Row(f"aiohttp {encoding}{' stream' if stream else ''}" if encoding != "zstd" else f"httpx {encoding}{' stream' if stream else ''}",
                            "aiohttp" if encoding != "zstd" else "httpx", "openai_chat", stream, plan=usage(encoding=encoding),
                            spec={"accept_encoding": encoding}))
    rows += [
        Row("request body in zstd", "requests", "openai_responses", True, plan=usage(), spec={"request_encoding": "zstd"}),
        Row("request body in gzip", "requests", "openai_chat", plan=usage(), spec={"request_encoding": "gzip"}),
        Row("body ends at close", "requests", "openai_chat", plan=usage(framing="close")),
        Row("stream ends at close", "requests", "anthropic", True, plan=usage(framing="close")),
        Row("chunked body", "requests", "openai_chat", plan=usage(framing="chunked")),
        Row("tool calls", "requests", "openai_chat", True, plan=usage(**{"tool-calls": 2})),
        Row("tool use", "requests", "anthropic", True, plan=usage(**{"tool-calls": 1})),
        Row("no usage asked for", "httpx", "openai_chat", True, plan=usage(), spec={"include_usage": False},
            note="tokens estimated or absent"),
        Row("cache write", "anthropic_sdk", "anthropic", True, plan=usage(**{"cache-write-tokens": 20})),
        Row("plain http", "http.client", "openai_chat", True, via="plain", plan=usage()),
        Row("plain http node", "node_openai", "openai_chat", True, via="plain", plan=usage()),
        Row("ollama plain http", "requests", "ollama", True, via="plain", plan=usage()),
        Row("behind nginx", "openai_sdk", "openai_chat", False, via="nginx", plan=usage()),
        Row("behind nginx stream", "httpx", "anthropic", True, via="nginx", plan=usage()),
        Row("behind nginx plain", "curl", "openai_chat", True, via="nginx_plain", plan=usage()),
        Row("litellm headers", "requests", "openai_chat", plan=usage(litellm=1)),
        Row("rate limited", "requests", "openai_chat", plan={"status": 429, "retry-after": 7, "ratelimit": 1}, outcome="rate_limited"),
        Row("overloaded", "anthropic_sdk", "anthropic", plan={"status": 529}, outcome="rate_limited"),
        Row("bad key", "openai_sdk", "openai_chat", plan={"status": 401}, outcome="auth_error"),
        Row("server error", "node_openai", "openai_chat", plan={"status": 500}, outcome="server_error"),
        Row("unknown model", "requests", "openai_chat", plan={"status": 404}, outcome="not_found"),
        Row("slow first token", "httpx", "openai_chat", True, plan=usage(**{"first-delay-ms": 300, "delay-ms": 5})),
    ]
    return rows


def heavy_rows():
    return [
        Row("300 KB prompt, then 65 calls on its connection", "http.client", "openai_chat", plan=usage(), calls=66,
            spec={"first_prompt_bytes": 300_000}, heavy=True),
        Row("20 MB request body", "httpx", "openai_chat", plan=usage(), spec={"prompt_bytes": 20_000_000}, heavy=True),
        Row("20 MB request body, plain", "requests", "anthropic", via="plain", plan=usage(), spec={"prompt_bytes": 20_000_000}, heavy=True,
            floods=True),
        Row("100,000 events in one stream", "httpx", "anthropic", True, plan=usage(chunks=100_000), heavy=True),
        Row("gzip stream of 2,000 events", "requests", "openai_chat", True, plan=usage(chunks=2000, encoding="gzip"),
            spec={"accept_encoding": "gzip"}, heavy=True),
        Row("8 threads, 2,000 events each", "requests", "openai_chat", True, plan=usage(chunks=2000), concurrency=8, heavy=True),
        Row("100 calls at once on one asyncio thread", "httpx_async", "openai_chat", True,
            plan=usage(chunks=50, **{"delay-ms": 2}), concurrency=100, heavy=True),
        Row("100 SDK calls at once on one asyncio thread", "openai_sdk_async", "openai_chat", False, plan=usage(**{"first-delay-ms": 50}),
            concurrency=100, heavy=True),
        Row("50 calls on one connection", "httpx", "anthropic", plan=usage(), calls=50, heavy=True),
        Row("50 calls on one connection, node", "node_fetch", "openai_chat", plan=usage(), calls=50, heavy=True),
        Row("50 streams on one connection", "requests", "openai_chat", True, plan=usage(), calls=50, heavy=True),
        Row("64 KB stream events", "httpx", "openai_chat", True, plan=usage(chunks=40, pad=65_536), heavy=True),
        Row("client leaves in the stream", "httpx", "openai_chat", True, plan=usage(chunks=500, **{"delay-ms": 10}),
            spec={"abort_after": 5}, outcome="client_aborted", heavy=True),
        Row("client leaves in the stream, node", "node_fetch", "anthropic", True, plan=usage(chunks=500, **{"delay-ms": 10}),
            spec={"abort_after": 5}, outcome="client_aborted", heavy=True),
        Row("error in the stream", "requests", "openai_chat", True, plan={"chunks": 20, "error-after": 5}, outcome="stream_error", heavy=True),
        Row("error in the stream, anthropic", "requests", "anthropic", True, plan={"chunks": 20, "error-after": 5}, outcome="stream_error", heavy=True),
        Row("reset in the stream", "httpx", "openai_chat", True, plan={"chunks": 50, "abort-after": 5, "delay-ms": 2},
            outcomes={"client": ("connection_error", "truncated", "stream_error"), "server": ("connection_error", "truncated", "stream_error", "client_aborted")},
            client_fails=True, heavy=True),
        Row("server killed in the stream", "httpx", "openai_chat", True, plan={"chunks": 50, "kill-after": 5, "delay-ms": 2},
            outcomes={"client": ("connection_error", "truncated", "stream_error"), "server": ("connection_error", "truncated", "stream_error", "client_aborted", "server_error")},
            client_fails=True, own_server=True, heavy=True),
    ]


def all_rows():
    return basic_rows() + heavy_rows()
