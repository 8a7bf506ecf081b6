#include "bench/rbd_floor.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "bench/bench_image.h"
#include "vnvram/block_device.h"

namespace vnvram::bench {
namespace {

void require_done(const char* what, std::int64_t result) {
  if (result < 0) {
    throw std::runtime_error(std::string(what) + ": error " + std::to_string(-result));
  }
}

// Of librbd, which is loaded already. What the library has no use for itself.
template <typename Function> Function find_function(const char* name) {
  void* library = ::dlopen("librbd.so.1", RTLD_NOW | RTLD_NOLOAD);
  void* found = library == nullptr ? nullptr : ::dlsym(library, name);
  if (found == nullptr) {
    throw std::runtime_error(std::string("librbd has no ") + name);
  }
  return reinterpret_cast<Function>(found);
}

} // namespace

RbdFloor::RbdFloor(const std::string& conf, const std::string& pool, Cache cache)
    : library_(*require(RbdLibrary::load())),
      write_(find_function<decltype(&::rbd_write)>("rbd_write")),
      flush_(find_function<decltype(&::rbd_flush)>("rbd_flush")), buffer_(block_size_bytes, 'Z') {
  require_done("rados_create", library_.rados_create(&cluster_, nullptr));
  require_done("rados_conf_read_file", library_.rados_conf_read_file(cluster_, conf.c_str()));
  require_done("rados_conf_set", library_.rados_conf_set(cluster_, "rbd_cache",
                                                         cache == Cache::on ? "true" : "false"));
  require_done("rados_connect", library_.rados_connect(cluster_));
  require_done("rados_ioctx_create", library_.rados_ioctx_create(cluster_, pool.c_str(), &pool_));
}

RbdFloor::~RbdFloor() {
  if (image_ != nullptr) {
    library_.rbd_close(image_);
  }
  if (pool_ != nullptr) {
    library_.rados_ioctx_destroy(pool_);
  }
  library_.rados_shutdown(cluster_);
}

void RbdFloor::open(const std::string& image, std::uint64_t size_bytes) {
  require_done("rbd_open", library_.rbd_open(pool_, image.c_str(), &image_, nullptr));
  size_bytes_ = size_bytes;
}

void RbdFloor::close() {
  require_done("rbd_close", library_.rbd_close(image_));
  image_ = nullptr;
}

void RbdFloor::write() {
  ++count_;
  std::memcpy(buffer_.data(), &count_, sizeof count_);
  const std::uint64_t offset_bytes = count_ * block_size_bytes % size_bytes_;
  require_done("rbd_write", write_(image_, offset_bytes, block_size_bytes, buffer_.data()));
  require_done("rbd_flush", flush_(image_));
}

void RbdFloor::read(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  buffer_.resize(std::max<std::uint64_t>(buffer_.size(), length_bytes));
  require_done("rbd_read", library_.rbd_read(image_, offset_bytes, length_bytes, buffer_.data()));
}

} // namespace vnvram::bench
