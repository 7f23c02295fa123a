// SPDX-License-Identifier: Apache-2.0
// Streams that became WebSockets (RFC 8441).
#include "protocols/http2/http2_codec.h"
#include "protocols/websocket/upgrade.h"
#include "protocols/websocket/websocket_codec.h"

namespace llmtap::http2 {

void Http2Codec::open_tunnel(uint32_t number, const Head& reply, Stream& stream) {
  if (!stream.websocket) {
    context_.counters->tunnels_not_read++;
  } else if (tunnels_.size() >= context_.limits->http2_streams) {
    context_.counters->websocket_not_read++;
  } else {
    context_.counters->websocket_connections++;
    websocket::agree(*stream.websocket, reply.fields);
    tunnels_.emplace(number, std::make_unique<websocket::WebSocketCodec>(context_, stream.websocket));
  }
}

// A side that ends its stream sends nothing more, as one that closes a connection.
void Http2Codec::end_tunnel(Tunnels::iterator tunnel, Side side, EndReason reason, uint64_t time_ns) {
  tunnel->second->end(side, reason, time_ns, *sink_);
  tunnels_.erase(tunnel);
}

}  // namespace llmtap::http2
