// The manifest as JSON, and back: what comes back may be anybody's.
#include <algorithm>
#include <limits>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "backup/export_manifest.h"
#include "base/hex.h"

namespace vnvram {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned version_newest = 1;
constexpr unsigned depth_max = 8; // It has five.

std::string digest_text(std::uint64_t digest) {
  return fmt::format("{:016x}", digest);
}

Json blob_json(const ExportedBlob& blob) {
  Json attributes = Json::array();
  for (const Attribute& attribute : blob.info.attributes) {
    attributes.push_back({{"name", attribute.name},
                          {"value_hex", hex(std::as_bytes(std::span(attribute.value)))},
                          {"must_know", attribute.must_know}});
  }
  return {{"name", blob.info.name},
          {"type", blob.info.type},
          {"size_bytes", blob.info.size_bytes},
          {"size_max_bytes", blob.info.size_max_bytes},
          {"generation", blob.info.generation},
          {"registered_generation", blob.info.registered_generation},
          {"producer", blob.info.producer},
          {"attributes", attributes},
          {"digest", digest_text(blob.digest)}};
}

// Reads what is there, and remembers whether all of it was.
class Reader {
public:
  std::string text(const Json& from, const char* key) {
    const auto found = member(from, key);
    return found != nullptr && found->is_string() ? found->get<std::string>() : bad<std::string>();
  }
  std::uint64_t number(const Json& from, const char* key) {
    const auto found = member(from, key);
    return found != nullptr && found->is_number_unsigned() ? found->get<std::uint64_t>()
                                                           : bad<std::uint64_t>();
  }
  bool yes(const Json& from, const char* key) {
    const auto found = member(from, key);
    return found != nullptr && found->is_boolean() ? found->get<bool>() : bad<bool>();
  }
  const Json& list(const Json& from, const char* key) {
    const auto found = member(from, key);
    return found != nullptr && found->is_array() ? *found : bad_list();
  }
  std::vector<std::byte> bytes(const Json& from, const char* key) {
    auto parsed = parse_hex(text(from, key));
    return parsed ? *std::move(parsed) : bad<std::vector<std::byte>>();
  }
  std::uint64_t digest(const Json& from, const char* key) {
    const std::vector<std::byte> parsed = bytes(from, key);
    std::uint64_t digest = 0;
    for (const std::byte byte : parsed) {
      digest = digest << 8U | std::to_integer<std::uint64_t>(byte);
    }
    return parsed.size() == sizeof(digest) ? digest : bad<std::uint64_t>();
  }
  template <typename T> T bad() {
    good_ = false;
    return T{};
  }
  [[nodiscard]] bool good() const { return good_; }

private:
  static const Json* member(const Json& from, const char* key) {
    const auto found = from.is_object() ? from.find(key) : from.end();
    return found != from.end() ? &*found : nullptr;
  }
  const Json& bad_list() {
    good_ = false;
    return none_;
  }

  const Json none_ = Json::array();
  bool good_ = true;
};

ExportedBlob read_blob(Reader& reader, const Json& from) {
  ExportedBlob blob;
  blob.info = {.name = reader.text(from, "name"),
               .type = reader.text(from, "type"),
               .size_max_bytes = reader.number(from, "size_max_bytes"),
               .size_bytes = reader.number(from, "size_bytes"),
               .generation = reader.number(from, "generation"),
               .registered_generation = reader.number(from, "registered_generation"),
               .producer = reader.text(from, "producer"),
               .attributes = {}};
  for (const Json& attribute : reader.list(from, "attributes")) {
    const std::vector<std::byte> value = reader.bytes(attribute, "value_hex");
    blob.info.attributes.push_back(
        {.name = reader.text(attribute, "name"),
         .value = std::string(reinterpret_cast<const char*>(value.data()), value.size()),
         .must_know = reader.yes(attribute, "must_know")});
  }
  blob.digest = reader.digest(from, "digest");
  return blob;
}

// A list in a list in a list costs its reader more than it does its writer.
bool is_deep(std::string_view text) {
  unsigned depth = 0;
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char each = text[at];
    if (quoted) {
      at += each == '\\' ? 1 : 0;
      quoted = each != '"';
    } else if (each == '"') {
      quoted = true;
    } else if (each == '[' || each == '{') {
      if (++depth > depth_max) {
        return true;
      }
    } else if ((each == ']' || each == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

Error not_a_manifest(const std::string& who) {
  return {
      ErrorKind::corrupt,
      fmt::format("{}: what it says of itself in blob {} cannot be read", who, manifest_blob_name),
      "use another copy of this export"};
}

} // namespace

std::string manifest_text(const ExportManifest& manifest) {
  Json blobs = Json::array();
  for (const ExportedBlob& blob : manifest.blobs) {
    blobs.push_back(blob_json(blob));
  }
  const Json json = {{"version", version_newest},
                     {"uuid", uuid_text(manifest.uuid)},
                     {"generation", manifest.generation},
                     {"since", manifest.since ? Json(*manifest.since) : Json()},
                     {"sealed", manifest.sealed},
                     {"blobs", blobs}};
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + '\n';
}

Result<ExportManifest> parse_manifest(const std::string& who, std::span<const std::byte> text) {
  const std::string_view characters(reinterpret_cast<const char*>(text.data()), text.size());
  if (is_deep(characters)) {
    return not_a_manifest(who);
  }
  const Json json = Json::parse(characters.begin(), characters.end(), nullptr, false);
  Reader reader;
  if (reader.number(json, "version") > version_newest) {
    return Error(ErrorKind::too_new, who + ": an export of a newer version",
                 "use the version that made it, or a newer one");
  }
  ExportManifest manifest;
  const auto uuid = parse_uuid(reader.text(json, "uuid"));
  manifest.uuid = uuid ? *uuid : reader.bad<Uuid>();
  manifest.generation = reader.number(json, "generation");
  if (json.is_object() && json.contains("since") && !json["since"].is_null()) {
    manifest.since = reader.number(json, "since");
  }
  manifest.sealed = reader.yes(json, "sealed");
  std::vector<BlobInfo> infos;
  for (const Json& blob : reader.list(json, "blobs")) {
    manifest.blobs.push_back(read_blob(reader, blob));
    infos.push_back(manifest.blobs.back().info);
    if (!reader.good() || infos.size() > blob_count_max ||
        infos.back().name == manifest_blob_name) {
      return not_a_manifest(who);
    }
  }
  if (!reader.good() || (manifest.since && *manifest.since > manifest.generation)) {
    return not_a_manifest(who);
  }
  if (Status possible = check_blobs(who, infos); !possible) {
    return possible.error();
  }
  return manifest;
}

} // namespace vnvram
