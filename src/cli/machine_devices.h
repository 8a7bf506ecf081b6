// What a machine sees of an image that is served.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "soft_tpm/tpm_blobs.h"
#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// The devices that the sockets of `vnvram serve` are for, by the blobs that the image has.
struct MachineDevices {
  struct Tpm {
    std::string socket; ///< An absolute path, as all of them.
    TpmVersion version = TpmVersion::tpm2_0;
  };
  struct Drive {
    std::string socket;
    BlobInfo blob; ///< Whose name is the export's.
    bool is_read_only = false;
  };
  std::optional<Tpm> tpm;
  std::optional<Drive> variables; ///< Of the machine's firmware.
  std::vector<Drive> others;

  /// `tpms` and `nbds` as on the command line. Errors: invalid_argument (also: there is more than
  /// one machine can have, or a socket that has no name), not_found (a blob).
  static Result<MachineDevices> of(const std::vector<std::string>& tpms,
                                   const std::vector<std::string>& nbds,
                                   const std::vector<BlobInfo>& blobs);

private:
  Status add_tpm(const std::string& text, const std::vector<BlobInfo>& blobs);
  Status add_drives(const std::string& text, const std::vector<BlobInfo>& blobs);
  Status add_drive(Drive drive);
};

} // namespace vnvram::cli
