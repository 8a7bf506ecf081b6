#include "uefi/variable_store_template.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include <fmt/core.h>

#include "uefi/flash_chip.h"
#include "uefi/flash_layout.h"
#include "vnvram/block_device.h"

namespace vnvram {
namespace {

using namespace uefi_flash;

using Bytes = std::span<const std::byte>;

struct BlockRun {
  std::uint32_t block_count;
  std::uint32_t block_length_bytes;
};
static_assert(sizeof(BlockRun) == 8);

// edk2's VARIABLE_STORE_HEADER: variables follow.
struct StoreHeader {
  Guid type;
  std::uint32_t size_bytes; ///< With this header.
  std::uint8_t format;
  std::uint8_t state;
  std::uint16_t reserved;
  std::uint32_t reserved_too;
};
static_assert(sizeof(StoreHeader) == 28);

constexpr std::uint8_t volume_revision = 2;
constexpr std::array<std::uint8_t, 4> qcow2_magic = {'Q', 'F', 'I', 0xfb};

// QEMU's virt machines, of ARM and of RISC-V: a flash chip of erase blocks of 256 KiB, of a size of
// its own, whose first three blocks edk2 uses, however large the chip is.
constexpr std::uint64_t virt_block_size_bytes = std::uint64_t{256} << 10U;
constexpr std::uint64_t virt_volume_size_bytes = 3 * virt_block_size_bytes;
constexpr std::array<std::uint64_t, 2> virt_chip_sizes_bytes = {std::uint64_t{64} << 20U,
                                                                std::uint64_t{32} << 20U};

// EFI_SYSTEM_NV_DATA_FV_GUID, fff12b8d-7696-4c8b-a985-2747075b4f50.
constexpr Guid variables_volume = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                   0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
constexpr std::string_view give_variables =
    "give the file with VARS in its name that belongs to the machine's firmware, e.g. "
    "/usr/share/OVMF/OVMF_VARS_4M.fd";
constexpr std::string_view take_it_anew = "take it from the firmware's package again";

template <typename T> bool load(Bytes bytes, std::uint64_t offset_bytes, T& value) {
  if (offset_bytes > bytes.size() || bytes.size() - offset_bytes < sizeof(value)) {
    return false;
  }
  std::memcpy(&value, bytes.data() + offset_bytes, sizeof(value));
  return true;
}

bool all_are(Bytes bytes, std::byte value) {
  return std::all_of(bytes.begin(), bytes.end(), [=](std::byte byte) { return byte == value; });
}
/// What a chip holds where nothing was put: all bits set when it was erased, or a file's zeros.
bool nothing_in(Bytes bytes) {
  return all_are(bytes, std::byte{0xff}) || all_are(bytes, std::byte{0});
}

bool volume_at(Bytes bytes, std::uint64_t offset_bytes, VolumeHeader& header) {
  return load(bytes, offset_bytes, header) && header.signature == volume_signature;
}
bool volume_anywhere(Bytes bytes) {
  VolumeHeader header{};
  for (std::uint64_t offset = 0; offset < bytes.size(); offset += block_size_bytes) {
    if (volume_at(bytes, offset, header)) {
      return true;
    }
  }
  return false;
}

/// Looks at one file, for its messages by name.
class Inspection {
public:
  Inspection(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Status run();

  /// After a success. Of empty flash: what the firmware will use.
  [[nodiscard]] std::uint64_t volume_size_bytes() const { return volume_size_bytes_; }
  [[nodiscard]] bool is_blank() const { return blank_; }
  [[nodiscard]] std::uint64_t chip_size_bytes() const;
  /// The firmware is for a chip that is larger than the volume, and nothing tells how large.
  [[nodiscard]] bool lacks_chip_size() const {
    return has_virt_blocks_ && chip_size_bytes() == volume_size_bytes_;
  }

private:
  [[nodiscard]] Error refused(std::string_view what, std::string_view remedy) const {
    return {ErrorKind::invalid_argument, fmt::format("{}: {}", name_, what), std::string(remedy)};
  }
  [[nodiscard]] Error no_volume() const;
  [[nodiscard]] Status check_volume() const;
  [[nodiscard]] Status check_block_map();
  [[nodiscard]] Status check_store() const;
  [[nodiscard]] Status check_size() const;
  [[nodiscard]] Status check_rest() const;

  const Bytes bytes_;
  const std::string& name_;
  VolumeHeader volume_{};
  std::uint64_t volume_size_bytes_ = 0;
  std::uint64_t mapped_size_bytes_ = 0; ///< Of all blocks that the header lists.
  bool has_virt_blocks_ = false;
  bool blank_ = false;
};

Status Inspection::run() {
  if (bytes_.size() > chip_size_max_bytes) {
    return Error{ErrorKind::too_large,
                 fmt::format("{}: more than {} bytes, and no flash chip has more", name_,
                             chip_size_max_bytes)};
  }
  if (!volume_at(bytes_, 0, volume_)) {
    blank_ = nothing_in(bytes_) &&
             std::find(virt_chip_sizes_bytes.begin(), virt_chip_sizes_bytes.end(), bytes_.size()) !=
                 virt_chip_sizes_bytes.end();
    volume_size_bytes_ = virt_volume_size_bytes;
    return blank_ ? Status{} : no_volume();
  }
  if (volume_.file_system != variables_volume) {
    return refused("a firmware volume without variables, most likely the firmware's code",
                   give_variables);
  }
  volume_size_bytes_ = volume_.length_bytes;
  Status checked = check_volume();
  if (checked) {
    checked = check_block_map();
  }
  for (const auto check :
       {&Inspection::check_store, &Inspection::check_size, &Inspection::check_rest}) {
    checked = checked ? (this->*check)() : checked;
  }
  return checked;
}

// The header lists the chip's blocks where firmware wrote it itself, and the volume's where the
// file was built; then the file is as long as the chip, unless it was cut. QEMU's x86 machines make
// a chip of any size, so there what follows the volume is a rounded-up volume's or a mishap.
std::uint64_t Inspection::chip_size_bytes() const {
  if (blank_) {
    return bytes_.size();
  }
  const std::uint64_t size = mapped_size_bytes_ > volume_size_bytes_ ? mapped_size_bytes_
                             : has_virt_blocks_                      ? std::uint64_t{bytes_.size()}
                                                                     : volume_size_bytes_;
  return is_chip_size(size) ? std::max(size, volume_size_bytes_) : volume_size_bytes_;
}

Error Inspection::no_volume() const {
  std::array<std::uint8_t, 4> magic{};
  if (bytes_.empty()) {
    return refused("an empty file, not a UEFI variable store", give_variables);
  }
  if (load(bytes_, 0, magic) && magic == qcow2_magic) {
    return refused("a qcow2 image, of which the content is wanted",
                   fmt::format("make it raw: qemu-img convert -O raw {} vars.fd", name_));
  }
  if (nothing_in(bytes_)) {
    return refused("nothing but empty flash, in which the firmware makes its own store",
                   "no template is needed, only the size that the firmware uses: --blob "
                   "uefi.vars:edk2.variables:SIZE (vnvram(1), UEFI VARIABLES)");
  }
  if (volume_anywhere(bytes_)) { // ARM's begins with instructions.
    return refused("no UEFI variable store but a firmware's code", give_variables);
  }
  return refused("no UEFI variable store (it does not begin with a firmware volume)",
                 give_variables);
}

Status Inspection::check_volume() const {
  const std::size_t length = volume_.header_length_bytes;
  if (length < sizeof(VolumeHeader) + sizeof(BlockRun) || length % sizeof(BlockRun) != 0 ||
      length > bytes_.size()) {
    return refused(fmt::format("damaged: a volume's header of {} bytes", length), take_it_anew);
  }
  std::uint16_t sum = 0;
  for (std::size_t offset = 0; offset < length; offset += sizeof(sum)) {
    std::uint16_t word = 0;
    load(bytes_, offset, word);
    sum = static_cast<std::uint16_t>(sum + word);
  }
  if (sum != 0) {
    return refused("damaged: the checksum of the volume's header is wrong", take_it_anew);
  }
  const bool begins_with_zeros = std::all_of(volume_.zero_vector.begin(), volume_.zero_vector.end(),
                                             [](std::uint8_t byte) { return byte == 0; });
  if (!begins_with_zeros || volume_.revision != volume_revision) {
    return refused("not a volume that firmware takes for its variables", give_variables);
  }
  return {};
}

// The blocks must have room for the volume. They are the volume's own in OVMF, as the specification
// has it, and those of the whole chip in ARM's firmware.
Status Inspection::check_block_map() {
  std::uint64_t offset = sizeof(VolumeHeader);
  bool ended = false;
  for (; !ended && offset < volume_.header_length_bytes; offset += sizeof(BlockRun)) {
    BlockRun run{};
    load(bytes_, offset, run);
    const std::uint64_t size_bytes = std::uint64_t{run.block_count} * run.block_length_bytes;
    mapped_size_bytes_ += std::min(size_bytes, UINT64_MAX - mapped_size_bytes_);
    has_virt_blocks_ = has_virt_blocks_ || run.block_length_bytes == virt_block_size_bytes;
    ended = run.block_count == 0 && run.block_length_bytes == 0;
  }
  if (!ended || offset != volume_.header_length_bytes ||
      mapped_size_bytes_ < volume_.length_bytes) {
    return refused("damaged: the volume does not fit its blocks", take_it_anew);
  }
  if (volume_.length_bytes > bytes_.size()) {
    return refused(fmt::format("cut short: a volume of {} bytes in a file of {}",
                               volume_.length_bytes, bytes_.size()),
                   take_it_anew);
  }
  return {};
}

Status Inspection::check_store() const {
  StoreHeader store{};
  const std::uint64_t offset = volume_.header_length_bytes;
  if (!load(bytes_, offset, store) ||
      (store.type != authenticated_store && store.type != plain_store)) {
    return refused("its volume holds no variable store that edk2's firmware knows", give_variables);
  }
  if (store.size_bytes < sizeof(store) || offset > volume_.length_bytes ||
      store.size_bytes > volume_.length_bytes - offset) {
    return refused(fmt::format("damaged: a variable store of {} bytes in a volume of {}",
                               store.size_bytes, volume_.length_bytes),
                   take_it_anew);
  }
  if (store.format != store_formatted || store.state != store_healthy) {
    return refused(fmt::format("damaged: the variable store is not in order (format {:#04x}, state "
                               "{:#04x})",
                               store.format, store.state),
                   take_it_anew);
  }
  return {};
}

Status Inspection::check_size() const {
  if (volume_.length_bytes > blob_size_max_bytes) {
    return Error{ErrorKind::too_large,
                 fmt::format("{}: a volume of {} bytes, and a blob has {} at most", name_,
                             volume_.length_bytes, blob_size_max_bytes)};
  }
  if (volume_.length_bytes % block_size_bytes != 0) {
    return refused(
        fmt::format("its volume, {} bytes, is not a multiple of {}, and QEMU takes no such "
                    "flash",
                    volume_.length_bytes, block_size_bytes),
        take_it_anew);
  }
  return {};
}

Status Inspection::check_rest() const {
  const Bytes rest = bytes_.subspan(static_cast<std::size_t>(volume_.length_bytes));
  VolumeHeader next{};
  if (volume_at(rest, 0, next)) {
    return refused("a whole firmware, code behind variables", give_variables);
  }
  if (!nothing_in(rest)) {
    return refused(
        fmt::format("something else follows its volume of {} bytes", volume_.length_bytes),
        fmt::format("if that is not the firmware's: head -c {}", volume_.length_bytes));
  }
  return {};
}

} // namespace

Result<VariableStoreTemplate> VariableStoreTemplate::parse(std::vector<std::byte> bytes,
                                                           const std::string& name) {
  Inspection inspection(bytes, name);
  const Status inspected = inspection.run();
  if (!inspected) {
    return inspected.error();
  }
  VariableStoreTemplate result;
  result.size_bytes_ = inspection.volume_size_bytes();
  result.chip_size_bytes_ = inspection.chip_size_bytes();
  result.blank_ = inspection.is_blank();
  // What a chip has behind its volume comes back with the export; anything else is gone.
  if (const std::uint64_t kept_bytes = std::max(result.chip_size_bytes_, result.size_bytes_);
      bytes.size() > kept_bytes) {
    result.note_ =
        fmt::format("{}: cut to {} bytes, which its volume of variables has; nothing is in "
                    "the {} behind it",
                    name, result.size_bytes_, bytes.size() - result.size_bytes_);
  }
  if (inspection.lacks_chip_size()) {
    result.note_ =
        fmt::format("{}: it does not tell the size of its flash chip, which is larger; give "
                    "all of the chip's file, from the firmware's package or `get` "
                    "--chip",
                    name);
  }
  bytes.resize(result.blank_ ? 0 : static_cast<std::size_t>(result.size_bytes_));
  bytes.shrink_to_fit();
  result.bytes_ = std::move(bytes);
  return result;
}

BlobSpec VariableStoreTemplate::spec() const {
  BlobSpec spec;
  spec.name = uefi_variables_name;
  spec.type = uefi_variables_type;
  spec.size_max_bytes = size_bytes_;
  if (chip_size_bytes_ > size_bytes_) {
    spec.attributes.push_back(chip_size_attribute(chip_size_bytes_));
  }
  return spec;
}

NewBlob VariableStoreTemplate::blob() const {
  return {.spec = spec(),
          .content = blank_ ? std::nullopt : std::optional<std::vector<std::byte>>(bytes_)};
}

Status check_uefi_blob_there(const BlobInfo& there, const BlobSpec& wanted) {
  if (there.type != wanted.type || there.size_max_bytes == wanted.size_max_bytes) {
    return {};
  }
  return Error{ErrorKind::exists,
               fmt::format("blob {}: a store of {} bytes is there, and one of {} is wanted: they "
                           "belong to different firmware",
                           there.name, there.size_max_bytes, wanted.size_max_bytes),
               there.generation == 0
                   ? "it was never written; `rm` makes place for the other"
                   : "give the template of the machine's own firmware; `rm` loses the "
                     "variables that are there"};
}

} // namespace vnvram
