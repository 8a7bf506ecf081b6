// What a store should hold, kept by the test: a plain model without any device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/blob_client.h"
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
  /// The same as a front end sees it, while nobody changes anything. Errors: those of the client.
  static Result<StoreState> capture(BlobClient& client);

  void register_blob(const BlobSpec& spec);
  void remove_blob(const std::string& name) { blobs_.erase(name); }
  void apply(const Transaction& transaction);
  /// Blobs that are there.
  [[nodiscard]] StoreState of(const std::vector<std::string>& names) const;
  /// Blobs that are not there yet.
  void add(const StoreState& others) { blobs_.insert(others.blobs_.begin(), others.blobs_.end()); }

  [[nodiscard]] const std::map<std::string, BlobState>& blobs() const { return blobs_; }
  bool operator==(const StoreState&) const = default;
  /// Where they differ, in a few words.
  [[nodiscard]] std::string difference(const StoreState& other) const;

private:
  template <typename Read, typename ReadRange>
  static Result<StoreState> capture(const std::vector<BlobInfo>& blobs, Read read,
                                    ReadRange read_range);

  std::map<std::string, BlobState> blobs_;
};

} // namespace vnvram::test
