// An image that another one takes the place of, in a folder of somebody else's.
#include "backup/image_copy.h"

#include <memory>
#include <utility>

#include "support/expect_status.h"
#include "unit/provision/exchanged_folder.h"
#include "vnvram/open_device.h"
#include "vnvram/public_metadata.h"

namespace vnvram::test {
namespace {

Result<std::unique_ptr<Store>> open(const std::string& path) {
  Result<std::unique_ptr<BlockDevice>> device = open_device(path, Access::read_write);
  return device ? Store::open(*std::move(device)) : device.error();
}

TEST(ImageCopyTest, TakesTheImagesPlaceAndNoOther) {
  const ExchangedFolder folder;
  const std::string path = folder.path() + "/vm.nvram";
  CreateOptions options;
  options.metadata = {{"label", "mine"}};
  options.blobs.push_back({.spec = {.name = "blob", .type = "raw", .size_max_bytes = 100},
                           .content = std::vector<std::byte>(7, std::byte{1})});
  ASSERT_OK(create_image_file(path, 0, options));
  Result<std::unique_ptr<Store>> source = open(path);
  ASSERT_OK(source);
  const auto uuid = (*source)->info().uuid;
  bool is_done = false;
  const Status copied =
      copy_image(**source, path, {.path = path, .progress = [&](auto /*done*/, auto /*all*/) {
                                    if (!std::exchange(is_done, true)) {
                                      folder.exchange_those_in_it();
                                      folder.exchange();
                                    }
                                  }});
  EXPECT_OK(copied);
  EXPECT_TRUE(is_done);
  folder.expect_victim_as_it_was();
  source->reset();
  const Result<std::unique_ptr<Store>> copy = open(folder.moved() + "/vm.nvram");
  ASSERT_OK(copy);
  EXPECT_NE((*copy)->info().uuid, uuid);
  EXPECT_EQ((*copy)->read("blob").value().size(), 7U);
  EXPECT_EQ(read_public_metadata((*copy)->device()).value(), options.metadata);
}

} // namespace
} // namespace vnvram::test
