// An image that is at the place that was named, whenever it is needed.
#pragma once

#include <string>
#include <utility>

#include "tpm/image_place.h"

namespace vnvram {

/// Whatever open_device() opens. It is for `vnvram create` to make one.
class LocationPlace final : public ImagePlace {
public:
  explicit LocationPlace(std::string location) : location_(std::move(location)) {}

  Result<std::string> enter(Visit /*visit*/) override { return location_; }
  [[nodiscard]] Status check() const override { return {}; }
  void leave() override {}

private:
  std::string location_;
};

} // namespace vnvram
