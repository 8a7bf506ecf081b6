// What a vnvram-tpm is made of behind its sockets, as the command line asks for it.
#pragma once

#include <memory>

#include "client/blob_client.h"
#include "owner/image_keeper.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/adopted_image.h"
#include "tpm/custody.h"
#include "tpm/image_trouble.h"
#include "tpm/options.h"
#include "tpm/tpm_storage.h"
#include "vnvram/result.h"

namespace vnvram {

/// The TPM, and what its state goes through to the image. Each outlives those below it.
struct Tpm {
  std::unique_ptr<ImageKeeper> keeper; ///< None: another process has the image.
  std::unique_ptr<BlobClient> client;
  std::unique_ptr<ImageTrouble> trouble;
  std::unique_ptr<SoftTpm> tpm;
  std::unique_ptr<Custody> custody;
  std::unique_ptr<AdoptedImage> image;
  std::unique_ptr<TpmStorage> storage;
};

/// With the image, and what starting has changed durable; or without, where it comes later: by the
/// operator's word, or with the TPM of another process. Errors: those of opening the image or of
/// reaching its owner, of read_tpm_image(), of SoftTpm::power_on(); sealed.
Result<Tpm> make_tpm(const Options& options, const Log& log);

} // namespace vnvram
