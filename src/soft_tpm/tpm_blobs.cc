#include "soft_tpm/tpm_blobs.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <libtpms/tpm_library.h>
// After it: tpm_error.h does not include what it needs.
#include <libtpms/tpm_error.h>

#include "vnvram/block_device.h"

namespace vnvram {
namespace {

// No libtpms so far (0.9 to 0.11) says these sizes of a TPM 2.0: TPM_FAIL. So that is what is
// reserved, and not a bound. Measured with 0.9: with its 128 KiB of NV memory full of written
// indices the permanent state is 147 KB; with every session and object slot taken the volatile
// state is 13 KB and the save-state no larger. An image for these alone is to fit in 1.5 MiB.
constexpr TpmStateSizes sizes_tpm2 = {256U << 10U, 96U << 10U, 64U << 10U};
// What libtpms 0.9 says, in case another build does not.
constexpr TpmStateSizes sizes_tpm12 = {40U << 10U, 24U << 10U, 24U << 10U};
constexpr std::array properties = {TPMPROP_TPM_MAX_NV_SPACE, TPMPROP_TPM_MAX_VOLATILESTATE_SPACE,
                                   TPMPROP_TPM_MAX_SAVESTATE_SPACE};

void select(TpmVersion version) {
  TPMLIB_ChooseTPMVersion(version == TpmVersion::tpm2_0 ? TPMLIB_TPM_VERSION_2
                                                        : TPMLIB_TPM_VERSION_1_2);
}

std::uint64_t property_or(TPMLIB_TPMProperty property, std::uint64_t fallback) {
  int value = 0;
  if (TPMLIB_GetTPMProperty(property, &value) != TPM_SUCCESS || value <= 0) {
    return fallback;
  }
  // Whole blocks: the image reserves no less anyway, and a later libtpms may need a little more.
  const std::uint64_t blocks =
      (static_cast<std::uint64_t>(value) + block_size_bytes - 1) / block_size_bytes;
  return std::min(blocks * block_size_bytes, blob_size_max_bytes);
}

bool is_in_blob_names(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._/+@-").find(c) != std::string_view::npos;
}

TpmStateSizes sizes_of(TpmVersion version) {
  select(version);
  TpmStateSizes sizes = version == TpmVersion::tpm2_0 ? sizes_tpm2 : sizes_tpm12;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    sizes.at(state) = property_or(properties.at(state), sizes.at(state));
  }
  return sizes;
}

} // namespace

std::string_view tpm_blob_name(TpmVersion version, TpmState state) {
  static constexpr std::array<std::array<std::string_view, tpm_state_count>, 2> names = {{
      {"tpm12.permanent", "tpm12.volatile", "tpm12.savestate"},
      {"tpm2.permanent", "tpm2.volatile", "tpm2.savestate"},
  }};
  return names.at(static_cast<std::size_t>(version)).at(static_cast<std::size_t>(state));
}

std::vector<std::string> tpm_blob_names() {
  std::vector<std::string> names;
  for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
    for (std::size_t state = 0; state < tpm_state_count; ++state) {
      names.emplace_back(tpm_blob_name(version, static_cast<TpmState>(state)));
    }
  }
  return names;
}

std::string tpm_blob_type(TpmVersion version, TpmState state) {
  return "libtpms." + std::string(tpm_blob_name(version, state));
}

std::vector<BlobSpec> tpm_blob_specs(TpmVersion version, const std::string& prefix) {
  const TpmStateSizes sizes = sizes_of(version);
  const std::string producer = libtpms_producer();
  std::vector<BlobSpec> specs;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    BlobSpec spec;
    spec.name = prefix;
    spec.name += tpm_blob_name(version, static_cast<TpmState>(state));
    spec.type = tpm_blob_type(version, static_cast<TpmState>(state));
    spec.size_max_bytes = sizes.at(state);
    spec.producer = producer;
    specs.push_back(std::move(spec));
  }
  return specs;
}

Status check_tpm_blobs_prefix(std::string_view prefix) {
  constexpr std::string_view longest_name = "tpm12.permanent";
  constexpr std::size_t size_max_bytes = blob_name_max_bytes - longest_name.size();
  const bool is_name = std::all_of(prefix.begin(), prefix.end(), is_in_blob_names);
  if (is_name && prefix.size() <= size_max_bytes) {
    return {};
  }
  return Error(ErrorKind::invalid_argument,
               "blobs of a TPM cannot have names that begin with '" + std::string(prefix) + "'",
               "write up to " + std::to_string(size_max_bytes) +
                   " letters, digits and ._/+@-, e.g. guest2/");
}

std::size_t tpm_command_max_bytes(TpmVersion version) {
  select(version);
  int size_bytes = 0;
  if (TPMLIB_GetTPMProperty(TPMPROP_TPM_BUFFER_MAX, &size_bytes) == TPM_SUCCESS && size_bytes > 0) {
    return static_cast<std::size_t>(size_bytes);
  }
  std::uint32_t size_max_bytes = 0;
  TPMLIB_SetBufferSize(0, nullptr, &size_max_bytes);
  return size_max_bytes;
}

std::string libtpms_producer() {
  const std::uint32_t version = TPMLIB_GetVersion();
  return "libtpms " + std::to_string(version >> 16U) + "." +
         std::to_string((version >> 8U) & 0xffU) + "." + std::to_string(version & 0xffU);
}

} // namespace vnvram
