// Keys of encrypted images: what an image is opened with, and the key slots that say who can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/result.h"

namespace vnvram {

class KeyHolder;

/// What a key slot is opened with.
enum class KeySlotKind : std::uint8_t {
  key = 1,        ///< Bytes that nobody can guess.
  passphrase = 2, ///< What a person remembers: each guess costs time and memory.
  public_key = 3, ///< The private X25519 key to a public one.
  external = 4,   ///< What a command makes of the slot's public part.
};
/// "key", "passphrase", "public" or "external".
[[nodiscard]] VNVRAM_API std::string_view key_slot_kind_name(KeySlotKind kind);

/// Where a key comes from. What it has read it keeps, and its copies have it as well; with the last
/// of them it is overwritten.
///
/// Threads: one at a time uses one and its copies.
class VNVRAM_API KeySource {
public:
  /// One of
  ///
  ///   file:PATH[,remove]           all bytes of the file, 16 to 8192, or, in PEM, a private X25519
  ///                                key; `remove`: the file is removed when it has been read
  ///   fd:N                         the same of what this process has open as descriptor N, to its
  ///                                end; the descriptor stays the caller's
  ///   passphrase                   is asked for at the terminal, twice for a new slot
  ///   passphrase:fd:N              what can be read there; a newline at its end is none of it
  ///   passphrase:file:PATH[,remove]  the same of a file
  ///   public:PATH                  a public X25519 key in PEM: for new slots only
  ///   exec:COMMAND[,public=PATH]   what the command writes to its standard output, 16 to 8192
  ///                                bytes, when /bin/sh runs it with the slot's public part as its
  ///                                standard input. A new slot's public part, of at most 4096
  ///                                bytes, is what is in the file PATH
  ///
  /// Nothing is read yet, but a descriptor has to be open for reading already. Errors:
  /// invalid_argument.
  static Result<KeySource> parse(std::string_view text);
  /// A key that the caller has read already: 16 to 8192 bytes, of which a copy is kept; `name` is
  /// what it is called in messages, and its text(). Errors: invalid_argument (its length).
  static Result<KeySource> of_key(std::span<const std::byte> key, std::string name);

  /// What was parsed. There is no secret in it.
  [[nodiscard]] const std::string& text() const { return text_; }

private:
  friend class KeyHolder;
  KeySource(std::string text, std::shared_ptr<KeyHolder> holder)
      : text_(std::move(text)), holder_(std::move(holder)) {}

  std::string text_;
  std::shared_ptr<KeyHolder> holder_;
};

/// A key slot that is to be made.
struct NewKeySlot {
  KeySource source;
  std::string label = {}; ///< Who has the key: up to 63 printable ASCII characters.
  /// Of a passphrase: how often Argon2id goes over how much memory; 0: the usual.
  std::uint32_t passes = 0;
  std::uint32_t memory_kib = 0;
};

/// What an image says of a key slot. Who can write to the device can have it say anything.
struct KeySlotInfo {
  unsigned number = 0;
  KeySlotKind kind = KeySlotKind::key;
  std::string label;
  std::uint64_t created_seconds = 0; ///< Since 1970, UTC.
  std::uint32_t passes = 0;          ///< Of a passphrase, as is the next.
  std::uint32_t memory_kib = 0;
  std::vector<std::byte> public_key;  ///< Of kind public_key: 32 bytes.
  std::vector<std::byte> public_part; ///< Of kind external.
  /// It opens the image as it is. (It does not if it was left out when the data key was exchanged.)
  bool current = true;
};

// The image behind `device` is not open for writing anywhere, nor in this process: what changes it
// takes the device's lock, and gives it back. Errors of all: absent, blank, foreign, too_new, io;
// corrupt; invalid_argument for an image that is not encrypted; of those that write: in_use,
// read_only.

/// In the order of their numbers. An empty list: the keys were erased.
VNVRAM_API Result<std::vector<KeySlotInfo>> list_key_slots(BlockDevice& device);

/// The slot that the first of these keys that fits opens. Nothing is changed. Errors: key_needed
/// (there are none), wrong_key, and what the sources say.
VNVRAM_API Result<KeySlotInfo> test_key(BlockDevice& device, std::span<const KeySource> keys);

/// Gives one holder more the image, durably, in the first free slot; `keys` are as for test_key().
/// Errors: as test_key(), and no_space (16 slots are taken, or what they say is too long).
VNVRAM_API Result<KeySlotInfo> add_key_slot(BlockDevice& device, std::span<const KeySource> keys,
                                            const NewKeySlot& slot);

/// Exchanges what opens a slot; its number stays, and its label unless there is a new one. The same
/// errors, and not_found.
VNVRAM_API Result<KeySlotInfo> change_key_slot(BlockDevice& device, std::span<const KeySource> keys,
                                               unsigned number, const NewKeySlot& slot);

/// Takes a slot away; it is on the device no more when this returns. That needs no key. Its holder
/// opens older copies of the image all the same, and this one with a data key that he has kept:
/// only another data key helps against that. Errors: not_found; invalid_argument for the last one
/// that opens the image, unless `allow_last` says that nobody is to open it again.
VNVRAM_API Status remove_key_slot(BlockDevice& device, unsigned number, bool allow_last = false);

/// Overwrites the key slots, twice over and flushed, and looks that they are gone: nobody can read
/// the image any more. It works on a damaged image, too. What it does not reach are copies of the
/// slots elsewhere: snapshots, backups, exports, and blocks that a drive has put aside.
VNVRAM_API Status erase_keys(BlockDevice& device);

} // namespace vnvram
