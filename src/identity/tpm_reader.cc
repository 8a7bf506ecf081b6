#include "identity/tpm_reader.h"

#include <algorithm>

#include "base/big_endian.h"
#include "soft_tpm/tpm_message.h"

namespace vnvram {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint16_t tag_without_sessions = 0x8001;
constexpr std::uint16_t tag_with_sessions = 0x8002;
constexpr std::uint32_t code_read_area = 0x14e;
constexpr std::uint32_t code_read_area_public = 0x169;
constexpr std::uint32_t code_read_public = 0x173;
constexpr std::uint32_t password_session = 0x40000009;
constexpr std::uint32_t platform = 0x4000000c; // Its authorization is empty after each startup.
constexpr std::uint32_t platform_may_read = 1U << 16U;
constexpr std::uint32_t index_may_read = 1U << 18U;
constexpr std::uint32_t was_written = 1U << 29U;
constexpr std::uint16_t area_size_max_bytes = 8192;
constexpr std::uint16_t part_size_max_bytes = 512; // Each TPM takes that much at once.
constexpr std::uint16_t none = 0x10;
constexpr std::uint16_t kind_rsa = 0x01;
constexpr std::uint16_t kind_ecc = 0x23;
constexpr std::uint32_t usual_exponent = 65537;

template <typename Number> void append(Bytes& bytes, Number number) {
  const std::size_t at = bytes.size();
  bytes.resize(at + sizeof(number));
  store_big_endian(std::span(bytes), at, number);
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
  if (fields.number<std::uint16_t>() != none) {
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
  fields.number<std::uint16_t>();               // The name's algorithm,
  fields.number<std::uint32_t>();               // attributes,
  fields.sized();                               // and the policy.
  if (fields.number<std::uint16_t>() != none) { // What a storage key seals its children with.
    fields.number<std::uint16_t>();
    fields.number<std::uint16_t>();
  }
  skip_scheme(fields);
  if (kind == kind_rsa) {
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
  if (kind != kind_ecc || !fields.whole() || (curve != number_of_p256 && curve != number_of_p384)) {
    return std::nullopt;
  }
  return key_of(PublicKey::on_curve(curve == number_of_p256 ? Curve::p256 : Curve::p384, x, y));
}

} // namespace

std::optional<Bytes> TpmReader::run(Bytes command) {
  store_big_endian(std::span(command), tpm_length_offset,
                   static_cast<std::uint32_t>(command.size()));
  const auto response = tpm_.execute(command, 0, [] { return true; });
  if (!response || tpm_code(*response) != 0) {
    return std::nullopt;
  }
  return Bytes(response->begin() + tpm_header_bytes, response->end());
}

std::optional<Bytes> TpmReader::part_of_area(std::uint32_t authority, std::uint32_t index,
                                             std::uint16_t offset_bytes, std::uint16_t size_bytes) {
  Bytes command = begin_command(tag_with_sessions, code_read_area, authority);
  append(command, index);
  constexpr std::uint32_t session_size_bytes = 9;
  append(command, session_size_bytes); // With an empty password.
  append(command, password_session);
  append(command, std::uint16_t{0});
  append(command, std::uint8_t{0});
  append(command, std::uint16_t{0});
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

std::optional<Bytes> TpmReader::area(std::uint32_t index) {
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
  const bool by_platform = (attributes & platform_may_read) != 0;
  if (!fields.whole() || (attributes & was_written) == 0 || size_bytes > area_size_max_bytes ||
      (!by_platform && (attributes & index_may_read) == 0)) {
    return std::nullopt;
  }
  Bytes content;
  while (content.size() < size_bytes) {
    const auto offset_bytes = static_cast<std::uint16_t>(content.size());
    const auto part =
        part_of_area(by_platform ? platform : index, index, offset_bytes,
                     std::min<std::uint16_t>(part_size_max_bytes, size_bytes - offset_bytes));
    if (!part) {
      return std::nullopt;
    }
    content.insert(content.end(), part->begin(), part->end());
  }
  return content;
}

std::optional<PublicKey> TpmReader::key(std::uint32_t handle) {
  const auto answer = run(begin_command(tag_without_sessions, code_read_public, handle));
  if (!answer) {
    return std::nullopt;
  }
  Fields fields(*answer);
  return key_in(fields.sized());
}

} // namespace vnvram
