// The few TPM commands that the guest's helper and the latency bench send, byte by byte: the time
// that a library takes, and what it sends besides, would be in the way of both.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { tpm_header_size_bytes = 10 };

struct message {
  uint8_t bytes[4096];
  size_t size;
};

/// Starts a command; its length is filled in by transact().
struct message command(unsigned tag, uint32_t code);
/// Appends a big-endian number. A message that gets too large ends the program.
void append(struct message* message, uint64_t value, size_t width_bytes);
void append_bytes(struct message* message, const void* bytes, size_t size);
/// A big-endian number in an answer; of more than 8 bytes the last 8 count. An answer that ends
/// before it ends the program.
uint64_t number_at(const struct message* message, size_t offset, size_t width_bytes);

/// Sends a command and returns the TPM's response code; UINT32_MAX when there was no answer.
/// `tpm` is /dev/tpm0 or a stream socket: an answer is at most one read.
uint32_t transact(int tpm, struct message* command, struct message* answer);
/// The same for a command that has to succeed: otherwise the program ends, with `what` in its
/// message.
struct message must(int tpm, struct message* command, const char* what);

/// TPM 2.0; owner and indices have the empty password.
void define_counter(int tpm, uint32_t index);
void define_area(int tpm, uint32_t index, unsigned size_bytes);
void write_area(int tpm, uint32_t index, unsigned offset_bytes, const void* bytes,
                unsigned size_bytes);
struct message increment_command(uint32_t index);
/// Returns the response code; sets the value when that is 0.
uint32_t read_counter(int tpm, uint32_t index, uint64_t* value);
