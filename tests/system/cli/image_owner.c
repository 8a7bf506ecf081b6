/* Has an image open for writing while a test looks at it: image_owner IMAGE BLOB SIZE
 *
 * Says "ready" when it is the owner. For each line on standard input it commits SIZE bytes of the
 * line's first character and says "done"; the line "spin" makes it commit all letters in turn,
 * again and again, until its input ends. Then it closes the image, and ends with 0. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vnvram/vnvram.h>

struct owner {
  vnvram_store* store;
  const char* blob;
  size_t size;
  char* content;
};

/* By address: the arguments of one call are evaluated in any order. */
static void must(vnvram_kind kind, vnvram_error* const* error) {
  if (kind != VNVRAM_OK) {
    fprintf(stderr, "image_owner: %s\n", vnvram_error_text(*error));
    exit(kind);
  }
}

static void commit(struct owner* owner, char letter) {
  vnvram_error* error = NULL;
  memset(owner->content, letter, owner->size);
  must(vnvram_write(owner->store, owner->blob, owner->content, owner->size, &error), &error);
}

static int input_ended(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) != 0;
}

static void say(const char* word) {
  printf("%s\n", word);
  fflush(stdout);
}

int main(int argc, char** argv) {
  vnvram_error* error = NULL;
  char line[64];
  if (argc != 4) {
    return 2;
  }
  struct owner owner = {.blob = argv[2], .size = strtoul(argv[3], NULL, 10)};
  owner.content = malloc(owner.size);
  if (owner.content == NULL) {
    return 1;
  }
  /* What it committed stays in the ring for the test to see, however long that takes. */
  const vnvram_open_options options = {.struct_size = sizeof options,
                                       .flags = VNVRAM_OPEN_NO_IDLE_CHECKPOINT};
  must(vnvram_open(argv[1], &options, &owner.store, &error), &error);
  say("ready");
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "spin\n") != 0) {
      commit(&owner, line[0]);
      say("done");
      continue;
    }
    for (char letter = 'a'; !input_ended(); letter = letter == 'z' ? 'a' : (char)(letter + 1)) {
      commit(&owner, letter);
    }
  }
  must(vnvram_close(owner.store, &error), &error);
  free(owner.content);
  return 0;
}
