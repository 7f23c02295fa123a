// SPDX-License-Identifier: Apache-2.0
// The programs as they are loaded where the kernel has less: the same bytes, whatever they are built of.
#include <gtest/gtest.h>

#include "capture_fixture.h"
#include "tls_fixture.h"

namespace llmtap {
namespace {

const std::string kRequest =
    "POST /v1/messages HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 5\r\n\r\nhello";
const std::string kReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct Variant {
  const char* name;
  void (*take_away)(Features&);
  bool every_copy_runs = false;
};

class VariantTest : public CaptureTest, public ::testing::WithParamInterface<Variant> {};

TEST_P(VariantTest, TheBytesAreTheSame) {
  Features features = probe_features();
  GetParam().take_away(features);
  ASSERT_NO_FATAL_FAILURE(open({.features = features, .every_copy_runs = GetParam().every_copy_runs}));
  auto link = probe_->attach_uprobes(libssl_path(), libssl_places());
  ASSERT_TRUE(link.has_value()) << link.error().message;
  const TlsContexts contexts;
  const uint32_t tgid = run([&] {
    {
      TcpPair pair;
      if (!send_all(pair.client, kRequest) || receive(pair.server, kRequest.size()) != kRequest ||
          !send_all(pair.server, kReply) || receive(pair.client, kReply.size()) != kReply)
        return 1;
    }
    return tls_exchange(
        contexts,
        [](SSL* ssl) { return tls_write_all(ssl, kRequest) && tls_read(ssl, kReply.size()) == kReply; },
        [](SSL* ssl) { return tls_read(ssl, kRequest.size()) == kRequest && tls_write_all(ssl, kReply); });
  });
  size_t plain = 0, tls = 0;
  for (const uint8_t source : {LLMTAP_SOURCE_SOCKET, LLMTAP_SOURCE_OPENSSL})
    for (const SeenConnection* connection : seen_.connections(tgid, source)) {
      const bool asks = connection->written() == kRequest && connection->read() == kReply;
      const bool answers = connection->read() == kRequest && connection->written() == kReply;
      (source == LLMTAP_SOURCE_SOCKET ? plain : tls) += asks || answers;
    }
  EXPECT_EQ(plain, 2U);
  EXPECT_EQ(tls, 2U);
  EXPECT_EQ(seen_.lost.events[LLMTAP_LOST_UNSEEN], 0U);
  EXPECT_EQ(seen_.lost.events[LLMTAP_LOST_MAP_FULL], 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Less, VariantTest,
    ::testing::Values(Variant{"All", [](Features&) {}},
                      Variant{"NoTracefs", [](Features& features) { features.tracefs = false; }},
                      // As from Linux 7.2 on.
                      Variant{"Copies", [](Features& features) { features.preempted_calls = true; }},
                      Variant{"CopiesWithoutTracefs",
                              [](Features& features) {
                                features.preempted_calls = true;
                                features.tracefs = false;
                              }},
                      // As where no copy finds the note of the one before it.
                      Variant{"EveryCopyRuns", [](Features& features) { features.preempted_calls = true; },
                              true},
                      Variant{"EveryCopyRunsWithoutTracefs",
                              [](Features& features) {
                                features.preempted_calls = true;
                                features.tracefs = false;
                              },
                              true},
                      Variant{"FixedMaps", [](Features& features) { features.growing_maps = false; }},
                      Variant{"NoCallbacks",
                              [](Features& features) {
                                features.callbacks = features.uprobe_multi = features.sessions = false;
                                features.exact_records = features.typed_task = features.growing_maps = false;
                                features.kernel_reads = KernelReads::kHelper;
                              }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace llmtap
