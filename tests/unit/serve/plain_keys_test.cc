// A plain image's owner is asked about holders of keys.
#include "unit/keys/key_fixture.h"
#include "unit/serve/served_image.h"
#include "vnvram/key_offer.h"

namespace vnvram::test {
namespace {

class PlainKeysTest : public ServedImage {};

TEST_F(PlainKeysTest, APlainImageHasNoHolders) {
  serve({spec("a", 4096)});
  EXPECT_KIND(operators()->key_slots(), invalid_argument);
  EXPECT_KIND(operators()->receive_key_slot(), invalid_argument);
  EXPECT_KIND(operators()->remove_key_slot(0, true), invalid_argument);
  KeyFiles files;
  const auto receiver = KeyOfferReceiver::make();
  ASSERT_OK(receiver);
  const auto offer = offer_key_slot(new_slot(files.file("a key of 16 bytes or more")), "image",
                                    receiver->public_key());
  ASSERT_OK(offer);
  Result<StoreUse> store = keeper_.use(StoreGate::Purpose::change);
  ASSERT_OK(store);
  EXPECT_KIND((*store)->add_key_slot(*offer, *receiver), invalid_argument);
}

} // namespace
} // namespace vnvram::test
