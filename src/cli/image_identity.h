// What an image says to everybody of a TPM, when the TPM in it becomes another one.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/public_metadata.h"
#include "vnvram/result.h"

namespace vnvram::cli {

class ImageIdentity {
public:
  /// Nothing: the name is to go.
  using Change =
      std::function<Status(const std::string& name, const std::optional<std::string>& value)>;

  /// `permanent_state`: of the TPM 2.0 whose blobs' names begin with `prefix`. Of one that libtpms
  /// does not take, or none, there is nothing to say.
  ImageIdentity(std::string prefix, std::vector<std::byte> permanent_state);
  /// Of a blob that is some TPM 2.0's permanent state; nothing for others.
  static std::optional<ImageIdentity> of_blob(const std::string& name,
                                              const std::vector<std::byte>& content);

  [[nodiscard]] const PublicMetadata& metadata() const { return metadata_; }
  /// Before the state is there: what `there` is said of another TPM goes, so that at no moment a
  /// state and another one's identity are together.
  Status remove_others(const PublicMetadata& there, const Change& change) const;
  /// Once it is there.
  Status note(const PublicMetadata& there, const Change& change) const;

private:
  std::string prefix_;
  PublicMetadata metadata_;
};

} // namespace vnvram::cli
