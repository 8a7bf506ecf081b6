#include "cli/image_identity.h"

#include <utility>

#include "identity/identity_metadata.h"
#include "identity/tpm_identity.h"
#include "soft_tpm/tpm_blobs.h"

namespace vnvram::cli {

ImageIdentity::ImageIdentity(std::string prefix, std::vector<std::byte> permanent_state)
    : prefix_(std::move(prefix)) {
  if (permanent_state.empty() || !check_identity_prefix(prefix_)) {
    return;
  }
  const Result<TpmIdentity> identity = read_tpm_identity(std::move(permanent_state));
  if (identity) {
    metadata_ = identity_metadata(*identity, prefix_);
  }
}

std::optional<ImageIdentity> ImageIdentity::of_blob(const std::string& name,
                                                    const std::vector<std::byte>& content) {
  const std::string_view usual = tpm_blob_name(TpmVersion::tpm2_0, TpmState::permanent);
  return name.ends_with(usual)
             ? std::optional(ImageIdentity(name.substr(0, name.size() - usual.size()), content))
             : std::nullopt;
}

Status ImageIdentity::remove_others(const PublicMetadata& there, const Change& change) const {
  for (const std::string& name : identity_names(prefix_)) {
    const auto said = there.find(name);
    const auto right = metadata_.find(name);
    if (said != there.end() && (right == metadata_.end() || right->second != said->second)) {
      if (Status removed = change(name, std::nullopt); !removed) {
        return removed;
      }
    }
  }
  return {};
}

Status ImageIdentity::note(const PublicMetadata& there, const Change& change) const {
  for (const auto& [name, value] : metadata_) {
    const auto said = there.find(name);
    if (said == there.end() || said->second != value) {
      if (Status set = change(name, value); !set) {
        return set;
      }
    }
  }
  return {};
}

} // namespace vnvram::cli
