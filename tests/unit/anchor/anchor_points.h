// A point that tests begin with.
#pragma once

#include "vnvram/anchor.h"

namespace vnvram::test {

inline AnchorPoint example_point() {
  AnchorPoint point;
  for (std::size_t at = 0; at < point.uuid.size(); ++at) {
    point.uuid.at(at) = static_cast<std::byte>(at + 1);
  }
  point.epoch_number = 5;
  point.epoch_random = 0xe5e5e5e5e5e5e5e5;
  point.generation = 100;
  point.chain = 0xc0c0c0c0c0c0c0c0;
  point.key_id.fill(std::byte{0x4b});
  return point;
}

} // namespace vnvram::test
