// What a machine's UEFI variables begin as: the flash image that comes with its firmware.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/blob.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

/// The blob that is a machine's flash with UEFI variables.
inline constexpr std::string_view uefi_variables_name = "uefi.vars";
inline constexpr std::string_view uefi_variables_type = "edk2.variables";

/// A file such as OVMF_VARS_4M.fd or AAVMF_VARS.fd: a firmware volume (PI specification, volume 3)
/// that begins with a variable store of edk2's. In OVMF its other parts are the working and the
/// spare space of edk2's fault-tolerant writes. Zeros or erased flash may follow: they are no part
/// of the blob. A chip of QEMU's ARM and RISC-V machines is much larger than what its firmware uses
/// of it, and may be all empty.
class VariableStoreTemplate {
public:
  /// Takes all bytes of a file, or the first chip_size_max_bytes + 1 of one that is larger. `name`
  /// is for messages. The headers of volume and store are checked, and that nothing but padding
  /// comes after the volume; the variables are not looked at.
  /// Errors: invalid_argument for what is no such file, with a word on what it is instead;
  /// too_large for more than a blob or a chip holds.
  static Result<VariableStoreTemplate> parse(std::vector<std::byte> bytes, const std::string& name);

  /// The blob to create or to register: the volume, and how large the chip is that it is the
  /// beginning of. Empty flash is a blob without content, in which the firmware makes its store.
  [[nodiscard]] NewBlob blob() const;
  [[nodiscard]] BlobSpec spec() const;

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// Empty for empty flash.
  [[nodiscard]] const std::vector<std::byte>& content() const { return bytes_; }
  [[nodiscard]] bool is_blank() const { return blank_; }
  /// What the user should know: that padding was cut off, or that the chip's size is not known.
  /// Empty: nothing.
  [[nodiscard]] const std::string& note() const { return note_; }

private:
  VariableStoreTemplate() = default;

  std::vector<std::byte> bytes_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t chip_size_bytes_ = 0;
  bool blank_ = false;
  std::string note_;
};

/// Whether a blob that an image has already can be what `wanted` (a template's spec) asks for.
/// Another type is left to whoever registers. Errors: exists for a store of another size, which is
/// another firmware's and must neither grow nor be taken for this one's.
Status check_uefi_blob_there(const BlobInfo& there, const BlobSpec& wanted);

} // namespace vnvram
