// SPDX-License-Identifier: Apache-2.0
#include "tls_fixture.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "capture_fixture.h"

namespace llmtap {
namespace {

struct Mapping {
  uint64_t start = 0, end = 0, offset = 0;
  std::string path;
};

Mapping mapping_of(const void* address) {
  const auto wanted = reinterpret_cast<uint64_t>(address);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    char dash = 0;
    std::string permissions, device, inode;
    std::istringstream fields(line);
    fields >> std::hex >> mapping.start >> dash >> mapping.end >> permissions >> mapping.offset >> device >>
        inode >> mapping.path;
    if (wanted >= mapping.start && wanted < mapping.end) return mapping;
  }
  return {};
}

}  // namespace

std::string libssl_path() { return mapping_of(dlsym(RTLD_DEFAULT, "SSL_read")).path; }

uint64_t libssl_offset(const void* function) {
  const Mapping mapping = mapping_of(function);
  return reinterpret_cast<uint64_t>(function) - mapping.start + mapping.offset;
}

std::vector<UprobePlace> libssl_places() {
  std::vector<UprobePlace> places;
  const auto add = [&](const char* name, HookKind kind, bool returns) {
    const uint64_t offset = libssl_offset(dlsym(RTLD_DEFAULT, name));
    places.push_back({offset, kind, false});
    if (returns) places.push_back({offset, kind, true});
  };
  add("SSL_read", HookKind::kRead, true);
  add("SSL_write", HookKind::kWrite, true);
  add("SSL_read_ex", HookKind::kReadEx, true);
  add("SSL_write_ex", HookKind::kWriteEx, true);
  add("SSL_do_handshake", HookKind::kHandshake, true);
  add("SSL_set_fd", HookKind::kSetFd, false);
  add("SSL_shutdown", HookKind::kShutdown, false);
  add("SSL_connect", HookKind::kConnect, true);
  add("SSL_accept", HookKind::kAccept, true);
  add("SSL_set_connect_state", HookKind::kSetConnect, false);
  add("SSL_set_accept_state", HookKind::kSetAccept, false);
  add("SSL_read_early_data", HookKind::kReadEarly, true);
  add("SSL_write_early_data", HookKind::kWriteEarly, true);
  add("SSL_free", HookKind::kFree, false);
  return places;
}

TlsContexts::TlsContexts() {
  char curve[] = "P-256";  // a macro that casts const away
  EVP_PKEY* key = EVP_EC_gen(curve);
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  server = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(server, certificate);
  SSL_CTX_use_PrivateKey(server, key);
  client = SSL_CTX_new(TLS_client_method());
  X509_free(certificate);
  EVP_PKEY_free(key);
}

TlsContexts::~TlsContexts() {
  SSL_CTX_free(server);
  SSL_CTX_free(client);
}

int tls_exchange(const TlsContexts& contexts, const std::function<bool(SSL*)>& client,
                 const std::function<bool(SSL*)>& server) {
  TcpPair pair;
  bool server_fine = false;
  std::thread thread([&] {
    SSL* ssl = SSL_new(contexts.server);
    SSL_set_fd(ssl, pair.server);
    server_fine = SSL_accept(ssl) == 1 && server(ssl);
    SSL_free(ssl);
    pair.close_server();
  });
  SSL* ssl = SSL_new(contexts.client);
  SSL_set_fd(ssl, pair.client);
  char name[] = "api.example.test";  // the macro casts its const away
  SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name);
  const bool client_fine = SSL_connect(ssl) == 1 && client(ssl);
  SSL_shutdown(ssl);
  thread.join();
  SSL_free(ssl);
  return client_fine && server_fine ? 0 : 1;
}

bool tls_write_all(SSL* ssl, const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const int n = SSL_write(ssl, bytes.data() + done, static_cast<int>(bytes.size() - done));
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

std::string tls_read(SSL* ssl, size_t bytes) {
  std::string result(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const int n = SSL_read(ssl, result.data() + done, static_cast<int>(bytes - done));
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  result.resize(done);
  return result;
}

}  // namespace llmtap
