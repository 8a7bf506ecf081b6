// A point as JSON, and back: what comes back may be anybody's.
#include <algorithm>
#include <limits>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/uuid.h"
#include "vnvram/anchor.h"

namespace vnvram {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned version = 1;
constexpr std::size_t text_max_bytes = 2048;
constexpr std::size_t member_count = 11;
constexpr std::uint64_t counter_max = std::uint64_t{1} << 62U; // As in an image.

// Not a number: readers of JSON have 53 bits for one.
std::string bits_text(std::uint64_t bits) {
  return fmt::format("{:016x}", bits);
}

// Reads what is there, and remembers whether all of it was.
class Reader {
public:
  explicit Reader(const Json& from) : from_(from) {}

  std::uint64_t counter(const char* key) {
    const Json* found = member(key);
    good_ = good_ && found != nullptr && found->is_number_unsigned() &&
            found->get<std::uint64_t>() <= counter_max;
    return good_ ? found->get<std::uint64_t>() : 0;
  }
  std::uint64_t bits(const char* key) {
    const auto parsed = parse_hex(text(key));
    good_ = good_ && parsed && parsed->size() == sizeof(std::uint64_t);
    std::uint64_t bits = 0;
    for (std::size_t at = 0; good_ && at < parsed->size(); ++at) {
      bits = bits << 8U | std::to_integer<std::uint64_t>((*parsed)[at]);
    }
    return bits;
  }
  Uuid uuid(const char* key) {
    const auto parsed = parse_uuid(text(key));
    good_ = good_ && parsed;
    return good_ ? *parsed : Uuid{};
  }
  std::array<std::byte, 16> key_id(const char* key) {
    const auto parsed = parse_hex(text(key));
    std::array<std::byte, 16> id{};
    good_ = good_ && parsed && parsed->size() == id.size();
    if (good_) {
      std::ranges::copy(*parsed, id.begin());
    }
    return id;
  }
  bool yes(const char* key) {
    const Json* found = member(key);
    good_ = good_ && found != nullptr && found->is_boolean();
    return good_ && found->get<bool>();
  }
  [[nodiscard]] bool good() const { return good_; }

private:
  const Json* member(const char* key) const {
    const auto found = from_.is_object() ? from_.find(key) : from_.end();
    return found != from_.end() ? &*found : nullptr;
  }
  std::string text(const char* key) {
    const Json* found = member(key);
    good_ = good_ && found != nullptr && found->is_string();
    return good_ ? found->get<std::string>() : std::string();
  }

  const Json& from_;
  bool good_ = true;
};

Error not_a_point(const char* why) {
  return {ErrorKind::corrupt, fmt::format("what it holds is not an anchor: {}", why),
          "once you know that the image is the one to go on with: `anchor accept`"};
}

} // namespace

std::string anchor_text(const AnchorPoint& point) {
  const Json json = {{"vnvram_anchor", version},
                     {"uuid", uuid_text(point.uuid)},
                     {"epoch_number", point.epoch_number},
                     {"epoch_random", bits_text(point.epoch_random)},
                     {"generation", point.generation},
                     {"chain", bits_text(point.chain)},
                     {"sealed", point.sealed},
                     {"next_epoch_random", bits_text(point.next_epoch_random)},
                     {"each_commit", point.each_commit},
                     {"key_id", hex(point.key_id)},
                     {"next_key_id", hex(point.next_key_id)}};
  return json.dump();
}

Result<AnchorPoint> parse_anchor(std::string_view text) {
  if (text.size() > text_max_bytes) {
    return not_a_point("it is too long");
  }
  const Json json = Json::parse(text, nullptr, false);
  Reader reader(json);
  const std::uint64_t found_version = reader.counter("vnvram_anchor");
  if (!reader.good()) {
    return not_a_point("it does not say so");
  }
  if (found_version != version) {
    return Error(ErrorKind::too_new, fmt::format("it is an anchor of version {}", found_version),
                 "use a newer vnvram");
  }
  const AnchorPoint point = {.uuid = reader.uuid("uuid"),
                             .epoch_number = reader.counter("epoch_number"),
                             .epoch_random = reader.bits("epoch_random"),
                             .generation = reader.counter("generation"),
                             .chain = reader.bits("chain"),
                             .sealed = reader.yes("sealed"),
                             .next_epoch_random = reader.bits("next_epoch_random"),
                             .each_commit = reader.yes("each_commit"),
                             .key_id = reader.key_id("key_id"),
                             .next_key_id = reader.key_id("next_key_id")};
  if (!reader.good() || json.size() != member_count) {
    return not_a_point("a member is missing, of another kind, or unknown");
  }
  return point;
}

} // namespace vnvram
