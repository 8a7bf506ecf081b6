// What an image holds, as the C API's contract says: a map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "vnvram/vnvram.h"

namespace vnvram::fuzz {

using Bytes = std::vector<std::byte>;
using Kinds = std::set<vnvram_kind>; ///< What a call may return.

struct ModelSpec {
  std::string name;
  std::string type;
  std::uint64_t size_max = 0;
  bool must_know = false; ///< With the attribute `model_attribute`.
};
inline constexpr const char* model_attribute = "must.know";

struct ModelUpdate {
  enum class Action { write, write_range, set_size, zero_range };
  Action action = Action::write;
  std::string blob;
  std::uint64_t offset = 0; ///< set_size: the size.
  Bytes bytes = {};
  std::uint64_t zeros = 0; ///< zero_range: how many.

  [[nodiscard]] std::uint64_t length() const { return bytes.size() + zeros; }
};

class CapiModel {
public:
  struct Blob {
    std::string type;
    std::uint64_t size_max = 0;
    bool must_know = false;
    Bytes content;
  };

  /// Of a ring that takes records of so many bytes.
  explicit CapiModel(std::uint64_t blob_size_max) : blob_size_max_(blob_size_max) {}

  [[nodiscard]] const std::map<std::string, Blob>& blobs() const { return blobs_; }
  [[nodiscard]] Kinds can_register(const std::vector<ModelSpec>& specs,
                                   std::uint64_t space_free) const;
  void register_blobs(const std::vector<ModelSpec>& specs);
  [[nodiscard]] Kinds can_remove(const std::string& name) const;
  void remove(const std::string& name) { blobs_.erase(name); }
  /// `knows`: the store knows the attribute.
  [[nodiscard]] Kinds can_read(const std::string& name, bool knows) const;
  [[nodiscard]] Kinds can_commit(const std::vector<ModelUpdate>& updates, bool knows) const;
  void commit(const std::vector<ModelUpdate>& updates);
  /// What a deferred write changes.
  void defer(const ModelUpdate& update) {
    commit(update.length() == 0 ? std::vector<ModelUpdate>() : std::vector{update});
  }

private:
  std::uint64_t blob_size_max_;
  std::map<std::string, Blob> blobs_;
};

} // namespace vnvram::fuzz
