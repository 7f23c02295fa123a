// SPDX-License-Identifier: Apache-2.0
#include "protocols/websocket/upgrade.h"

namespace llmtap::websocket {
namespace {

constexpr size_t kMaxBytes = 32 * 1024;  // of the fields that are kept

}  // namespace

std::shared_ptr<WebSocketUpgrade> asked_for(std::string_view target, std::string_view authority,
                                            std::span<const HeaderField> fields, HttpVersion version) {
  auto upgrade = std::make_shared<WebSocketUpgrade>();
  upgrade->target = target.substr(0, kMaxBytes);
  upgrade->authority = authority.substr(0, kMaxBytes);
  upgrade->version = version;
  size_t left = kMaxBytes;
  for (const HeaderField& field : fields) {
    if (field.name.size() + field.value.size() > left) continue;
    left -= field.name.size() + field.value.size();
    upgrade->fields.emplace_back(field.name, field.value);
  }
  return upgrade;
}

void agree(WebSocketUpgrade& upgrade, std::span<const HeaderField> reply) {
  for (const HeaderField& field : reply)
    if (field.name == "sec-websocket-extensions" && upgrade.extensions.size() < kMaxBytes)
      upgrade.extensions.append(upgrade.extensions.empty() ? "" : ", ").append(field.value);
}

}  // namespace llmtap::websocket
