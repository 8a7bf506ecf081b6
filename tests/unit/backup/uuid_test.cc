// Whose an export is, as text.
#include "base/uuid.h"

#include <gtest/gtest.h>

namespace vnvram {
namespace {

TEST(UuidText, ComesBack) {
  const std::string text = "01234567-89ab-cdef-0123-456789abcdef";
  const auto uuid = parse_uuid(text);
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid_text(*uuid), text);
  EXPECT_EQ(parse_uuid("01234567-89AB-CDEF-0123-456789ABCDEF"), uuid);
}

TEST(UuidText, HasOneForm) {
  for (const char* text :
       {"", "01234567", "0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcde",
        "01234567-89ab-cdef-0123-456789abcdef0", "01234567-89ab-cdef-0123-456789abcdeg",
        "012345678-9ab-cdef-0123-456789abcdef", "------------------------------------"}) {
    EXPECT_FALSE(parse_uuid(text)) << text;
  }
}

} // namespace
} // namespace vnvram
