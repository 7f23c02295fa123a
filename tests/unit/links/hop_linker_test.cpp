// SPDX-License-Identifier: Apache-2.0
#include "links/hop_linker.h"

#include <gtest/gtest.h>

#include <map>

namespace llmtap {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

struct Collected : CallSink {
  void on_call_open(const LlmCall&) override {}
  void on_call_finished(const LlmCall& call) override { by_connection[call.exchange.connection] = call; }
  std::map<uint64_t, LlmCall> by_connection;
};

Endpoint endpoint(uint8_t a, uint8_t d, uint16_t port) {
  Endpoint result;
  result.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, 0, 0, d};
  result.port = port;
  return result;
}

LlmCall call_of(uint32_t tgid, uint64_t connection, CallDirection direction, Endpoint local,
                Endpoint remote) {
  auto process = std::make_shared<ProcessFacts>();
  process->key = {tgid, 1};
  LlmCall call;
  call.process = process;
  call.exchange = {connection, 0};
  call.direction = direction;
  call.connection.local = local;
  call.connection.remote = remote;
  call.connection.has_addresses = true;
  call.connection.netns = 7;
  call.cost_usd = 0.5;
  call.request_start_ns = 10 * kSecond;
  return call;
}

class HopLinkerTest : public ::testing::Test {
 protected:
  void open(LlmCall& call, uint64_t at_ns) {
    call.request_start_ns = at_ns;
    linker.on_call_open(call);
  }
  Hop finish(LlmCall& call, uint64_t at_ns) {
    call.end_ns = at_ns;
    linker.on_call_finished(call);
    return collected.by_connection.at(call.exchange.connection).hop;
  }
  Limits limits;
  Collected collected;
  HopLinker linker{limits, collected};

  const Endpoint client = endpoint(10, 1, 40000), proxy = endpoint(10, 2, 443);
  const Endpoint proxy_out = endpoint(10, 2, 50000), server = endpoint(10, 3, 443);
};

TEST_F(HopLinkerTest, ACallToAnotherNodeIsEdgeAndBooksTheCost) {
  LlmCall call = call_of(1, 1, CallDirection::kOutbound, client, server);
  open(call, 10 * kSecond);
  EXPECT_EQ(finish(call, 11 * kSecond), Hop::kEdge);
  EXPECT_TRUE(collected.by_connection[1].cost_booked);
}

TEST_F(HopLinkerTest, AChainOnOneNodeIsCountedOnceAtTheInnermostServer) {
  LlmCall egress = call_of(1, 1, CallDirection::kOutbound, client, proxy);
  LlmCall ingress = call_of(2, 2, CallDirection::kInbound, proxy, client);
  LlmCall onward = call_of(2, 3, CallDirection::kOutbound, proxy_out, server);
  LlmCall served = call_of(3, 4, CallDirection::kInbound, server, proxy_out);
  open(egress, 10 * kSecond);
  open(ingress, 10 * kSecond + 1);
  open(onward, 10 * kSecond + 2);
  open(served, 10 * kSecond + 3);
  EXPECT_EQ(finish(served, 11 * kSecond), Hop::kEdge);
  EXPECT_EQ(finish(onward, 11 * kSecond + 1), Hop::kInner);
  EXPECT_EQ(finish(ingress, 11 * kSecond + 2), Hop::kInner);
  EXPECT_EQ(finish(egress, 11 * kSecond + 3), Hop::kInner);
  int booked = 0;
  for (const auto& [id, call] : collected.by_connection) booked += call.cost_booked;
  EXPECT_EQ(booked, 1);
}

TEST_F(HopLinkerTest, AReplyFromTheGatewaysCacheIsEdge) {
  LlmCall earlier = call_of(2, 3, CallDirection::kOutbound, proxy_out, server);
  open(earlier, 5 * kSecond);
  finish(earlier, 6 * kSecond);
  LlmCall ingress = call_of(2, 2, CallDirection::kInbound, proxy, client);
  open(ingress, 10 * kSecond);
  EXPECT_EQ(finish(ingress, 11 * kSecond), Hop::kEdge);
}

TEST_F(HopLinkerTest, ConcurrentInboundCallsAreMatchedByFingerprint) {
  LlmCall first = call_of(2, 2, CallDirection::kInbound, proxy, client);
  LlmCall second = call_of(2, 5, CallDirection::kInbound, proxy, endpoint(10, 1, 40001));
  LlmCall onward = call_of(2, 3, CallDirection::kOutbound, proxy_out, server);
  first.fingerprint = 11;
  second.fingerprint = 22;
  onward.fingerprint = 22;
  open(first, 10 * kSecond);
  open(second, 10 * kSecond);
  open(onward, 10 * kSecond + 1);
  finish(onward, 11 * kSecond);
  EXPECT_EQ(finish(first, 12 * kSecond), Hop::kEdge);
  EXPECT_EQ(finish(second, 12 * kSecond), Hop::kInner);
}

TEST_F(HopLinkerTest, AnOutboundCallStillOpenExplainsItsInboundCall) {
  LlmCall ingress = call_of(2, 2, CallDirection::kInbound, proxy, client);
  LlmCall onward = call_of(2, 3, CallDirection::kOutbound, proxy_out, server);
  open(ingress, 10 * kSecond);
  open(onward, 10 * kSecond + 1);
  EXPECT_EQ(finish(ingress, 11 * kSecond), Hop::kInner);
}

TEST_F(HopLinkerTest, ARefusalThatWasPassedOnIsNotTheGateways) {
  LlmCall ingress = call_of(2, 2, CallDirection::kInbound, proxy, client);
  LlmCall first = call_of(2, 3, CallDirection::kOutbound, proxy_out, server);
  LlmCall again = call_of(2, 4, CallDirection::kOutbound, proxy_out, server);
  LlmCall own = call_of(2, 5, CallDirection::kInbound, proxy, client);
  ingress.fingerprint = first.fingerprint = again.fingerprint = 11;
  own.fingerprint = 12;
  ingress.status = own.status = again.status = 429;
  first.status = 500;
  open(ingress, 10 * kSecond);
  open(own, 10 * kSecond);
  open(first, 10 * kSecond + 1);
  finish(first, 10 * kSecond + 2);
  open(again, 10 * kSecond + 3);
  finish(again, 10 * kSecond + 4);
  finish(own, 11 * kSecond);
  finish(ingress, 11 * kSecond);
  EXPECT_TRUE(collected.by_connection[2].refused_upstream);
  EXPECT_FALSE(collected.by_connection[5].refused_upstream);
}

TEST_F(HopLinkerTest, WithoutAddressesTheResponseIdTellsTheFarEnd) {
  LlmCall egress = call_of(1, 1, CallDirection::kOutbound, client, server);
  LlmCall served = call_of(3, 4, CallDirection::kInbound, server, client);
  egress.connection.has_addresses = served.connection.has_addresses = false;
  egress.response_id = served.response_id = "chatcmpl-1";
  open(egress, 10 * kSecond);
  open(served, 10 * kSecond);
  EXPECT_EQ(finish(served, 11 * kSecond), Hop::kEdge);
  EXPECT_EQ(finish(egress, 11 * kSecond), Hop::kInner);
}

TEST_F(HopLinkerTest, LoopbackAddressesOfTwoNamespacesAreNotOneConnection) {
  const Endpoint a = endpoint(127, 1, 40000), b = endpoint(127, 1, 443);
  LlmCall served = call_of(3, 4, CallDirection::kInbound, b, a);
  LlmCall egress = call_of(1, 1, CallDirection::kOutbound, a, b);
  served.connection.netns = 8;
  open(served, 10 * kSecond);
  open(egress, 10 * kSecond);
  EXPECT_EQ(finish(egress, 11 * kSecond), Hop::kEdge);
}

TEST_F(HopLinkerTest, OldConnectionsAreForgotten) {
  LlmCall served = call_of(3, 4, CallDirection::kInbound, server, client);
  open(served, 10 * kSecond);
  finish(served, 11 * kSecond);
  ClockFacts clock;
  clock.monotonic_ns = 1000 * kSecond;
  linker.on_clock(clock);
  LlmCall egress = call_of(1, 1, CallDirection::kOutbound, client, server);
  open(egress, 1001 * kSecond);
  EXPECT_EQ(finish(egress, 1002 * kSecond), Hop::kEdge);
}

TEST_F(HopLinkerTest, LongInboundCallIsRemembered) {
  LlmCall outbound = call_of(1, 1, CallDirection::kOutbound, client, server);
  LlmCall inbound = call_of(2, 2, CallDirection::kInbound, server, client);
  open(outbound, 10 * kSecond);
  open(inbound, 10 * kSecond);
  // Ten minutes of a stream.
  for (uint64_t now = 20; now < 600; now += 10) linker.on_clock({.monotonic_ns = now * kSecond});
  EXPECT_EQ(finish(outbound, 600 * kSecond), Hop::kInner);
  EXPECT_EQ(finish(inbound, 600 * kSecond), Hop::kEdge);
  for (uint64_t now = 600; now < 800; now += 10) linker.on_clock({.monotonic_ns = now * kSecond});
  open(outbound, 800 * kSecond);
  EXPECT_EQ(finish(outbound, 801 * kSecond), Hop::kEdge);
}

}  // namespace
}  // namespace llmtap
