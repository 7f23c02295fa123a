// SPDX-License-Identifier: Apache-2.0
// The system's libssl, its functions' places, and TLS over loopback inside one process.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <string>
#include <vector>

#include "capture/probe.h"

namespace llmtap {

// Path of libssl as this program maps it.
std::string libssl_path();
// Offset in the file of a function of it.
uint64_t libssl_offset(const void* function);
// Entries and returns of the exported functions of the OpenSSL API.
std::vector<UprobePlace> libssl_places();

// Contexts with a fresh self-signed certificate. Made in the test, used by the forked process.
struct TlsContexts {
  SSL_CTX* server = nullptr;
  SSL_CTX* client = nullptr;
  TlsContexts();
  ~TlsContexts();
};

// Server in a thread, client in the caller; both run after the handshake and see their SSL.
int tls_exchange(const TlsContexts& contexts, const std::function<bool(SSL*)>& client,
                 const std::function<bool(SSL*)>& server);

// Plain TLS calls until all is moved.
bool tls_write_all(SSL* ssl, const std::string& bytes);
std::string tls_read(SSL* ssl, size_t bytes);

}  // namespace llmtap
