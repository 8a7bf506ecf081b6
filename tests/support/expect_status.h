// What a call must come to, with its own words in the message when it does not.
#pragma once

#include <gtest/gtest.h>

#include "vnvram/result.h"

#define ASSERT_OK(expression)                                                                      \
  do {                                                                                             \
    const auto& ok_result = (expression);                                                          \
    ASSERT_TRUE(ok_result.ok()) << ok_result.error().text();                                       \
  } while (false)
#define EXPECT_OK(expression)                                                                      \
  do {                                                                                             \
    const auto& ok_result = (expression);                                                          \
    EXPECT_TRUE(ok_result.ok()) << ok_result.error().text();                                       \
  } while (false)
#define EXPECT_KIND(expression, expected)                                                          \
  do {                                                                                             \
    const auto& kind_result = (expression);                                                        \
    ASSERT_FALSE(kind_result.ok());                                                                \
    EXPECT_EQ(kind_name(kind_result.error().kind()), kind_name(ErrorKind::expected))               \
        << kind_result.error().text();                                                             \
  } while (false)
