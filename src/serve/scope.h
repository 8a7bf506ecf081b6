// Which blobs a session reaches, and what it may do with them.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vnvram/error.h"

namespace vnvram {

/// What is granted here, is granted: what is not named is not there for who has it.
struct Grant {
  std::string name;
  bool is_prefix = false; ///< Of names; else it is one.
  bool writes = false;    ///< Reading is always part of it.
  bool registers = false; ///< New blobs of that name, and larger sizes.
};

class Scope {
  using Grants = std::vector<Grant>;

public:
  /// All blobs, and every right.
  [[nodiscard]] static Scope everything() {
    return Scope({{.name = "", .is_prefix = true, .writes = true, .registers = true}});
  }
  explicit Scope(std::vector<Grant> grants) { narrowings_.push_back(std::move(grants)); }

  /// But for blobs whose names end so.
  [[nodiscard]] Scope except(const std::vector<std::string>& endings) const {
    Scope fewer = *this;
    fewer.except_.insert(fewer.except_.end(), endings.begin(), endings.end());
    return fewer;
  }

  /// What is granted in both.
  [[nodiscard]] Scope narrowed(std::vector<Grant> grants) const {
    Scope narrower = *this;
    narrower.narrowings_.push_back(std::move(grants));
    return narrower;
  }

  [[nodiscard]] bool reads(std::string_view blob) const {
    return has(blob, [](const Grant&) { return true; });
  }
  [[nodiscard]] bool writes(std::string_view blob) const {
    return has(blob, [](const Grant& grant) { return grant.writes; });
  }
  [[nodiscard]] bool registers(std::string_view blob) const {
    return has(blob, [](const Grant& grant) { return grant.registers; });
  }

  /// What is said of a blob that it does not read.
  [[nodiscard]] static Error not_there(std::string_view blob) {
    return {ErrorKind::not_found, std::string(blob) + ": there is no such blob"};
  }

  /// Whether there may be something that it writes.
  [[nodiscard]] bool changes_anything() const {
    return std::all_of(narrowings_.begin(), narrowings_.end(), [](const Grants& grants) {
      return std::any_of(grants.begin(), grants.end(),
                         [](const Grant& grant) { return grant.writes; });
    });
  }

private:
  template <typename Right> [[nodiscard]] bool has(std::string_view blob, Right right) const {
    const bool is_excepted =
        std::any_of(except_.begin(), except_.end(),
                    [&](const std::string& ending) { return blob.ends_with(ending); });
    return !is_excepted &&
           std::all_of(narrowings_.begin(), narrowings_.end(), [&](const Grants& grants) {
             return std::any_of(grants.begin(), grants.end(), [&](const Grant& grant) {
               return (grant.is_prefix ? blob.starts_with(grant.name) : blob == grant.name) &&
                      right(grant);
             });
           });
  }

  std::vector<Grants> narrowings_; ///< Each takes from those before it.
  std::vector<std::string> except_;
};

} // namespace vnvram
