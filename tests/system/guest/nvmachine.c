// What a QEMU has of its TPM process, without a machine: the control channel, and the TPM's
// commands on the socket that it hands over there.
//
//   nvmachine CONTROL REQUESTS ANSWERS
//
// REQUESTS and ANSWERS are named pipes: a word comes, it is done, and a line with its result goes
// out. It ends when it is killed, as a QEMU that dies, or by `end`.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tpm_commands.h"

enum {
  cmd_init = 2,
  cmd_get_blob = 12,
  cmd_set_blob = 13,
  cmd_stop = 14,
  cmd_data_fd = 16,
  cmd_lock_storage = 19,
  delete_volatile = 1,
  blob_kinds = 3,
  blob_size_max_bytes = 1 << 20,
  counter_index = 0x1500001,
};

static void fail(const char* what) {
  fprintf(stderr, "nvmachine: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void put_number(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; ++i) {
    at[i] = (uint8_t)(value >> (24 - 8 * i));
  }
}

static void send_all(int fd, const void* bytes, size_t size) {
  if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) {
    fail("control channel");
  }
}

static void receive_all(int fd, void* bytes, size_t size) {
  if (size != 0 && recv(fd, bytes, size, MSG_WAITALL) != (ssize_t)size) {
    fail("control channel");
  }
}

static uint32_t receive_number(int fd) {
  uint8_t bytes[4];
  receive_all(fd, bytes, sizeof bytes);
  return (uint32_t)bytes[0] << 24U | (uint32_t)bytes[1] << 16U | (uint32_t)bytes[2] << 8U |
         bytes[3];
}

/// A command with at most one number behind it, and its result.
static uint32_t ask(int control, uint32_t command, int has_number, uint32_t number) {
  uint8_t bytes[8];
  put_number(bytes, command);
  put_number(bytes + 4, number);
  send_all(control, bytes, has_number ? 8 : 4);
  return receive_number(control);
}

/// What QEMU does first. Returns its end of the TPM's commands.
static int take_control(int control) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    fail("socketpair");
  }
  uint8_t command[4];
  put_number(command, cmd_data_fd);
  struct iovec bytes = {.iov_base = command, .iov_len = sizeof command};
  union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
  } rights = {.room = {0}};
  struct msghdr message = {.msg_iov = &bytes,
                           .msg_iovlen = 1,
                           .msg_control = rights.room,
                           .msg_controllen = sizeof rights.room};
  struct cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(head), &pair[1], sizeof(int));
  if (sendmsg(control, &message, MSG_NOSIGNAL) != (ssize_t)sizeof command ||
      receive_number(control) != 0) {
    fail("CMD_SET_DATAFD");
  }
  close(pair[1]);
  return pair[0];
}

static FILE* state_file(const char* name, int kind, const char* mode) {
  char path[256];
  snprintf(path, sizeof path, "%s.%d", name, kind);
  return fopen(path, mode);
}

/// All of its state, into NAME.1 to NAME.3. Returns the first result that is no success, or 0.
static uint32_t fetch(int control, const char* name) {
  static uint8_t blob[blob_size_max_bytes];
  for (int kind = 1; kind <= blob_kinds; ++kind) {
    uint8_t command[16];
    put_number(command, cmd_get_blob);
    put_number(command + 4, 1); // Decrypted.
    put_number(command + 8, (uint32_t)kind);
    put_number(command + 12, 0); // From its beginning.
    send_all(control, command, sizeof command);
    const uint32_t result = receive_number(control);
    (void)receive_number(control); // flags
    (void)receive_number(control); // of how many
    const uint32_t size = receive_number(control);
    if (size > sizeof blob) {
      fail("a state that is too large");
    }
    receive_all(control, blob, size);
    if (result != 0) {
      return result;
    }
    FILE* file = state_file(name, kind, "w");
    if (file == NULL || fwrite(blob, 1, size, file) != size || fclose(file) != 0) {
      fail(name);
    }
  }
  return 0;
}

/// That of fetch(), as a destination does it.
static uint32_t take(int control, const char* name) {
  static uint8_t message[16 + blob_size_max_bytes];
  uint32_t result = ask(control, cmd_stop, 0, 0);
  for (int kind = 1; result == 0 && kind <= blob_kinds; ++kind) {
    FILE* file = state_file(name, kind, "r");
    if (file == NULL) {
      fail(name);
    }
    const size_t size = fread(message + 16, 1, blob_size_max_bytes, file);
    fclose(file);
    if (size != 0) {
      put_number(message, cmd_set_blob);
      put_number(message + 4, 0); // Not encrypted.
      put_number(message + 8, (uint32_t)kind);
      put_number(message + 12, (uint32_t)size);
      send_all(control, message, 16 + size);
      result = receive_number(control);
    }
  }
  return result != 0 ? result : ask(control, cmd_init, 1, delete_volatile);
}

/// And all of its tests at once: otherwise the first use of an algorithm begins one, and is
/// refused.
static uint32_t start_up(int tpm) {
  struct message startup = command(0x8001, 0x144); // TPM2_Startup
  append(&startup, 0, 2);                          // TPM_SU_CLEAR
  struct message answer;
  const uint32_t result = transact(tpm, &startup, &answer);
  struct message test = command(0x8001, 0x143); // TPM2_SelfTest
  append(&test, 1, 1);                          // of all
  return result != 0 ? result : transact(tpm, &test, &answer);
}

/// "0", or "0 VALUE"; or the code of whatever refused.
static void answer(FILE* answers, int control, int tpm, const char* word, const char* name) {
  uint32_t result = 0;
  uint64_t value = 0;
  if (strcmp(word, "start") == 0) {
    result = ask(control, cmd_init, 1, 0);
    result = result != 0 ? result : start_up(tpm);
  } else if (strcmp(word, "define") == 0) {
    define_counter(tpm, counter_index);
  } else if (strcmp(word, "increment") == 0) {
    struct message increment = increment_command(counter_index);
    struct message done;
    result = transact(tpm, &increment, &done);
  } else if (strcmp(word, "fetch") == 0) {
    result = fetch(control, name);
  } else if (strcmp(word, "take") == 0) {
    result = take(control, name);
  } else if (strcmp(word, "go_on") == 0) {
    result = ask(control, cmd_lock_storage, 1, 0);
  } else if (strcmp(word, "counter") == 0) {
    result = read_counter(tpm, counter_index, &value);
  } else {
    fprintf(stderr, "nvmachine: unknown word %s\n", word);
    exit(2);
  }
  fprintf(answers, "%u %llu\n", result, (unsigned long long)value);
  fflush(answers);
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: nvmachine CONTROL REQUESTS ANSWERS\n");
    return 2;
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
  const int control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (control < 0 || connect(control, (struct sockaddr*)&address, sizeof address) != 0) {
    fail(argv[1]);
  }
  const int tpm = take_control(control);
  // Both ways open, so that neither pipe ends between two words.
  FILE* requests = fopen(argv[2], "r+");
  FILE* answers = fopen(argv[3], "r+");
  if (requests == NULL || answers == NULL) {
    fail("pipes");
  }
  char word[16];
  char name[200];
  char line[256];
  while (fgets(line, sizeof line, requests) != NULL) {
    name[0] = '\0';
    if (sscanf(line, "%15s %199s", word, name) >= 1) {
      if (strcmp(word, "end") == 0) {
        return 0;
      }
      answer(answers, control, tpm, word, name);
    }
  }
  return 0;
}
