#include "host.h"

enum {
  DEBUG_PORT = 0xe9,
  FW_CFG_SELECTOR = 0x510,
  FW_CFG_DATA = 0x511,
  FW_CFG_DIRECTORY = 0x19,
  FW_CFG_NAME = 56,
};

static void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static void out16(uint16_t port, uint16_t value) {
  __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

void say(const char* text) {
  for (; *text; ++text) {
    out8(DEBUG_PORT, (uint8_t)*text);
  }
}

void say_number(uint64_t number) {
  char digits[21];
  char* first = digits + sizeof digits - 1;
  *first = 0;
  do {
    *--first = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  say(first);
}

static uint64_t big_endian(unsigned bytes) {
  uint64_t value = 0;
  while (bytes--) {
    value = value << 8 | in8(FW_CFG_DATA);
  }
  return value;
}

/* Both have an end within their 56 bytes. */
static int same(const char* one, const char* other) {
  while (*one && *one == *other) {
    ++one;
    ++other;
  }
  return *one == *other;
}

size_t read_file(const char* name, void* buffer, size_t room) {
  out16(FW_CFG_SELECTOR, FW_CFG_DIRECTORY);
  for (uint64_t left = big_endian(4); left; --left) {
    const uint64_t size = big_endian(4);
    const uint16_t selector = (uint16_t)big_endian(2);
    big_endian(2);
    char found[FW_CFG_NAME];
    for (unsigned i = 0; i < FW_CFG_NAME; ++i) {
      found[i] = (char)in8(FW_CFG_DATA);
    }
    if (same(found, name)) {
      out16(FW_CFG_SELECTOR, selector);
      const size_t length = size < room ? (size_t)size : room;
      for (size_t i = 0; i < length; ++i) {
        ((uint8_t*)buffer)[i] = in8(FW_CFG_DATA);
      }
      return length;
    }
  }
  return 0;
}
