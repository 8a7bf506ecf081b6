#include "cli/dump_text.h"

#include <algorithm>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/size_text.h"
#include "base/uuid.h"
#include "cli/text.h"

namespace vnvram::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string verdict(const ImageDump::Finding& finding) {
  return finding.valid ? "valid" : "NOT VALID: " + printable(finding.why);
}

std::string fixed_text(std::span<const char> field) {
  return {field.begin(), std::find(field.begin(), field.end(), '\0')};
}

bool is_ours(const ImageDump::Superblock& superblock) {
  return superblock.fields.magic == format::superblock_magic;
}

std::string copy_name(const ImageDump::Superblock& superblock) {
  return std::string(1, static_cast<char>('A' + superblock.copy));
}

std::string hex64(std::uint64_t value) {
  return fmt::format("{:016x}", value);
}

std::string superblock_text(const ImageDump::Superblock& superblock) {
  std::string text = fmt::format("superblock {}: {}{}\n", copy_name(superblock),
                                 verdict(superblock), superblock.current ? ", current" : "");
  if (!is_ours(superblock)) {
    return text;
  }
  const format::Superblock& fields = superblock.fields;
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<16}{}\n", std::string(name) + ":", value);
  };
  line("format", std::to_string(fields.format_version));
  line("features", fmt::format("must know {:#x}, may ignore {:#x}", fields.features_must_know,
                               fields.features_may_ignore));
  line("uuid", uuid_text(fields.uuid));
  line("salt", hex64(fields.salt));
  line("sequence", std::to_string(fields.sequence));
  line("image", fmt::format("{} blocks", fields.image_block_count));
  line("ring",
       fmt::format("{} blocks from block {}", fields.ring_block_count, fields.ring_start_block));
  line("zones", fmt::format("from block {}", fields.zones_start_block));
  line("epoch", fmt::format("{}, random {}", fields.epoch_number, hex64(fields.epoch_random)));
  line("checkpoint", fmt::format("generation {}, ring block {}, chain {}", fields.generation,
                                 fields.ring_position, hex64(fields.chain)));
  line("index entries",
       fmt::format("{} {}", hex64(fields.index_entries[0]), hex64(fields.index_entries[1])));
  line("clean", fields.clean == 1 ? "yes" : "no");
  line("owner",
       fmt::format("process {} on {}", fields.owner_pid, printable(fixed_text(fields.owner_host))));
  line("owner since", std::to_string(fields.owner_since));
  line("claim", hex64(fields.claim));
  line("creator", printable(fixed_text(fields.creator)));
  line("hand-over", hex(fields.hand_over));
  return text;
}

std::string record_text(const ImageDump::Record& record) {
  const format::RecordHeader& header = record.header;
  std::string text =
      fmt::format("  block {}: {} blocks, generation {}, epoch {}, chain {}, checksum {}: {}{}\n",
                  record.position, header.block_count, header.sequence, header.epoch_number,
                  hex64(header.chain), hex64(header.checksum), verdict(record),
                  record.counts ? ", counts" : "");
  for (const ImageDump::Extent& extent : record.extents) {
    text += fmt::format("    page {} byte {}: {} {}\n", extent.offset_bytes / block_size_bytes,
                        extent.offset_bytes % block_size_bytes, extent.length_bytes,
                        extent.zeros ? "zeros" : "bytes");
  }
  return text;
}

std::string table_text(const ImageDump& dump) {
  std::string text = "table:\n";
  for (const ImageDump::TableBlock& table : dump.table) {
    text += fmt::format("  {} {} in block {}: {} entries used: {}\n", table.leaf ? "leaf" : "index",
                        table.number, table.block, table.entries_used, verdict(table));
  }
  text += "pages:\n";
  for (const ImageDump::Page& page : dump.pages) {
    text += fmt::format("  page {} in block {}, slot {}: {}\n", page.number, page.block, page.slot,
                        verdict(page));
  }
  return text;
}

std::string entry_text(const ImageDump::Entry& entry) {
  std::string text =
      fmt::format("  page {} entry {}: {}\n", entry.page, entry.index, verdict(entry));
  if (!entry.valid) {
    return text;
  }
  const BlobInfo& info = entry.decoded.info;
  text +=
      fmt::format("    {} (type {}): {} of {} bytes, generation {}, registered in {}, by \"{}\"\n",
                  info.name, info.type, info.size_bytes, info.size_max_bytes, info.generation,
                  info.registered_generation, info.producer);
  for (const format::PageRun& run : entry.decoded.runs) {
    text += fmt::format("    pages {} to {}\n", run.first_page,
                        std::uint64_t{run.first_page} + run.page_count - 1);
  }
  for (const Attribute& attribute : info.attributes) {
    text += fmt::format("    {} \"{}\"{}\n", attribute.name, printable(attribute.value),
                        attribute.must_know ? ", a reader must know it" : "");
  }
  return text;
}

Json finding_json(const ImageDump::Finding& finding) {
  return {{"valid", finding.valid}, {"why", finding.why}};
}

Json superblock_json(const ImageDump::Superblock& superblock) {
  Json json = finding_json(superblock);
  json["copy"] = copy_name(superblock);
  json["current"] = superblock.current;
  if (!is_ours(superblock)) {
    return json;
  }
  const format::Superblock& fields = superblock.fields;
  json["format_version"] = fields.format_version;
  json["features_must_know"] = fields.features_must_know;
  json["features_may_ignore"] = fields.features_may_ignore;
  json["uuid"] = uuid_text(fields.uuid);
  json["salt"] = hex64(fields.salt);
  json["sequence"] = fields.sequence;
  json["image_block_count"] = fields.image_block_count;
  json["ring_start_block"] = fields.ring_start_block;
  json["ring_block_count"] = fields.ring_block_count;
  json["zones_start_block"] = fields.zones_start_block;
  json["epoch_number"] = fields.epoch_number;
  json["epoch_random"] = hex64(fields.epoch_random);
  json["generation"] = fields.generation;
  json["chain"] = hex64(fields.chain);
  json["ring_position"] = fields.ring_position;
  json["index_entries"] = {hex64(fields.index_entries[0]), hex64(fields.index_entries[1])};
  json["clean"] = fields.clean == 1;
  json["owner_pid"] = fields.owner_pid;
  json["owner_host"] = fixed_text(fields.owner_host);
  json["owner_since_seconds"] = fields.owner_since;
  json["claim"] = hex64(fields.claim);
  json["hand_over"] = hex(fields.hand_over);
  json["creator"] = fixed_text(fields.creator);
  return json;
}

Json record_json(const ImageDump::Record& record) {
  Json json = finding_json(record);
  json["position"] = record.position;
  json["block_count"] = record.header.block_count;
  json["generation"] = record.header.sequence;
  json["epoch_number"] = record.header.epoch_number;
  json["epoch_random"] = hex64(record.header.epoch_random);
  json["chain"] = hex64(record.header.chain);
  json["checksum"] = hex64(record.header.checksum);
  json["counts"] = record.counts;
  json["extents"] = Json::array();
  for (const ImageDump::Extent& extent : record.extents) {
    json["extents"].push_back({{"offset_bytes", extent.offset_bytes},
                               {"length_bytes", extent.length_bytes},
                               {"zeros", extent.zeros}});
  }
  return json;
}

Json entry_json(const ImageDump::Entry& entry) {
  Json json = finding_json(entry);
  json["page"] = entry.page;
  json["index"] = entry.index;
  if (!entry.valid) {
    return json;
  }
  const BlobInfo& info = entry.decoded.info;
  json["name"] = info.name;
  json["type"] = info.type;
  json["size_bytes"] = info.size_bytes;
  json["size_max_bytes"] = info.size_max_bytes;
  json["generation"] = info.generation;
  json["registered_generation"] = info.registered_generation;
  json["producer"] = info.producer;
  json["attributes"] = attributes_json(info.attributes);
  json["page_runs"] = Json::array();
  for (const format::PageRun& run : entry.decoded.runs) {
    json["page_runs"].push_back({{"first_page", run.first_page}, {"page_count", run.page_count}});
  }
  return json;
}

Json table_json(const ImageDump::TableBlock& table) {
  Json json = finding_json(table);
  json["kind"] = table.leaf ? "leaf" : "index";
  json["number"] = table.number;
  json["block"] = table.block;
  json["entries_used"] = table.entries_used;
  return json;
}

Json page_json(const ImageDump::Page& page) {
  Json json = finding_json(page);
  json["page"] = page.number;
  json["slot"] = page.slot;
  json["block"] = page.block;
  return json;
}

template <typename Item>
Json list_json(const std::vector<Item>& items, Json (*to_json)(const Item&)) {
  Json list = Json::array();
  for (const Item& item : items) {
    list.push_back(to_json(item));
  }
  return list;
}

} // namespace

std::string dump_text(const ImageDump& dump) {
  std::string text = fmt::format("device: {}\n", format_size(dump.device_size_bytes));
  for (const ImageDump::Superblock& superblock : dump.superblocks) {
    text += superblock_text(superblock);
  }
  text += "ring records:\n";
  for (const ImageDump::Record& record : dump.records) {
    text += record_text(record);
  }
  text += table_text(dump);
  text += "directory:\n";
  for (const ImageDump::Entry& entry : dump.directory) {
    text += entry_text(entry);
  }
  for (const std::string& remark : dump.remarks) {
    text += fmt::format("remark: {}\n", printable(remark));
  }
  return text;
}

Json dump_json(const ImageDump& dump) {
  return {{"device_size_bytes", dump.device_size_bytes},
          {"superblocks", list_json(dump.superblocks, superblock_json)},
          {"records", list_json(dump.records, record_json)},
          {"table", list_json(dump.table, table_json)},
          {"pages", list_json(dump.pages, page_json)},
          {"directory", list_json(dump.directory, entry_json)},
          {"remarks", dump.remarks}};
}

} // namespace vnvram::cli
