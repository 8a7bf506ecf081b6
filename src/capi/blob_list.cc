#include "capi/blob_list.h"

#include <memory>

#include "capi/arguments.h"

using namespace vnvram;
using namespace vnvram::capi;

namespace {

Result<const BlobInfo*> element(const vnvram_blob_list* list, std::size_t index) {
  if (list == nullptr) {
    return invalid("list is NULL");
  }
  if (index >= list->blobs.size()) {
    return Error(ErrorKind::not_found, "the list has no blob number " + std::to_string(index));
  }
  return &list->blobs[index];
}

} // namespace

size_t vnvram_blob_list_count(const vnvram_blob_list* list) {
  return list == nullptr ? 0 : list->blobs.size();
}

vnvram_kind vnvram_blob_list_get(const vnvram_blob_list* list, size_t index, vnvram_blob_info* info,
                                 vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    const auto blob = element(list, index);
    if (!blob) {
      return blob.error();
    }
    return give_struct(info, to_blob_info(**blob), "vnvram_blob_info");
  });
}

vnvram_kind vnvram_blob_list_attribute(const vnvram_blob_list* list, size_t index,
                                       size_t attribute_index, vnvram_attribute* attribute,
                                       vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    const auto blob = element(list, index);
    if (!blob) {
      return blob.error();
    }
    const auto& attributes = (*blob)->attributes;
    if (attribute_index >= attributes.size()) {
      return Error(ErrorKind::not_found,
                   "the blob has no attribute number " + std::to_string(attribute_index));
    }
    const Attribute& found = attributes[attribute_index];
    vnvram_attribute result{};
    result.name = found.name.c_str();
    result.value = found.value.data();
    result.value_size = found.value.size();
    result.must_know = found.must_know ? 1 : 0;
    return give_struct(attribute, result, "vnvram_attribute");
  });
}

void vnvram_blob_list_free(vnvram_blob_list* list) {
  const std::unique_ptr<vnvram_blob_list> owned(list);
}
