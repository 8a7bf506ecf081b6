// OwnerClient: the image is moved to another place.
#include <utility>

#include "rpc/owner_client.h"
#include "rpc/owner_link.h"
#include "rpc/wire.h"

namespace vnvram {

Result<std::vector<OwnerClient::WrittenRange>> OwnerClient::take_written(std::uint64_t& mirror) {
  using Ranges = std::vector<WrittenRange>;
  return link_->ask<Ranges>([&mirror](rpc::Owner::Client& owner) {
    auto request = owner.writtenRequest();
    request.setMirror(mirror);
    return request.send().then([&mirror](auto&& answer) -> Result<Ranges> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      mirror = answer.getMirror();
      Ranges ranges;
      for (const auto range : answer.getRanges()) {
        ranges.push_back(
            {.offset_bytes = range.getOffsetBytes(), .length_bytes = range.getLengthBytes()});
      }
      return ranges;
    });
  });
}

Result<OwnerClient::SealedImage> OwnerClient::sealed_superblocks(const HandOverNumber& number) {
  return link_->ask<SealedImage>([&number](rpc::Owner::Client& owner) {
    auto request = owner.sealedSuperblocksRequest();
    request.setHandOver(to_data(number.bytes));
    return request.send().then([](auto&& answer) -> Result<SealedImage> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      SealedImage image{.superblocks = {}, .location = to_string(answer.getLocation())};
      for (const auto block : answer.getBlocks()) {
        const auto bytes = to_span(block);
        image.superblocks.emplace_back(bytes.begin(), bytes.end());
      }
      return image;
    });
  });
}

Status OwnerClient::leave(std::uint64_t hold, const HandOverNumber& number,
                          const std::string& location) {
  return link_->ask<void>([&](rpc::Owner::Client& owner) {
    auto request = owner.leaveRequest();
    request.setHold(hold);
    request.setHandOver(to_data(number.bytes));
    request.setLocation(location);
    return request.send().then([](auto&& answer) { return take_status(answer); });
  });
}

} // namespace vnvram
