#include "content/content_check.h"

#include <algorithm>

#include <fmt/core.h>

#include "content/tpm_state_check.h"
#include "uefi/flash_chip.h"
#include "uefi/variable_store_template.h"

namespace vnvram {
namespace {

Result<CheckedContent> check_variables(std::uint64_t size_max_bytes, std::vector<std::byte> bytes,
                                       const std::string& source) {
  auto store = VariableStoreTemplate::parse(std::move(bytes), source);
  if (!store) {
    return store.error();
  }
  if (store->size_bytes() != size_max_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: a store of {} bytes, and the blob is one of {}: they belong to "
                             "different firmware",
                             source, store->size_bytes(), size_max_bytes),
                 "give the store of the machine's own firmware");
  }
  return CheckedContent{
      .bytes = store->content(), .attributes = store->spec().attributes, .note = store->note()};
}

} // namespace

std::uint64_t content_source_max_bytes(std::string_view type, std::uint64_t size_max_bytes) {
  return type == uefi_variables_type ? std::max(size_max_bytes, chip_size_max_bytes)
                                     : size_max_bytes;
}

Result<CheckedContent> check_content(std::string_view type, std::uint64_t size_max_bytes,
                                     std::vector<std::byte> bytes, const std::string& source) {
  if (type == uefi_variables_type) {
    return check_variables(size_max_bytes, std::move(bytes), source);
  }
  if (const auto state = tpm_state_of_type(type)) {
    if (const Status checked = check_tpm_state(*state, bytes, source); !checked) {
      return checked.error();
    }
  }
  return CheckedContent{.bytes = std::move(bytes), .attributes = {}, .note = {}};
}

} // namespace vnvram
