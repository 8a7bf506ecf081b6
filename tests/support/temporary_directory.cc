#include "support/temporary_directory.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace vnvram::test {

TemporaryDirectory::TemporaryDirectory(const std::filesystem::path& parent) {
  std::string name = (parent / "vnvram-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("cannot make a directory like " + name);
  }
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::make_file(const std::string& name, std::uint64_t size_bytes) const {
  std::ofstream file(path(name), std::ios::binary);
  const std::vector<char> zeros(size_bytes);
  file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path(name));
  }
  return path(name);
}

} // namespace vnvram::test
