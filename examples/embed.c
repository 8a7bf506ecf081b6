/* A device model that keeps its state in a vNVRAM image: C API, completion through an event fd.
 *
 *   cc embed.c $(pkg-config --cflags --libs vnvram) -o embed && ./embed board.nvram
 *
 * The "device" is a board with an EEPROM and a boot counter. Each run is one power cycle: the
 * counter goes up, and EEPROM and counter change together or not at all. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vnvram/vnvram.h>

enum { eeprom_size = 8192 };

struct board {
  vnvram_store* store;
  uint32_t boots;
  char eeprom[eeprom_size];
  int commits_pending;
  int commit_failed;
};

static void stop(const char* what, vnvram_error* error) {
  fprintf(stderr, "embed: %s: %s\n", what, vnvram_error_text(error));
  vnvram_error_free(error);
  exit(1);
}

/* What the board registers whenever it starts: once done, its writes can never fail for space. */
static vnvram_store* open_board(const char* path, uint32_t flags) {
  const vnvram_blob_spec blobs[] = {
      {.struct_size = sizeof(vnvram_blob_spec),
       .name = "board.eeprom",
       .type = "example-eeprom",
       .size_max = eeprom_size,
       .producer = "embed.c 1"},
      {.struct_size = sizeof(vnvram_blob_spec),
       .name = "board.boots",
       .type = "example-counter",
       .size_max = sizeof(uint32_t),
       .producer = "embed.c 1"},
  };
  const vnvram_create_options create = {
      .struct_size = sizeof create, .blobs = blobs, .blob_count = 2};
  const vnvram_open_options open = {
      .struct_size = sizeof open, .flags = flags, .blobs = blobs, .blob_count = 2};
  vnvram_error* error = NULL;
  vnvram_store* store = NULL;

  const vnvram_kind created = vnvram_create(path, &create, &error);
  if (created == VNVRAM_OK) {
    printf("made %s\n", path);
  } else if (created == VNVRAM_EXISTS) {
    vnvram_error_free(error); /* It is there from the last run. */
  } else {
    stop("create", error);
  }
  if (vnvram_open(path, &open, &store, &error) != VNVRAM_OK) {
    stop("open", error);
  }
  return store;
}

static void load(struct board* board) {
  vnvram_error* error = NULL;
  /* Bytes that were never written are zero. */
  if (vnvram_read_range(board->store, "board.boots", 0, &board->boots, sizeof board->boots,
                        &error) != VNVRAM_OK ||
      vnvram_read_range(board->store, "board.eeprom", 0, board->eeprom, eeprom_size, &error) !=
          VNVRAM_OK) {
    stop("read", error);
  }
}

static void committed(void* opaque, const vnvram_error* error) {
  struct board* board = opaque;
  --board->commits_pending;
  if (error != NULL) {
    fprintf(stderr, "embed: commit: %s\n", vnvram_error_text(error));
    board->commit_failed = 1;
    return;
  }
  printf("boot %u is durable\n", (unsigned)board->boots);
}

/* Both blobs in one transaction; returns at once. */
static void save(struct board* board) {
  vnvram_error* error = NULL;
  vnvram_transaction* transaction = NULL;
  if (vnvram_transaction_begin(&transaction, &error) != VNVRAM_OK ||
      vnvram_transaction_write(transaction, "board.boots", &board->boots, sizeof board->boots,
                               &error) != VNVRAM_OK ||
      vnvram_transaction_write_range(transaction, "board.eeprom", 0, board->eeprom, 64, &error) !=
          VNVRAM_OK ||
      vnvram_commit_async(board->store, transaction, committed, board, &error) != VNVRAM_OK) {
    stop("commit", error);
  }
  ++board->commits_pending;
}

/* A program's main loop would poll its other descriptors here, too. */
static void run_main_loop(struct board* board) {
  struct pollfd descriptor = {.fd = vnvram_event_fd(board->store), .events = POLLIN};
  while (board->commits_pending > 0) {
    if (poll(&descriptor, 1, 10000) <= 0) {
      fprintf(stderr, "embed: no completion within 10 seconds\n");
      exit(1);
    }
    vnvram_dispatch(board->store);
  }
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: embed IMAGE\n");
    return 2;
  }
  vnvram_error* error = NULL;
  struct board board = {.store = open_board(argv[1], VNVRAM_OPEN_EVENT_FD)};
  load(&board);
  ++board.boots;
  snprintf(board.eeprom, 64, "booted %u times", (unsigned)board.boots);
  save(&board);
  run_main_loop(&board);
  if (vnvram_close(board.store, &error) != VNVRAM_OK) {
    stop("close", error);
  }

  /* The next power cycle finds it again. */
  struct board next = {.store = open_board(argv[1], VNVRAM_OPEN_READ_ONLY)};
  load(&next);
  printf("after reopening: boot %u, eeprom \"%s\"\n", (unsigned)next.boots, next.eeprom);
  if (vnvram_close(next.store, &error) != VNVRAM_OK) {
    stop("close", error);
  }
  return board.commit_failed || memcmp(board.eeprom, next.eeprom, eeprom_size) != 0;
}
