// What a store should hold, kept by the test: a plain model without any device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vnvram/store.h"

namespace vnvram::test {

struct BlobState {
  std::string type;
  std::uint64_t size_max_bytes = 0;
  std::vector<Attribute> attributes;
  std::vector<std::byte> bytes;

  bool operator==(const BlobState&) const = default;
};

class StoreState {
public:
  /// What an open store holds. Errors: any of Store::read.
  static Result<StoreState> capture(Store& store);

  void register_blob(const BlobSpec& spec);
  void remove_blob(const std::string& name) { blobs_.erase(name); }
  void apply(const Transaction& transaction);

  [[nodiscard]] const std::map<std::string, BlobState>& blobs() const { return blobs_; }
  bool operator==(const StoreState&) const = default;
  /// Where they differ, in a few words.
  [[nodiscard]] std::string difference(const StoreState& other) const;

private:
  std::map<std::string, BlobState> blobs_;
};

} // namespace vnvram::test
