// An image that another process has open, and that comes and goes with it.
#pragma once

#include <string>
#include <utility>

#include "tpm/image_place.h"

namespace vnvram {

/// `vnvram serve --shared` has it: what opens it is that owner, when it is asked to.
class OwnerPlace final : public ImagePlace {
public:
  explicit OwnerPlace(std::string name) : name_(std::move(name)) {}

  Result<std::string> enter(Visit /*visit*/) override { return name_; }
  [[nodiscard]] Status check() const override { return {}; }
  void leave() override {}

private:
  std::string name_;
};

} // namespace vnvram
