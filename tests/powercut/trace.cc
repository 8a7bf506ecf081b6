#include "powercut/trace.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace vnvram::test {
namespace {

constexpr std::uint64_t write_max_bytes = std::uint64_t{1} << 30U;

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot read " + path);
  }
  const std::vector<char> content((std::istreambuf_iterator<char>(file)), {});
  const auto* bytes = reinterpret_cast<const std::byte*>(content.data());
  return {bytes, bytes + content.size()};
}

} // namespace

Trace Trace::load(const std::string& folder) {
  Trace trace;
  trace.base = read_file(folder + "/base");
  const std::string path = folder + "/operations";
  const std::vector<std::byte> content = read_file(path);
  if (content.size() < trace_magic.size() ||
      std::memcmp(content.data(), trace_magic.data(), trace_magic.size()) != 0) {
    throw std::runtime_error(path + " is no trace");
  }
  std::size_t at = trace_magic.size();
  while (content.size() - at >= sizeof(TraceOperation)) {
    Step step;
    std::memcpy(&step.operation, &content[at], sizeof(step.operation));
    at += sizeof(step.operation);
    const TraceKind kind = step.operation.kind;
    if (kind < TraceKind::write || kind > TraceKind::resize) {
      throw std::runtime_error(path + " has an operation of no known kind");
    }
    if (kind == TraceKind::write || kind == TraceKind::write_durable) {
      const std::uint64_t length = step.operation.length_bytes;
      if (length > write_max_bytes || length > content.size() - at) {
        break; // The program was killed while it was recorded.
      }
      step.bytes.assign(content.begin() + static_cast<std::ptrdiff_t>(at),
                        content.begin() + static_cast<std::ptrdiff_t>(at + length));
      at += length;
    }
    trace.steps.push_back(std::move(step));
  }
  return trace;
}

} // namespace vnvram::test
