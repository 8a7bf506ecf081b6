#include "cli/grow_option.h"

#include "base/size_text.h"

namespace vnvram::cli {

GrowOption::GrowOption(CLI::App& app) {
  app.add_option("--grow", max_,
                 "where blobs find no room, the image grows by itself, to this size at most (K, M, "
                 "G: 1024-fold); it does not unless given")
      ->type_name("MAX");
}

Result<std::uint64_t> GrowOption::max_bytes() const {
  return max_.empty() ? Result<std::uint64_t>(0) : parse_size(max_);
}

std::vector<std::string> GrowOption::arguments() const {
  return max_.empty() ? std::vector<std::string>{} : std::vector<std::string>{"--grow", max_};
}

} // namespace vnvram::cli
