#include "crash/explored_run.h"

#include <fmt/core.h>

namespace vnvram::test {

BlobSpec spec_of(const std::string& name, std::uint64_t size_max_bytes) {
  return {.name = name,
          .type = "test." + name,
          .size_max_bytes = size_max_bytes,
          .producer = "crash test",
          .attributes = {{.name = "why", .value = "may be ignored", .must_know = false}}};
}

bool ExploredRun::fail(const std::string& what) {
  if (report_.failure.empty()) {
    report_.failure = fmt::format("{}\nwithout any cut; the run was {}", what, id_.text());
  }
  return false;
}

bool ExploredRun::succeeded(const char* what, const Status& status) {
  return status.ok() ? report_.failure.empty()
                     : fail(fmt::format("{}: {}", what, status.error().text()));
}

bool ExploredRun::create() {
  disk_ = std::make_shared<SimulatedDisk>(std::vector<std::byte>(options_.image_size_bytes));
  explorer_ = std::make_unique<CrashExplorer>(disk_, id_, options_.budget, report_);
  SimulatedDevice device(disk_);
  CreateOptions create;
  create.ring_size_bytes = options_.ring_size_bytes;
  if (options_.encrypted) {
    create.data_key = data_key();
  }
  create.blobs = {{.spec = spec_of("a", 600), .content = random_.bytes(500)},
                  {.spec = spec_of("b", options_.blob_size_bytes_cap / 2),
                   .content = random_.bytes(options_.blob_size_bytes_cap / 2)}};
  if (!succeeded("create", create_image(device, create))) {
    return false;
  }
  StoreState state;
  Transaction contents;
  for (const NewBlob& blob : create.blobs) {
    state.register_blob(blob.spec);
    contents.write(blob.spec.name, *blob.content);
  }
  state.apply(contents);
  explorer_->acknowledge(state, 0);
  explorer_->examine_now();
  return true;
}

} // namespace vnvram::test
