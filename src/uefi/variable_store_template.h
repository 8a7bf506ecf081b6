// What a machine's UEFI variables begin as: the flash image that comes with its firmware.
#pragma once

#include <cstddef>
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

/// A file such as OVMF_VARS_4M.fd: a firmware volume (PI specification, volume 3) that begins with
/// a variable store of edk2's. In OVMF its other parts are the working and the spare space of
/// edk2's fault-tolerant writes. Zeros or erased flash may follow, up to the size of the chip.
class VariableStoreTemplate {
public:
  /// Takes all bytes of a file, or the first blob_size_bytes_max + 1 of one that is larger. `name`
  /// is for messages. The headers of volume and store are checked, and that nothing but padding
  /// comes after the volume; the variables are not looked at.
  /// Errors: invalid_argument for what is no such file, with a word on what it is instead;
  /// too_large for more than a blob holds.
  static Result<VariableStoreTemplate> parse(std::vector<std::byte> bytes, const std::string& name);

  /// The blob to create or to register. Its largest size is the template's: QEMU takes a flash of
  /// exactly that many bytes.
  [[nodiscard]] NewBlob blob() const;
  [[nodiscard]] BlobSpec spec() const;

private:
  explicit VariableStoreTemplate(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  std::vector<std::byte> bytes_;
};

/// Whether a blob that an image has already can be what `wanted` (a template's spec) asks for.
/// Another type is left to whoever registers. Errors: exists for a store of another size, which is
/// another firmware's and must neither grow nor be taken for this one's.
Status check_uefi_blob_there(const BlobInfo& there, const BlobSpec& wanted);

} // namespace vnvram
