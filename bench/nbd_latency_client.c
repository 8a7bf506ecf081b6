/* The client half of nbd_exports.py: one request after the other to an NBD export, by libnbd, and
 * the nanoseconds that each took. */
#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { block_size_bytes = 4096, count_max = 1000000 };

static void fail(const char* what) {
  fprintf(stderr, "nbd-latency-client: %s: %s\n", what, nbd_get_error());
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

/* Every byte of every block is another one than before. */
static void fill(unsigned char* block, uint64_t* state) {
  for (size_t at = 0; at < block_size_bytes; at += sizeof *state) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    memcpy(block + at, state, sizeof *state);
  }
}

int main(int argc, char** argv) {
  const int is_read = argc == 4 && strcmp(argv[2], "read") == 0;
  const int is_write = argc == 4 && strcmp(argv[2], "write-fua") == 0;
  const unsigned long count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
  if ((!is_read && !is_write) || count == 0 || count > count_max) {
    fprintf(stderr, "usage: nbd-latency-client URI read|write-fua COUNT\n");
    return 2;
  }
  struct nbd_handle* nbd = nbd_create();
  if (nbd == NULL || nbd_connect_uri(nbd, argv[1]) != 0) {
    fail(argv[1]);
  }
  const int64_t size_bytes = nbd_get_size(nbd);
  if (size_bytes < block_size_bytes) {
    fail("the export's size");
  }
  const uint64_t block_count = (uint64_t)size_bytes / block_size_bytes;
  unsigned char block[block_size_bytes];
  uint64_t state = now_ns();
  for (unsigned long i = 0; i < count; ++i) {
    fill(block, &state);
    const uint64_t offset_bytes = (state >> 33U) % block_count * block_size_bytes;
    const uint64_t begin_ns = now_ns();
    const int done = is_read
                         ? nbd_pread(nbd, block, sizeof block, offset_bytes, 0)
                         : nbd_pwrite(nbd, block, sizeof block, offset_bytes, LIBNBD_CMD_FLAG_FUA);
    const uint64_t end_ns = now_ns();
    if (done != 0) {
      fail(argv[2]);
    }
    printf("%" PRIu64 "\n", end_ns - begin_ns);
  }
  nbd_shutdown(nbd, 0);
  nbd_close(nbd);
  return 0;
}
