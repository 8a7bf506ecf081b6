// The C API's calls on an open store.
#include <cstdlib>
#include <memory>

#include "capi/arguments.h"
#include "capi/blob_list.h"
#include "capi/open_options.h"
#include "capi/transaction.h"
#include "vnvram/reservation.h"
#include "vnvram/space.h"
#include "vnvram/store.h"
#include "vnvram/take_over.h"

using namespace vnvram;
using namespace vnvram::capi;

struct vnvram_store {
  std::unique_ptr<Store> store;
};

namespace {

/// Runs `call` on a store that is there.
template <typename Call>
vnvram_kind on_store(vnvram_store* store, vnvram_error** error, Call&& call) {
  return guarded(error, [&]() -> Status {
    if (store == nullptr) {
      return invalid("store is NULL");
    }
    return call(*store->store);
  });
}

/// Runs `call` on a store and a blob's name that are there.
template <typename Call>
vnvram_kind on_blob(vnvram_store* store, const char* blob, vnvram_error** error, Call&& call) {
  return on_store(store, error, [&](Store& target) -> Status {
    const auto name = take_string(blob, "a blob's name");
    if (!name) {
      return name.error();
    }
    return call(target, *name);
  });
}

vnvram_info to_info(const StoreInfo& info) {
  vnvram_info result{};
  std::memcpy(result.uuid, info.uuid.data(), sizeof result.uuid);
  result.generation = info.generation;
  result.epoch = info.epoch;
  result.image_size = info.image_size_bytes;
  result.ring_size = info.ring_size_bytes;
  result.ring_used = info.ring_used_bytes;
  result.space_size = info.space_size_bytes;
  result.space_free = info.space_free_bytes;
  result.blob_size_max = info.blob_size_max_bytes;
  result.blob_count = info.blob_count;
  result.format_version = info.format_version;
  result.owner_pid = info.owner_pid;
  result.clean = info.clean ? 1 : 0;
  result.poisoned = info.poisoned.has_value() ? 1 : 0;
  copy_string(result.owner_host, info.owner_host);
  return result;
}

/// Hands a finished commit to the program. A commit's result reaches it even when memory is out.
void call_back(vnvram_callback callback, void* opaque, const Status& status) noexcept {
  if (status) {
    callback(opaque, nullptr);
    return;
  }
  vnvram_error* error = nullptr;
  fail(&error, status.error());
  callback(opaque, error);
  vnvram_error_free(error);
}

} // namespace

vnvram_kind vnvram_open(const char* path, const vnvram_open_options* options, vnvram_store** store,
                        vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    const auto name = take_string(path, "path");
    if (!name) {
      return name.error();
    }
    if (store == nullptr) {
      return invalid("store is NULL");
    }
    auto open = take_open_options(options);
    if (!open) {
      return open.error();
    }
    auto handle = std::make_unique<vnvram_store>();
    const DeviceOptions device_options = {
        .image_key_file = string_or_empty(options == nullptr ? nullptr : options->image_key_file)};
    if (open->access == Access::read_write) {
      if (Status lengthened = lengthen_vm_image(*name, open->grow_max_bytes, device_options);
          !lengthened) {
        return lengthened;
      }
    }
    auto device = open_device(*name, open->access, device_options);
    if (!device) {
      return device.error();
    }
    if (options != nullptr && (options->flags & VNVRAM_OPEN_TAKE_OVER) != 0) {
      const bool is_dead = (options->flags & VNVRAM_OPEN_OWNER_IS_DEAD) != 0;
      if (Status taken =
              take_over(**device, is_dead ? OwnerWord::is_dead : OwnerWord::nothing, open->keys);
          !taken) {
        return taken;
      }
      open->accept_unclosed = true;
    }
    if (options != nullptr && (options->flags & VNVRAM_OPEN_RESERVE) != 0) {
      if (Status possible = reserve_when_locked(**device); !possible) {
        return possible;
      }
    }
    if (options != nullptr && (options->flags & VNVRAM_OPEN_WITHOUT_SPACE) != 0) {
      set_space_policy(**device, SpacePolicy::warn);
    }
    auto opened = Store::open(std::move(*device), std::move(*open));
    if (!opened) {
      return opened.error();
    }
    handle->store = std::move(*opened);
    *store = handle.release();
    return {};
  });
}

vnvram_kind vnvram_close(vnvram_store* store, vnvram_error** error) {
  const std::unique_ptr<vnvram_store> owned(store);
  return guarded(error, [&]() -> Status { return owned ? owned->store->close() : Status(); });
}

vnvram_kind vnvram_register(vnvram_store* store, const vnvram_blob_spec* blobs, size_t blob_count,
                            vnvram_error** error) {
  return on_store(store, error, [&](Store& target) -> Status {
    const auto specs = take_specs(blobs, blob_count);
    if (!specs) {
      return specs.error();
    }
    return target.register_blobs(*specs);
  });
}

vnvram_kind vnvram_remove(vnvram_store* store, const char* blob, vnvram_error** error) {
  return on_blob(store, blob, error,
                 [&](Store& target, const std::string& name) { return target.remove_blob(name); });
}

vnvram_kind vnvram_read(vnvram_store* store, const char* blob, void** bytes, size_t* size,
                        vnvram_error** error) {
  return on_blob(store, blob, error, [&](Store& target, const std::string& name) -> Status {
    if (bytes == nullptr || size == nullptr) {
      return invalid("bytes or size is NULL");
    }
    const auto content = target.read(name);
    if (!content) {
      return content.error();
    }
    // C programs expect what they free to come from malloc.
    void* copy = std::malloc(std::max<std::size_t>(content->size(), 1)); // NOLINT
    if (copy == nullptr) {
      throw std::bad_alloc();
    }
    std::copy(content->begin(), content->end(), static_cast<std::byte*>(copy));
    *bytes = copy;
    *size = content->size();
    return {};
  });
}

void vnvram_free(void* bytes) {
  std::free(bytes); // NOLINT: see vnvram_read.
}

vnvram_kind vnvram_read_range(vnvram_store* store, const char* blob, uint64_t offset, void* buffer,
                              size_t size, vnvram_error** error) {
  return on_blob(store, blob, error, [&](Store& target, const std::string& name) -> Status {
    if (buffer == nullptr && size > 0) {
      return invalid("buffer is NULL");
    }
    return target.read_range(name, offset, std::span(static_cast<std::byte*>(buffer), size));
  });
}

vnvram_kind vnvram_write(vnvram_store* store, const char* blob, const void* bytes, size_t size,
                         vnvram_error** error) {
  return on_blob(store, blob, error, [&](Store& target, const std::string& name) -> Status {
    const auto content = take_bytes(bytes, size);
    return content ? target.write(name, *content) : Status(content.error());
  });
}

vnvram_kind vnvram_write_range(vnvram_store* store, const char* blob, uint64_t offset,
                               const void* bytes, size_t size, vnvram_error** error) {
  return on_blob(store, blob, error, [&](Store& target, const std::string& name) -> Status {
    const auto content = take_bytes(bytes, size);
    return content ? target.write_range(name, offset, *content) : Status(content.error());
  });
}

vnvram_kind vnvram_write_range_deferred(vnvram_store* store, const char* blob, uint64_t offset,
                                        const void* bytes, size_t size, vnvram_error** error) {
  return on_blob(store, blob, error, [&](Store& target, const std::string& name) -> Status {
    const auto content = take_bytes(bytes, size);
    return content ? target.write_range_deferred(name, offset, *content) : Status(content.error());
  });
}

vnvram_kind vnvram_zero_range_deferred(vnvram_store* store, const char* blob, uint64_t offset,
                                       uint64_t size, vnvram_error** error) {
  return on_blob(store, blob, error, [&](Store& target, const std::string& name) {
    return target.zero_range_deferred(name, offset, size);
  });
}

vnvram_kind vnvram_flush(vnvram_store* store, vnvram_error** error) {
  return on_store(store, error, [](Store& target) { return target.flush(); });
}

vnvram_kind vnvram_commit(vnvram_store* store, vnvram_transaction* transaction,
                          vnvram_error** error) {
  const std::unique_ptr<vnvram_transaction> owned(transaction);
  return on_store(store, error, [&](Store& target) -> Status {
    if (owned == nullptr) {
      return invalid("transaction is NULL");
    }
    return target.commit(owned->transaction);
  });
}

vnvram_kind vnvram_commit_async(vnvram_store* store, vnvram_transaction* transaction,
                                vnvram_callback callback, void* opaque, vnvram_error** error) {
  const std::unique_ptr<vnvram_transaction> owned(transaction);
  return on_store(store, error, [&](Store& target) -> Status {
    if (owned == nullptr || callback == nullptr) {
      return invalid("transaction or callback is NULL");
    }
    target.commit_async(std::move(owned->transaction),
                        [callback, opaque](Status status) { // NOLINT: the type is given.
                          call_back(callback, opaque, status);
                        });
    return {};
  });
}

int vnvram_event_fd(vnvram_store* store) {
  return store == nullptr ? -1 : store->store->event_fd();
}

size_t vnvram_dispatch(vnvram_store* store) {
  std::size_t count = 0;
  on_store(store, nullptr, [&](Store& target) -> Status {
    count = target.dispatch();
    return {};
  });
  return count;
}

vnvram_kind vnvram_checkpoint(vnvram_store* store, vnvram_error** error) {
  return on_store(store, error, [](Store& target) { return target.checkpoint(); });
}

vnvram_kind vnvram_adopt_after_fork(vnvram_store* store, vnvram_error** error) {
  return on_store(store, error, [](Store& target) { return target.adopt_after_fork(); });
}

vnvram_kind vnvram_store_info(vnvram_store* store, vnvram_info* info, vnvram_error** error) {
  return on_store(store, error, [&](Store& target) {
    return give_struct(info, to_info(target.info()), "vnvram_info");
  });
}

vnvram_error* vnvram_poison(vnvram_store* store) {
  vnvram_error* result = nullptr;
  on_store(store, &result, [](Store& target) -> Status {
    const auto poisoned = target.info().poisoned;
    return poisoned ? Status(*poisoned) : Status();
  });
  return result;
}

vnvram_kind vnvram_blob(vnvram_store* store, const char* blob, vnvram_blob_info* info,
                        vnvram_error** error) {
  return on_blob(store, blob, error, [&](Store& target, const std::string& name) -> Status {
    const auto found = target.blob(name);
    if (!found) {
      return found.error();
    }
    return give_struct(info, to_blob_info(*found), "vnvram_blob_info");
  });
}

vnvram_kind vnvram_list(vnvram_store* store, vnvram_blob_list** list, vnvram_error** error) {
  return on_store(store, error, [&](Store& target) -> Status {
    if (list == nullptr) {
      return invalid("list is NULL");
    }
    *list = std::make_unique<vnvram_blob_list>(vnvram_blob_list{target.blobs()}).release();
    return {};
  });
}
