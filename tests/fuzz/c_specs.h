// Blob specs in the form of the C API.
#pragma once

#include <cstddef>
#include <vector>

#include "fuzz/capi_model.h"
#include "vnvram/vnvram.h"

namespace vnvram::fuzz {

/// The library's view of some specs; it points into them.
class CSpecs {
public:
  explicit CSpecs(const std::vector<ModelSpec>& specs) {
    attribute_.struct_size = sizeof attribute_;
    attribute_.name = model_attribute;
    attribute_.must_know = 1;
    for (const ModelSpec& spec : specs) {
      vnvram_blob_spec& c = specs_.emplace_back();
      c.struct_size = sizeof c;
      c.name = spec.name.c_str();
      c.type = spec.type.c_str();
      c.size_max = spec.size_max;
      c.attributes = spec.must_know ? &attribute_ : nullptr;
      c.attribute_count = spec.must_know ? 1 : 0;
    }
  }
  CSpecs(const CSpecs&) = delete;
  CSpecs& operator=(const CSpecs&) = delete;
  [[nodiscard]] const vnvram_blob_spec* data() const { return specs_.data(); }
  [[nodiscard]] std::size_t size() const { return specs_.size(); }

private:
  vnvram_attribute attribute_{};
  std::vector<vnvram_blob_spec> specs_;
};

} // namespace vnvram::fuzz
