/* A UEFI application that does what the lines of the fw_cfg file opt/vnvram/commands say, and
 * reports on QEMU's debug port:
 *
 *   read NAME        VALUE of a variable that `write` or `count` has written: "NAME=VALUE", "NAME
 * absent" write NAME VALUE sets it count NAME       increments it for ever; "<VALUE:VALUE>" after
 * each success byte NAME        one of the firmware's variables of one byte, as "NAME=VALUE" enrol
 * NAME       sets an authenticated variable (PK, KEK, db) to the fw_cfg file opt/vnvram/NAME list
 * all variables that survive a reset: "variables: COUNT DIGEST" off, reset       by the firmware's
 * runtime service
 *
 * It says "started" first and "done" behind the last line. What fails is said in a line that begins
 * with an exclamation mark, and ends the run: the stored value is not what it should be, or a
 * service has failed.
 */
#include "host.h"
#include "uefi.h"

enum { LONGEST_LINE = 128, LONGEST_NAME = 512, LARGEST_VALUE = 8192, LARGEST_FILE = 16384 };

static const struct efi_guid OWN = {
    0x6e767261, 0x6d21, 0x4c55, {0x9a, 0x01, 0x76, 0x4e, 0x56, 0x52, 0x41, 0x4d}};
static const struct efi_guid GLOBAL = EFI_GLOBAL_VARIABLE;
static const struct efi_guid SECURITY_DATABASE = EFI_IMAGE_SECURITY_DATABASE;
static const uint32_t KEPT =
    EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS;

static struct efi_runtime_services* runtime;
static uint8_t value_buffer[LARGEST_VALUE];
static uint8_t file_buffer[LARGEST_FILE];

/* The compiler calls them. */
void* memset(void* target, int byte, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    ((volatile uint8_t*)target)[i] = (uint8_t)byte;
  }
  return target;
}

void* memcpy(void* target, const void* source, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    ((volatile uint8_t*)target)[i] = ((const uint8_t*)source)[i];
  }
  return target;
}

static int same(const char* one, const char* other) {
  while (*one && *one == *other) {
    ++one;
    ++other;
  }
  return *one == *other;
}

/* Reports a failure; returns 0, for the caller to return. */
static int failed(const char* what, const char* name, uint64_t detail) {
  say("!");
  say(what);
  say(" ");
  say(name);
  say(" ");
  say_number(detail & ~(1ULL << 63));
  say("\n");
  return 0;
}

static void say_value(const char* name, uint64_t value) {
  say(name);
  say("=");
  say_number(value);
  say("\n");
}

static void widen(const char* name, uint16_t wide[LONGEST_LINE]) {
  unsigned length = 0;
  for (; name[length] && length < LONGEST_LINE - 1; ++length) {
    wide[length] = (uint8_t)name[length];
  }
  wide[length] = 0;
}

/* Each number is stored in a way of its own, so that a mixture of two, or half of one, is seen: it
 * is followed by bytes that depend on it, and so does their length. */
static uint64_t size_of(uint64_t number) {
  return sizeof number + number * 977 % 1000;
}

static uint8_t filler(uint64_t number, uint64_t position) {
  return (uint8_t)(number * 31 + position * 7);
}

static void encode(uint64_t number) {
  memcpy(value_buffer, &number, sizeof number);
  for (uint64_t i = sizeof number; i < size_of(number); ++i) {
    value_buffer[i] = filler(number, i);
  }
}

static int decode(uint64_t size, uint64_t* number) {
  if (size < sizeof *number) {
    return 0;
  }
  memcpy(number, value_buffer, sizeof *number);
  for (uint64_t i = sizeof *number; i < size; ++i) {
    if (value_buffer[i] != filler(*number, i)) {
      return 0;
    }
  }
  return size == size_of(*number);
}

enum finding { DAMAGED, ABSENT, FOUND };

static enum finding load(const char* name, uint64_t* number) {
  uint16_t wide[LONGEST_LINE];
  widen(name, wide);
  uint64_t size = sizeof value_buffer;
  const efi_status status = runtime->get_variable(wide, &OWN, NULL, &size, value_buffer);
  if (status == EFI_NOT_FOUND) {
    return ABSENT;
  }
  if (status != EFI_SUCCESS || !decode(size, number)) {
    failed("damaged", name, status);
    return DAMAGED;
  }
  return FOUND;
}

static int store(const char* name, uint64_t number) {
  uint16_t wide[LONGEST_LINE];
  widen(name, wide);
  encode(number);
  const efi_status status = runtime->set_variable(wide, &OWN, KEPT, size_of(number), value_buffer);
  return status == EFI_SUCCESS || failed("refused", name, status);
}

static int read(const char* name) {
  uint64_t number;
  const enum finding found = load(name, &number);
  if (found == FOUND) {
    say_value(name, number);
  } else if (found == ABSENT) {
    say(name);
    say(" absent\n");
  }
  return found != DAMAGED;
}

static int write(const char* name, uint64_t number) {
  if (!store(name, number)) {
    return 0;
  }
  say_value(name, number);
  return 1;
}

static int count(const char* name) {
  uint64_t number = 0;
  if (load(name, &number) == DAMAGED) {
    return 0;
  }
  for (;;) {
    const uint64_t wanted = number + 1;
    if (!store(name, wanted) || load(name, &number) != FOUND) {
      return 0;
    }
    if (number != wanted) {
      return failed("mismatch", name, number);
    }
    say("<");
    say_number(number);
    say(":");
    say_number(number);
    say(">\n");
  }
}

static int byte(const char* name) {
  uint16_t wide[LONGEST_LINE];
  widen(name, wide);
  uint8_t value;
  uint64_t size = sizeof value;
  const efi_status status = runtime->get_variable(wide, &GLOBAL, NULL, &size, &value);
  if (status != EFI_SUCCESS) {
    return failed("unreadable", name, status);
  }
  say_value(name, value);
  return 1;
}

static int enrol(const char* name) {
  char path[LONGEST_LINE] = "opt/vnvram/";
  unsigned end = 11;
  for (const char* from = name; *from && end < sizeof path - 1; ++from) {
    path[end++] = *from;
  }
  const size_t size = read_file(path, file_buffer, sizeof file_buffer);
  uint16_t wide[LONGEST_LINE];
  widen(name, wide);
  const struct efi_guid* vendor = same(name, "db") ? &SECURITY_DATABASE : &GLOBAL;
  const efi_status status = runtime->set_variable(
      wide, vendor, KEPT | EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS, size, file_buffer);
  if (status != EFI_SUCCESS) {
    return failed("refused", name, status);
  }
  say("enrolled ");
  say(name);
  say("\n");
  return 1;
}

/* FNV-1a. */
static uint64_t digest(uint64_t so_far, const void* data, uint64_t size) {
  for (uint64_t i = 0; i < size; ++i) {
    so_far = (so_far ^ ((const uint8_t*)data)[i]) * 0x100000001b3ULL;
  }
  return so_far;
}

/* The sum of the digests: the firmware may return the variables in any order. */
static int list(void) {
  static uint16_t name[LONGEST_NAME];
  struct efi_guid vendor;
  uint64_t variables = 0, digests = 0;
  name[0] = 0;
  for (;;) {
    uint64_t name_size = sizeof name;
    efi_status status = runtime->get_next_variable_name(&name_size, name, &vendor);
    if (status == EFI_NOT_FOUND) {
      break;
    }
    uint32_t attributes = 0;
    uint64_t size = sizeof value_buffer;
    if (status == EFI_SUCCESS) {
      status = runtime->get_variable(name, &vendor, &attributes, &size, value_buffer);
    }
    if (status != EFI_SUCCESS) {
      return failed("unreadable", "variable", status);
    }
    if (attributes & EFI_VARIABLE_NON_VOLATILE) {
      ++variables;
      digests += digest(digest(0xcbf29ce484222325ULL, name, name_size), value_buffer, size);
    }
  }
  say("variables: ");
  say_number(variables);
  say(" ");
  say_number(digests);
  say("\n");
  return 1;
}

static uint64_t number_in(const char* digits) {
  uint64_t number = 0;
  for (; *digits >= '0' && *digits <= '9'; ++digits) {
    number = number * 10 + (uint64_t)(*digits - '0');
  }
  return number;
}

static int obey(const char* verb, const char* name, const char* argument) {
  if (same(verb, "read")) {
    return read(name);
  }
  if (same(verb, "write")) {
    return write(name, number_in(argument));
  }
  if (same(verb, "count")) {
    return count(name);
  }
  if (same(verb, "byte")) {
    return byte(name);
  }
  if (same(verb, "enrol")) {
    return enrol(name);
  }
  if (same(verb, "list")) {
    return list();
  }
  if (same(verb, "off") || same(verb, "reset")) {
    runtime->reset_system(same(verb, "off") ? EFI_RESET_SHUTDOWN : EFI_RESET_COLD, 0, 0, NULL);
  }
  return failed("unknown", verb, 0);
}

/* Ends a word in place and returns what is behind it. */
static char* behind_word(char* text) {
  while (*text && *text != ' ') {
    ++text;
  }
  if (*text) {
    *text++ = 0;
  }
  return text;
}

static int run(char* commands) {
  while (*commands) {
    char* line = commands;
    while (*commands && *commands != '\n') {
      ++commands;
    }
    if (*commands) {
      *commands++ = 0;
    }
    char* name = behind_word(line);
    char* argument = behind_word(name);
    if (!obey(line, name, argument)) {
      return 0;
    }
  }
  return 1;
}

efi_status efi_main(void* image, struct efi_system_table* system) {
  (void)image;
  runtime = system->runtime;
  static char commands[2048];
  say("started\n");
  commands[read_file("opt/vnvram/commands", commands, sizeof commands - 1)] = 0;
  if (run(commands)) {
    say("done\n");
  }
  for (;;) {
    __asm__ volatile("hlt");
  }
}
