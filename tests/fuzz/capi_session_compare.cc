// CapiSession: the open store and the model hold the same.
#include <algorithm>
#include <memory>
#include <span>

#include <fmt/core.h>

#include "fuzz/capi_session.h"
#include "fuzz/require.h"

namespace vnvram::fuzz {

void CapiSession::compare_blob(vnvram_store* store, const std::string& name, bool knows) {
  void* bytes = nullptr;
  std::size_t size = 0;
  ErrorSlot error;
  const vnvram_kind result = vnvram_read(store, name.c_str(), &bytes, &size, error.out());
  const std::unique_ptr<void, decltype(&vnvram_free)> owned(bytes, vnvram_free);
  if (error.judge(result, model_.can_read(name, knows), "vnvram_read")) {
    const Bytes& content = model_.blobs().at(name).content;
    require(std::ranges::equal(std::span(static_cast<const std::byte*>(bytes), size), content),
            fmt::format("blob {} holds what was written: {} bytes, not {}", name, content.size(),
                        size));
  }
}

/// The open store and the model hold the same.
void CapiSession::compare() {
  if (mode_ == Mode::closed) {
    return;
  }
  settle();
  vnvram_blob_list* list = nullptr;
  ErrorSlot error;
  error.judge(vnvram_list(store_, &list, error.out()), {VNVRAM_OK}, "vnvram_list");
  const std::unique_ptr<vnvram_blob_list, decltype(&vnvram_blob_list_free)> owned(
      list, vnvram_blob_list_free);
  require(vnvram_blob_list_count(list) == model_.blobs().size(), "all blobs are listed");
  std::size_t index = 0;
  for (const auto& [name, blob] : model_.blobs()) {
    vnvram_blob_info info{};
    info.struct_size = sizeof info;
    require(vnvram_blob_list_get(list, index++, &info, nullptr) == VNVRAM_OK, "a blob is listed");
    require(name == info.name && blob.type == info.type && info.size_max == blob.size_max &&
                info.size == blob.content.size(),
            fmt::format("blob {} is listed as it is", name));
    compare_blob(store_, name, knows_);
  }
  require(info().blob_count == model_.blobs().size(), "all blobs are counted");
}

void CapiSession::compare_range(FuzzInput& input) {
  const std::string blob = name(input);
  const std::uint64_t offset = input.word();
  Bytes buffer(input.word() % (blob_size_max + 10));
  settle();
  Kinds allowed = with_store(model_.can_read(blob, knows_), false);
  if (allowed == Kinds{VNVRAM_OK} && offset + buffer.size() > model_.blobs().at(blob).size_max) {
    allowed = {VNVRAM_TOO_LARGE};
  }
  ErrorSlot error;
  if (error.judge(vnvram_read_range(store_, blob.c_str(), offset, buffer.data(), buffer.size(),
                                    error.out()),
                  allowed, "vnvram_read_range")) {
    Bytes expected = model_.blobs().at(blob).content;
    expected.resize(std::max<std::size_t>(expected.size(), offset + buffer.size()));
    require(std::equal(buffer.begin(), buffer.end(),
                       expected.begin() + static_cast<std::ptrdiff_t>(offset)),
            fmt::format("a range of blob {} is what was written", blob));
  }
}

} // namespace vnvram::fuzz
