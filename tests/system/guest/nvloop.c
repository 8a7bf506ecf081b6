// Raw TPM commands from inside the guest: /dev/tpm0, one command at a time, nothing in between.
//
// `loop` is what the crash tests watch. For every increment that the TPM has acknowledged, and
// before the next one is sent, the counter's value leaves the guest as "<N:N>" through QEMU's
// debug port (isa-debugcon): each byte is with the host when the `out` instruction ends, so the
// record that the test holds is exact, whatever is killed next. The number is there twice because a
// snapshot can be restored in the middle of a record: halves that do not belong together differ.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

enum {
  tag_no_sessions = 0x8001,
  tag_sessions = 0x8002,
  tag_tpm12 = 0x00c1,
  header_size_bytes = 10,
  debug_port = 0xe9,
  counter_size_bytes = 8,
  tpm12_area_size_bytes = 16,
  pcr12_size_bytes = 20
};

static const uint32_t owner = 0x40000001;
static const uint32_t password_session = 0x40000009;

struct message {
  uint8_t bytes[4096];
  size_t size;
};

static void append(struct message* message, uint64_t value, size_t width_bytes) {
  if (message->size + width_bytes > sizeof message->bytes) {
    abort();
  }
  for (size_t i = 0; i < width_bytes; ++i) {
    message->bytes[message->size++] = (uint8_t)(value >> (8 * (width_bytes - 1 - i)));
  }
}

static void append_bytes(struct message* message, const void* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    append(message, ((const uint8_t*)bytes)[i], 1);
  }
}

static uint64_t number_at(const struct message* message, size_t offset, size_t width_bytes) {
  if (offset + width_bytes > message->size) {
    fprintf(stderr, "nvloop: answer of %zu bytes is too short\n", message->size);
    exit(1);
  }
  uint64_t value = 0;
  for (size_t i = 0; i < width_bytes; ++i) {
    value = value << 8U | message->bytes[offset + i];
  }
  return value;
}

static struct message command(unsigned tag, uint32_t code) {
  struct message message = {.size = 0};
  append(&message, tag, 2);
  append(&message, 0, 4); // The length, filled in by transact().
  append(&message, code, 4);
  return message;
}

/// The empty password, which a fresh TPM's owner and our indices have.
static void append_empty_password(struct message* message) {
  append(message, 9, 4);
  append(message, password_session, 4);
  append(message, 0, 2); // nonce
  append(message, 0, 1); // attributes
  append(message, 0, 2); // password
}

/// Sends a command and returns the TPM's response code; ~0 when there was no answer.
static uint32_t transact(int tpm, struct message* command, struct message* answer) {
  const size_t size = command->size;
  command->size = 2;
  append(command, size, 4);
  command->size = size;
  if (write(tpm, command->bytes, size) != (ssize_t)size) {
    return UINT32_MAX;
  }
  const ssize_t count = read(tpm, answer->bytes, sizeof answer->bytes);
  answer->size = count > 0 ? (size_t)count : 0;
  return answer->size < header_size_bytes ? UINT32_MAX : (uint32_t)number_at(answer, 6, 4);
}

static struct message must(int tpm, struct message* command, const char* what) {
  struct message answer;
  const uint32_t code = transact(tpm, command, &answer);
  if (code != 0) {
    fprintf(stderr, "nvloop: %s: response code 0x%x\n", what, code);
    exit(1);
  }
  return answer;
}

// ---- TPM 2.0 ----

static void define_counter(int tpm, uint32_t index) {
  struct message define = command(tag_sessions, 0x12a); // TPM2_NV_DefineSpace
  append(&define, owner, 4);
  append_empty_password(&define);
  append(&define, 0, 2);  // the index's password
  append(&define, 14, 2); // size of the public area
  append(&define, index, 4);
  append(&define, 0x000b, 2);     // SHA-256
  append(&define, 0x00060016, 4); // counter; owner and index password may write and read
  append(&define, 0, 2);          // policy
  append(&define, counter_size_bytes, 2);
  must(tpm, &define, "TPM2_NV_DefineSpace");
}

static struct message increment_command(uint32_t index) {
  struct message increment = command(tag_sessions, 0x134); // TPM2_NV_Increment
  append(&increment, owner, 4);
  append(&increment, index, 4);
  append_empty_password(&increment);
  return increment;
}

static uint32_t read_counter(int tpm, uint32_t index, uint64_t* value) {
  struct message read = command(tag_sessions, 0x14e); // TPM2_NV_Read
  append(&read, owner, 4);
  append(&read, index, 4);
  append_empty_password(&read);
  append(&read, counter_size_bytes, 2);
  append(&read, 0, 2); // offset
  struct message answer;
  const uint32_t code = transact(tpm, &read, &answer);
  if (code == 0) {
    *value = number_at(&answer, header_size_bytes + 4 + 2, counter_size_bytes);
  }
  return code;
}

static void record(const char* text) {
  for (; *text != '\0'; ++text) {
    outb((unsigned char)*text, debug_port);
  }
}

static void record_value(uint64_t value) {
  char text[64];
  snprintf(text, sizeof text, "<%llu:%llu>\n", (unsigned long long)value,
           (unsigned long long)value);
  record(text);
}

static int fail_loop(const char* what, uint64_t a, uint64_t b) {
  char text[128];
  snprintf(text, sizeof text, "!%s %llx %llx\n", what, (unsigned long long)a,
           (unsigned long long)b);
  record(text);
  return 3;
}

/// Increments for ever. Ends when the TPM refuses, or when the counter is not what it must be.
static int loop(int tpm, uint32_t index) {
  if (ioperm(debug_port, 1, 1) != 0) {
    perror("nvloop: debug port");
    return 1;
  }
  uint64_t last = 0;
  for (;;) {
    struct message increment = increment_command(index);
    struct message answer;
    const uint32_t code = transact(tpm, &increment, &answer);
    if (code != 0) {
      return fail_loop("increment-refused", code, last);
    }
    uint64_t value = 0;
    const uint32_t read_code = read_counter(tpm, index, &value);
    if (read_code != 0) {
      return fail_loop("read-refused", read_code, last);
    }
    if (last != 0 && value != last + 1) {
      return fail_loop("jump", last, value);
    }
    last = value;
    record_value(value);
  }
}

static void print_counter(int tpm, uint32_t index) {
  uint64_t value = 0;
  const uint32_t code = read_counter(tpm, index, &value);
  if (code != 0) {
    fprintf(stderr, "nvloop: TPM2_NV_Read: response code 0x%x\n", code);
    exit(1);
  }
  printf("%llu\n", (unsigned long long)value);
}

// ---- TPM 1.2 ----

static void append_pcr_info12(struct message* message) {
  append(message, 3, 2); // bytes of the PCR selection
  append(message, 0, 3); // no PCR
  append(message, 0x1f, 1);
  for (int i = 0; i < pcr12_size_bytes; ++i) {
    append(message, 0, 1);
  }
}

/// 16 bytes, writable with physical presence, which nobody asks for while nvLocked is off.
static void define12(int tpm, uint32_t index) {
  struct message define = command(tag_tpm12, 0xcc); // TPM_NV_DefineSpace
  append(&define, 0x0018, 2);                       // TPM_TAG_NV_DATA_PUBLIC
  append(&define, index, 4);
  append_pcr_info12(&define);
  append_pcr_info12(&define);
  append(&define, 0x0017, 2); // TPM_TAG_NV_ATTRIBUTES
  append(&define, 0x00000001, 4);
  append(&define, 0, 3); // bReadSTClear, bWriteSTClear, bWriteDefine
  append(&define, tpm12_area_size_bytes, 4);
  for (int i = 0; i < pcr12_size_bytes; ++i) {
    append(&define, 0, 1); // encAuth
  }
  must(tpm, &define, "TPM_NV_DefineSpace");
}

static void write12(int tpm, uint32_t index, const char* text) {
  uint8_t area[tpm12_area_size_bytes] = {0};
  const size_t length = strlen(text);
  memcpy(area, text, length < sizeof area ? length : sizeof area);
  struct message write = command(tag_tpm12, 0xcd); // TPM_NV_WriteValue
  append(&write, index, 4);
  append(&write, 0, 4);
  append(&write, sizeof area, 4);
  append_bytes(&write, area, sizeof area);
  must(tpm, &write, "TPM_NV_WriteValue");
}

static void read12(int tpm, uint32_t index) {
  struct message read = command(tag_tpm12, 0xcf); // TPM_NV_ReadValue
  append(&read, index, 4);
  append(&read, 0, 4);
  append(&read, tpm12_area_size_bytes, 4);
  const struct message answer = must(tpm, &read, "TPM_NV_ReadValue");
  (void)number_at(&answer, header_size_bytes + 4, tpm12_area_size_bytes);
  printf("%.*s\n", tpm12_area_size_bytes, (const char*)&answer.bytes[header_size_bytes + 4]);
}

static void list12(int tpm) {
  struct message ask = command(tag_tpm12, 0x65); // TPM_GetCapability
  append(&ask, 0x0d, 4);                         // TPM_CAP_NV_LIST
  append(&ask, 0, 4);
  const struct message answer = must(tpm, &ask, "TPM_GetCapability");
  const size_t size = number_at(&answer, header_size_bytes, 4);
  for (size_t offset = 0; offset + 4 <= size; offset += 4) {
    printf("%08x\n", (unsigned)number_at(&answer, header_size_bytes + 4 + offset, 4));
  }
}

static void print_pcr12(const struct message* answer) {
  for (size_t i = 0; i < pcr12_size_bytes; ++i) {
    printf("%02x", (unsigned)number_at(answer, header_size_bytes + i, 1));
  }
  printf("\n");
}

static void extend12(int tpm, uint32_t pcr) {
  struct message extend = command(tag_tpm12, 0x14); // TPM_Extend
  append(&extend, pcr, 4);
  for (int i = 0; i < pcr12_size_bytes; ++i) {
    append(&extend, 0x5a, 1);
  }
  const struct message answer = must(tpm, &extend, "TPM_Extend");
  print_pcr12(&answer);
}

static void pcr12(int tpm, uint32_t pcr) {
  struct message read = command(tag_tpm12, 0x15); // TPM_PcrRead
  append(&read, pcr, 4);
  const struct message answer = must(tpm, &read, "TPM_PcrRead");
  print_pcr12(&answer);
}

static int run(int tpm, const char* verb, uint32_t number, const char* text) {
  if (strcmp(verb, "define") == 0) {
    define_counter(tpm, number);
  } else if (strcmp(verb, "increment") == 0) {
    struct message increment = increment_command(number);
    must(tpm, &increment, "TPM2_NV_Increment");
    print_counter(tpm, number);
  } else if (strcmp(verb, "read") == 0) {
    print_counter(tpm, number);
  } else if (strcmp(verb, "loop") == 0) {
    return loop(tpm, number);
  } else if (strcmp(verb, "define12") == 0) {
    define12(tpm, number);
  } else if (strcmp(verb, "write12") == 0) {
    write12(tpm, number, text);
  } else if (strcmp(verb, "read12") == 0) {
    read12(tpm, number);
  } else if (strcmp(verb, "list12") == 0) {
    list12(tpm);
  } else if (strcmp(verb, "extend12") == 0) {
    extend12(tpm, number);
  } else if (strcmp(verb, "pcr12") == 0) {
    pcr12(tpm, number);
  } else {
    fprintf(stderr, "nvloop: unknown verb %s\n", verb);
    return 2;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: nvloop define|increment|read|loop INDEX\n"
                    "       nvloop define12|read12 INDEX, write12 INDEX TEXT, list12\n"
                    "       nvloop extend12|pcr12 PCR\n");
    return 2;
  }
  const int tpm = open("/dev/tpm0", O_RDWR | O_CLOEXEC);
  if (tpm < 0) {
    fprintf(stderr, "nvloop: /dev/tpm0: %s\n", strerror(errno));
    return 1;
  }
  const uint32_t number = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0;
  const int status = run(tpm, argv[1], number, argc > 3 ? argv[3] : "");
  close(tpm);
  return status;
}
