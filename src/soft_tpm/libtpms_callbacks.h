// libtpms calls back without a context: this is the only place that knows the one TPM.
#pragma once

#include "soft_tpm/soft_tpm.h"

namespace vnvram {

/// The other half of SoftTpm: libtpms runs these inside SoftTpm's calls, under its lock.
struct SoftTpmCallbacks {
  /// Makes libtpms use this TPM's memory and selects its version. Returns the one whose memory it
  /// was, which is off.
  static SoftTpm* attach(SoftTpm& tpm);
  /// From now on it is the other's again, or nobody's.
  static void detach(SoftTpm* before);

  static TpmResult load(TpmState state, unsigned char** data, std::uint32_t* length_bytes);
  static TpmResult store(TpmState state, std::span<const std::byte> content);
  static TpmResult erase(TpmState state);
  static std::uint8_t locality();
};

} // namespace vnvram
