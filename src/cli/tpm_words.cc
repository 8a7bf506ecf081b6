#include "cli/tpm_words.h"

#include <string_view>

namespace vnvram::cli {

Result<TpmWords> TpmWords::parse(const DeviceSocket& socket) {
  constexpr std::string_view blobs = "blobs=";
  TpmWords words;
  for (const std::string& word : socket.words) {
    if (word.starts_with(blobs)) {
      words.blobs_prefix = word.substr(blobs.size());
      if (Status fits = check_tpm_blobs_prefix(words.blobs_prefix); !fits) {
        return fits.error();
      }
      words.options.insert(words.options.end(), {"--blobs", words.blobs_prefix});
      continue;
    }
    if (word == "tpm2" || word == "tpm12") {
      words.version = word == "tpm2" ? TpmVersion::tpm2_0 : TpmVersion::tpm1_2;
    } else if (word != "no-seal" && word != "no-auto-shutdown") {
      return Error(ErrorKind::invalid_argument, "--tpm " + socket.address.text() + "," + word,
                   "behind the address: blobs=PREFIX, tpm2, tpm12, no-seal, no-auto-shutdown");
    }
    words.seals = words.seals && word != "no-seal";
    words.options.push_back("--" + word);
  }
  return words;
}

} // namespace vnvram::cli
