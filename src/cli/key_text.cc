#include "cli/key_text.h"

#include <limits>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "cli/text.h"
#include "cli/utc_text.h"

namespace vnvram::cli {
namespace {

std::string remark(const KeySlotInfo& slot) {
  if (!slot.current) {
    return "opens nothing: it was left out when the data key was exchanged";
  }
  switch (slot.kind) {
  case KeySlotKind::passphrase:
    return fmt::format("{} passes over {} MiB", slot.passes, slot.memory_kib / 1024);
  case KeySlotKind::public_key: return hex(slot.public_key);
  case KeySlotKind::external:
    return fmt::format("{} bytes for the command", slot.public_part.size());
  case KeySlotKind::key: break;
  }
  return "";
}

} // namespace

std::string slot_text(const KeySlotInfo& slot) {
  return fmt::format("slot {}: {}{}", slot.number, key_slot_kind_name(slot.kind),
                     slot.label.empty() ? "" : fmt::format(" \"{}\"", printable(slot.label)));
}

std::string slots_text(const std::vector<KeySlotInfo>& slots) {
  if (slots.empty()) {
    return "there are no key slots: they were erased, and nobody can open the image\n";
  }
  std::vector<std::vector<std::string>> lines{{"SLOT", "KIND", "LABEL", "CREATED (UTC)", ""}};
  for (const KeySlotInfo& slot : slots) {
    lines.push_back({std::to_string(slot.number), std::string(key_slot_kind_name(slot.kind)),
                     printable(slot.label), utc_text(slot.created_seconds), remark(slot)});
  }
  return table(lines, {true, false, false, false, false});
}

nlohmann::ordered_json slots_json(const std::vector<KeySlotInfo>& slots) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const KeySlotInfo& slot : slots) {
    nlohmann::ordered_json json = {{"number", slot.number},
                                   {"kind", key_slot_kind_name(slot.kind)},
                                   {"label", slot.label},
                                   {"created_seconds", slot.created_seconds},
                                   {"current", slot.current}};
    if (slot.kind == KeySlotKind::passphrase) {
      json["passes"] = slot.passes;
      json["memory_kib"] = slot.memory_kib;
    } else if (slot.kind == KeySlotKind::public_key) {
      json["public_key_hex"] = hex(slot.public_key);
    } else if (slot.kind == KeySlotKind::external) {
      json["public_part_hex"] = hex(slot.public_part);
    }
    list.push_back(std::move(json));
  }
  return {{"slots", list}};
}

} // namespace vnvram::cli
