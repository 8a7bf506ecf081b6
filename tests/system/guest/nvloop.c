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

#include "tpm_commands.h"

enum { tag_tpm12 = 0x00c1, debug_port = 0xe9, tpm12_area_size_bytes = 16, pcr12_size_bytes = 20 };

// ---- TPM 2.0 ----

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
  (void)number_at(&answer, tpm_header_size_bytes + 4, tpm12_area_size_bytes);
  printf("%.*s\n", tpm12_area_size_bytes, (const char*)&answer.bytes[tpm_header_size_bytes + 4]);
}

static void list12(int tpm) {
  struct message ask = command(tag_tpm12, 0x65); // TPM_GetCapability
  append(&ask, 0x0d, 4);                         // TPM_CAP_NV_LIST
  append(&ask, 0, 4);
  const struct message answer = must(tpm, &ask, "TPM_GetCapability");
  const size_t size = number_at(&answer, tpm_header_size_bytes, 4);
  for (size_t offset = 0; offset + 4 <= size; offset += 4) {
    printf("%08x\n", (unsigned)number_at(&answer, tpm_header_size_bytes + 4 + offset, 4));
  }
}

static void print_pcr12(const struct message* answer) {
  for (size_t i = 0; i < pcr12_size_bytes; ++i) {
    printf("%02x", (unsigned)number_at(answer, tpm_header_size_bytes + i, 1));
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
