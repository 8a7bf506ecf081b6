#include "swtpm/swtpm_capabilities.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <libtpms/tpm_library.h>
// The other one has to come first.
#include <libtpms/tpm_error.h>

#include <fmt/core.h>

#include "swtpm/usage.h"

namespace vnvram {
namespace {

// What swtpm 0.8 has, and of later releases only what needs nothing newer of libtpms. A caller uses
// what it finds here: libvirt does not start a machine whose TPM has cmdarg-print-info and tells it
// of no profile.
constexpr std::array features = {
    "tpm-send-command-header", "flags-opt-startup",   "flags-opt-disable-auto-shutdown",
    "ctrl-opt-terminate",      "cmdarg-seccomp",      "cmdarg-key-fd",
    "cmdarg-pwd-fd",           "cmdarg-print-states", "cmdarg-chroot",
    "cmdarg-migration",        "nvram-backend-dir",   "nvram-backend-file",
};

// Callers' searches for key sizes and words of later releases come behind those.
constexpr std::string_view last_feature = "tpmstate-opt-lock";

constexpr unsigned tpm_features = 4; // TPMLIB_INFO_TPMFEATURES

struct LibtpmsTextDeleter {
  void operator()(char* text) const { std::free(text); } // NOLINT: libtpms's malloc().
};

TPMLIB_TPMVersion libtpms_version(TpmVersion version) {
  return version == TpmVersion::tpm2_0 ? TPMLIB_TPM_VERSION_2 : TPMLIB_TPM_VERSION_1_2;
}

bool has_version(TpmVersion version) {
  return TPMLIB_ChooseTPMVersion(libtpms_version(version)) == TPM_SUCCESS;
}

// "RSAKeySizes":[1024,2048]; an older libtpms, and a TPM 1.2, say nothing of them.
Result<std::vector<unsigned>> key_sizes_bits(std::string_view information) {
  constexpr std::string_view key = "\"RSAKeySizes\":[";
  std::vector<unsigned> sizes;
  const std::size_t begin = information.find(key);
  if (begin == information.npos) {
    return sizes;
  }
  information.remove_prefix(begin + key.size());
  while (true) {
    unsigned size = 0;
    const char* end = information.data() + information.size();
    const auto read = std::from_chars(information.data(), end, size);
    if (read.ec != std::errc() || read.ptr == end || (*read.ptr != ',' && *read.ptr != ']')) {
      return Error(ErrorKind::io, "libtpms names its RSA key sizes in a way that is not known",
                   "install a libtpms that this program was tested with");
    }
    sizes.push_back(size);
    if (*read.ptr == ']') {
      return sizes;
    }
    information.remove_prefix(static_cast<std::size_t>(read.ptr + 1 - information.data()));
  }
}

} // namespace

Result<std::string> libtpms_information(TpmVersion version, unsigned flags) {
  if (!has_version(version)) {
    return Error(ErrorKind::unsupported, "this libtpms has no TPM of that version",
                 "leave out --tpm2, or give it");
  }
  const std::unique_ptr<char, LibtpmsTextDeleter> text(
      TPMLIB_GetInfo(static_cast<TPMLIB_InfoFlags>(flags)));
  return text == nullptr ? std::string() : std::string(text.get());
}

Result<std::string> swtpm_capabilities(TpmVersion version) {
  std::vector<std::string> names;
  // Asked first, since it also chooses.
  if (has_version(TpmVersion::tpm1_2)) {
    names.emplace_back("tpm-1.2");
  }
  if (has_version(TpmVersion::tpm2_0)) {
    names.emplace_back("tpm-2.0");
  }
  names.insert(names.end(), features.begin(), features.end());
  if (const auto information = libtpms_information(version, tpm_features); information.ok()) {
    const Result<std::vector<unsigned>> sizes = key_sizes_bits(*information);
    if (!sizes.ok()) {
      return sizes.error();
    }
    for (const unsigned size : *sizes) {
      names.push_back(fmt::format("rsa-keysize-{}", size));
    }
  }
  names.emplace_back(last_feature);
  std::string list;
  for (const std::string& name : names) {
    list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", name);
  }
  return fmt::format(
      R"({{ "type": "swtpm", "features": [ {} ], "version": "{}", "program": "{}" }})", list,
      swtpm_release, program_text());
}

} // namespace vnvram
