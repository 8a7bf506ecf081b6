#include "identity/tpm_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/big_endian.h"
#include "identity/algorithm_numbers.h"
#include "identity/endorsement_template.h"
#include "identity/number_bytes.h"
#include "soft_tpm/tpm_message.h"

namespace vnvram {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint16_t tag_without_sessions = 0x8001;
constexpr std::uint16_t tag_with_sessions = 0x8002;
constexpr std::uint32_t code_clear = 0x126;
constexpr std::uint32_t code_clear_control = 0x127;
constexpr std::uint32_t code_create_primary = 0x131;
constexpr std::uint32_t code_flush_context = 0x165;
constexpr std::uint32_t code_read_area = 0x14e;
constexpr std::uint32_t code_read_area_public = 0x169;
constexpr std::uint32_t code_read_public = 0x173;
constexpr std::uint32_t password_session = 0x40000009;
constexpr std::uint32_t owner = 0x40000001;
constexpr std::uint32_t endorsement = 0x4000000b;
constexpr std::uint32_t platform = 0x4000000c; // Its authorization is empty after each startup.
constexpr std::uint32_t platform_may_read = 1U << 16U;
constexpr std::uint32_t owner_may_read = 1U << 17U;
constexpr std::uint32_t index_may_read = 1U << 18U;
constexpr std::uint32_t was_written = 1U << 29U;
constexpr std::uint32_t made_by_platform = 1U << 30U;
// It has to write down first that somebody tries a password.
constexpr std::uint32_t answer_retry = 0x922;
constexpr int tries_max = 3;
constexpr std::uint16_t area_size_max_bytes = 8192;
constexpr std::uint16_t part_size_max_bytes = 512; // Each TPM takes that much at once.
constexpr std::uint32_t usual_exponent = 65537;

// With an empty password.
void append_session(Bytes& command) {
  constexpr std::uint32_t session_size_bytes = 9;
  append(command, session_size_bytes);
  append(command, password_session);
  append(command, std::uint16_t{0});
  append(command, std::uint8_t{0});
  append(command, std::uint16_t{0});
}

Bytes begin_command(std::uint16_t tag, std::uint32_t code, std::uint32_t handle) {
  Bytes command;
  append(command, tag);
  append(command, std::uint32_t{0}); // The length, by run().
  append(command, code);
  append(command, handle);
  return command;
}

/// Bytes of a response, one thing after the other. Behind its end there are zeros.
class Fields {
public:
  explicit Fields(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename Number> Number number() {
    if (rest_.size() < sizeof(Number)) {
      rest_ = {};
      whole_ = false;
      return 0;
    }
    const auto value = load_big_endian<Number>(rest_, 0);
    rest_ = rest_.subspan(sizeof(Number));
    return value;
  }
  /// With its length in front.
  std::span<const std::byte> sized() {
    const auto size_bytes = number<std::uint16_t>();
    if (rest_.size() < size_bytes) {
      rest_ = {};
      whole_ = false;
      return {};
    }
    const auto bytes = rest_.first(size_bytes);
    rest_ = rest_.subspan(size_bytes);
    return bytes;
  }
  [[nodiscard]] bool whole() const { return whole_; }

private:
  std::span<const std::byte> rest_;
  bool whole_ = true;
};

// What a scheme is made with is behind it.
void skip_scheme(Fields& fields) {
  if (fields.number<std::uint16_t>() != algorithm::none) {
    fields.number<std::uint16_t>();
  }
}

std::optional<PublicKey> key_of(Result<PublicKey> key) {
  return key ? std::optional(*std::move(key)) : std::nullopt;
}

// TPMT_PUBLIC.
std::optional<PublicKey> key_in(std::span<const std::byte> area) {
  Fields fields(area);
  const auto kind = fields.number<std::uint16_t>();
  fields.number<std::uint16_t>(); // The name's algorithm,
  fields.number<std::uint32_t>(); // attributes,
  fields.sized();                 // and the policy.
  if (fields.number<std::uint16_t>() !=
      algorithm::none) { // What a storage key seals its children with.
    fields.number<std::uint16_t>();
    fields.number<std::uint16_t>();
  }
  skip_scheme(fields);
  if (kind == algorithm::rsa) {
    fields.number<std::uint16_t>(); // The size, which the modulus has.
    const auto exponent = fields.number<std::uint32_t>();
    const auto modulus = fields.sized();
    return fields.whole()
               ? key_of(PublicKey::rsa(modulus, exponent == 0 ? usual_exponent : exponent))
               : std::nullopt;
  }
  constexpr std::uint16_t number_of_p256 = 3;
  constexpr std::uint16_t number_of_p384 = 4;
  const auto curve = fields.number<std::uint16_t>();
  skip_scheme(fields); // How keys are derived.
  const auto x = fields.sized();
  const auto y = fields.sized();
  if (kind != algorithm::ecc || !fields.whole() ||
      (curve != number_of_p256 && curve != number_of_p384)) {
    return std::nullopt;
  }
  return key_of(PublicKey::on_curve(curve == number_of_p256 ? Curve::p256 : Curve::p384, x, y));
}

} // namespace

std::optional<Bytes> TpmReader::run(Bytes command) {
  store_big_endian(std::span(command), tpm_length_offset,
                   static_cast<std::uint32_t>(command.size()));
  for (int tries = 0; tries < tries_max; ++tries) {
    Bytes sent = command;
    const auto response = tpm_.execute(sent, 0, [] { return true; });
    if (response && tpm_code(*response) == 0) {
      return Bytes(response->begin() + tpm_header_bytes, response->end());
    }
    if (!response || tpm_code(*response) != answer_retry) {
      break;
    }
  }
  return std::nullopt;
}

std::optional<Bytes> TpmReader::part_of_area(std::uint32_t authority, std::uint32_t index,
                                             std::uint16_t offset_bytes, std::uint16_t size_bytes) {
  Bytes command = begin_command(tag_with_sessions, code_read_area, authority);
  append(command, index);
  append_session(command);
  append(command, size_bytes);
  append(command, offset_bytes);
  const auto answer = run(std::move(command));
  if (!answer) {
    return std::nullopt;
  }
  Fields fields(*answer);
  fields.number<std::uint32_t>(); // How long the parameters are.
  const auto data = fields.sized();
  return fields.whole() && data.size() == size_bytes
             ? std::optional(Bytes(data.begin(), data.end()))
             : std::nullopt;
}

std::optional<Bytes> TpmReader::content_of_area(std::uint32_t authority, std::uint32_t index,
                                                std::uint16_t size_bytes) {
  Bytes content;
  while (content.size() < size_bytes) {
    const auto offset_bytes = static_cast<std::uint16_t>(content.size());
    const auto part =
        part_of_area(authority, index, offset_bytes,
                     std::min<std::uint16_t>(part_size_max_bytes, size_bytes - offset_bytes));
    if (!part) {
      return std::nullopt;
    }
    content.insert(content.end(), part->begin(), part->end());
  }
  return content;
}

std::optional<NvArea> TpmReader::area(std::uint32_t index) {
  const auto answer = run(begin_command(tag_without_sessions, code_read_area_public, index));
  if (!answer) {
    return std::nullopt;
  }
  Fields about(*answer);
  Fields fields(about.sized());
  fields.number<std::uint32_t>(); // Its index,
  fields.number<std::uint16_t>(); // and its name's algorithm.
  const auto attributes = fields.number<std::uint32_t>();
  fields.sized(); // Its policy.
  const auto size_bytes = fields.number<std::uint16_t>();
  NvArea area{.is_platforms = (attributes & made_by_platform) != 0,
              .was_written = (attributes & was_written) != 0,
              .content = {}};
  if (!fields.whole() || !area.was_written || size_bytes > area_size_max_bytes) {
    return area;
  }
  const std::array<std::pair<std::uint32_t, std::uint32_t>, 3> ways = {
      {{platform_may_read, platform}, {owner_may_read, owner}, {index_may_read, index}}};
  for (const auto& [attribute, authority] : ways) {
    if (!area.content && (attributes & attribute) != 0) {
      area.content = content_of_area(authority, index, size_bytes);
    }
  }
  return area;
}

std::optional<PublicKey> TpmReader::key(std::uint32_t handle) {
  const auto answer = run(begin_command(tag_without_sessions, code_read_public, handle));
  if (!answer) {
    return std::nullopt;
  }
  Fields fields(*answer);
  return key_in(fields.sized());
}

// Only the seed that they come from stays.
bool TpmReader::free_endorsement_keys() {
  Bytes allow = begin_command(tag_with_sessions, code_clear_control, platform);
  append_session(allow);
  append(allow, std::uint8_t{0}); // Not forbidden.
  Bytes clear = begin_command(tag_with_sessions, code_clear, platform);
  append_session(clear);
  return run(std::move(allow)).has_value() && run(std::move(clear)).has_value();
}

std::optional<PublicKey> TpmReader::make_key(const EndorsementKind& kind) {
  Bytes command = begin_command(tag_with_sessions, code_create_primary, endorsement);
  append_session(command);
  append(command, std::uint16_t{4}); // Its secrets: neither a password
  append(command, std::uint32_t{0}); // nor anything else.
  append_sized(command, endorsement_template(kind));
  append(command, std::uint16_t{0}); // Nothing from outside,
  append(command, std::uint32_t{0}); // and no PCRs.
  const auto answer = run(std::move(command));
  if (!answer) {
    return std::nullopt;
  }
  Fields fields(*answer);
  const auto handle = fields.number<std::uint32_t>();
  fields.number<std::uint32_t>(); // How long the parameters are.
  std::optional<PublicKey> key = key_in(fields.sized());
  (void)run(begin_command(tag_without_sessions, code_flush_context, handle));
  return key;
}

} // namespace vnvram
