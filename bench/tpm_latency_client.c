// Times TPM2_NV_Increment through a TPM's plain-command socket: one connection, one command at a
// time. The same program measures every TPM, so that its own cost is in all of the figures.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tpm_commands.h"

enum { area_size_bytes = 2048 };

/// PATH, or fd:N: a connection that the caller has made.
static int connect_to(const char* path) {
  if (strncmp(path, "fd:", 3) == 0) {
    return (int)strtoul(path + 3, NULL, 10);
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    fprintf(stderr, "tpm-latency-client: %s: path too long\n", path);
    exit(1);
  }
  strcpy(address.sun_path, path);
  const int tpm = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (tpm < 0 || connect(tpm, (const struct sockaddr*)&address, sizeof address) != 0) {
    perror(path);
    exit(1);
  }
  return tpm;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/// Prints the nanoseconds of each increment.
static void increment(int tpm, uint32_t index, unsigned long count) {
  for (unsigned long i = 0; i < count; ++i) {
    struct message increment = increment_command(index);
    const int64_t start = now_ns();
    must(tpm, &increment, "TPM2_NV_Increment");
    printf("%lld\n", (long long)(now_ns() - start));
  }
}

/// NV areas of the largest size that libtpms has, full of bytes that do not compress.
static void fill(int tpm, uint32_t first_index, unsigned long count) {
  uint8_t bytes[area_size_bytes];
  uint32_t state = 1;
  for (unsigned long area = 0; area < count; ++area) {
    for (size_t i = 0; i < sizeof bytes; ++i) {
      state = state * 1664525U + 1013904223U;
      bytes[i] = (uint8_t)(state >> 24U);
    }
    define_area(tpm, first_index + (uint32_t)area, area_size_bytes);
    // In two halves: the largest piece that one command takes is smaller than the largest area.
    write_area(tpm, first_index + (uint32_t)area, 0, bytes, area_size_bytes / 2);
    write_area(tpm, first_index + (uint32_t)area, area_size_bytes / 2, bytes + area_size_bytes / 2,
               area_size_bytes / 2);
  }
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: tpm-latency-client SOCKET define INDEX\n"
                    "       tpm-latency-client SOCKET increment|fill INDEX COUNT\n");
    return 2;
  }
  const int tpm = connect_to(argv[1]);
  const uint32_t index = (uint32_t)strtoul(argv[3], NULL, 0);
  const unsigned long count = argc > 4 ? strtoul(argv[4], NULL, 0) : 1;
  if (strcmp(argv[2], "define") == 0) {
    define_counter(tpm, index);
    increment(tpm, index, 1); // The first one makes the index readable.
  } else if (strcmp(argv[2], "increment") == 0) {
    increment(tpm, index, count);
  } else {
    fill(tpm, index, count);
  }
  close(tpm);
  return 0;
}
