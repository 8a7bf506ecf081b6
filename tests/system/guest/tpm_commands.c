#include "tpm_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { tag_sessions = 0x8002, counter_size_bytes = 8 };

static const uint32_t owner = 0x40000001;
static const uint32_t password_session = 0x40000009;

void append(struct message* message, uint64_t value, size_t width_bytes) {
  if (message->size + width_bytes > sizeof message->bytes) {
    abort();
  }
  for (size_t i = 0; i < width_bytes; ++i) {
    message->bytes[message->size++] = (uint8_t)(value >> (8 * (width_bytes - 1 - i)));
  }
}

void append_bytes(struct message* message, const void* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    append(message, ((const uint8_t*)bytes)[i], 1);
  }
}

uint64_t number_at(const struct message* message, size_t offset, size_t width_bytes) {
  if (offset + width_bytes > message->size) {
    fprintf(stderr, "TPM: answer of %zu bytes is too short\n", message->size);
    exit(1);
  }
  uint64_t value = 0;
  for (size_t i = 0; i < width_bytes; ++i) {
    value = value << 8U | message->bytes[offset + i];
  }
  return value;
}

struct message command(unsigned tag, uint32_t code) {
  struct message message = {.size = 0};
  append(&message, tag, 2);
  append(&message, 0, 4); // The length, filled in by transact().
  append(&message, code, 4);
  return message;
}

static void append_empty_password(struct message* message) {
  append(message, 9, 4);
  append(message, password_session, 4);
  append(message, 0, 2); // nonce
  append(message, 0, 1); // attributes
  append(message, 0, 2); // password
}

uint32_t transact(int tpm, struct message* command, struct message* answer) {
  const size_t size = command->size;
  command->size = 2;
  append(command, size, 4);
  command->size = size;
  if (write(tpm, command->bytes, size) != (ssize_t)size) {
    return UINT32_MAX;
  }
  const ssize_t count = read(tpm, answer->bytes, sizeof answer->bytes);
  answer->size = count > 0 ? (size_t)count : 0;
  return answer->size < tpm_header_size_bytes ? UINT32_MAX : (uint32_t)number_at(answer, 6, 4);
}

struct message must(int tpm, struct message* command, const char* what) {
  struct message answer;
  const uint32_t code = transact(tpm, command, &answer);
  if (code != 0) {
    fprintf(stderr, "TPM: %s: response code 0x%x\n", what, code);
    exit(1);
  }
  return answer;
}

static void define(int tpm, uint32_t index, uint32_t attributes, unsigned size_bytes) {
  struct message message = command(tag_sessions, 0x12a); // TPM2_NV_DefineSpace
  append(&message, owner, 4);
  append_empty_password(&message);
  append(&message, 0, 2);  // the index's password
  append(&message, 14, 2); // size of the public area
  append(&message, index, 4);
  append(&message, 0x000b, 2); // SHA-256
  append(&message, attributes, 4);
  append(&message, 0, 2); // policy
  append(&message, size_bytes, 2);
  must(tpm, &message, "TPM2_NV_DefineSpace");
}

/// Owner and index password may write and read.
enum { readable_and_writable = 0x00060006, of_type_counter = 0x00000010 };

void define_counter(int tpm, uint32_t index) {
  define(tpm, index, readable_and_writable | of_type_counter, counter_size_bytes);
}

void define_area(int tpm, uint32_t index, unsigned size_bytes) {
  define(tpm, index, readable_and_writable, size_bytes);
}

void write_area(int tpm, uint32_t index, unsigned offset_bytes, const void* bytes,
                unsigned size_bytes) {
  struct message write = command(tag_sessions, 0x137); // TPM2_NV_Write
  append(&write, owner, 4);
  append(&write, index, 4);
  append_empty_password(&write);
  append(&write, size_bytes, 2);
  append_bytes(&write, bytes, size_bytes);
  append(&write, offset_bytes, 2);
  must(tpm, &write, "TPM2_NV_Write");
}

struct message increment_command(uint32_t index) {
  struct message increment = command(tag_sessions, 0x134); // TPM2_NV_Increment
  append(&increment, owner, 4);
  append(&increment, index, 4);
  append_empty_password(&increment);
  return increment;
}

uint32_t read_counter(int tpm, uint32_t index, uint64_t* value) {
  struct message read = command(tag_sessions, 0x14e); // TPM2_NV_Read
  append(&read, owner, 4);
  append(&read, index, 4);
  append_empty_password(&read);
  append(&read, counter_size_bytes, 2);
  append(&read, 0, 2); // offset
  struct message answer;
  const uint32_t code = transact(tpm, &read, &answer);
  if (code == 0) {
    *value = number_at(&answer, tpm_header_size_bytes + 4 + 2, counter_size_bytes);
  }
  return code;
}
