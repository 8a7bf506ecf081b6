// What can go wrong, as values. No call of this library throws for an operating error.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "vnvram/export.h"

namespace vnvram {

/// The kinds tell a caller what to do; the text tells a person. The first group are the results of
/// opening an image (docs/format.md, "Open"); `vnvram` has an exit code for each of them.
enum class ErrorKind {
  absent,     ///< There is no such file or device.
  blank,      ///< The device is there and holds nothing (all zero where an image would begin).
  foreign,    ///< The device holds data that is not ours. Nothing was written.
  corrupt,    ///< It is ours and damaged; the message says what and where.
  in_use,     ///< Another owner has it open for writing.
  key_needed, ///< The image is encrypted and no key was given.
  wrong_key,  ///< The key does not open the image; or there is one, and it is not encrypted.
  too_new,    ///< The image, or a blob's attribute, needs a newer reader.

  no_space, ///< No room: in the image for what is to be registered, or on the disk for it.
  io,       ///< The device failed; after a failed write or flush the store is poisoned.
  poisoned, ///< An earlier write or flush failed: no commit until the store is reopened.
  /// What was opened is not what is there now. A read-only store: the owner has overtaken it,
  /// reopen it to see the newer state. An owner: its content was replaced, or its file was removed
  /// or has lost its name to another; nothing more is written.
  stale,
  read_only,        ///< The store was opened read-only, or the device cannot be written to.
  not_found,        ///< No blob of that name.
  exists,           ///< Something is there already and must not be overwritten.
  type_mismatch,    ///< The blob is registered with another type.
  too_large,        ///< Larger than the blob's largest size, or than a transaction may be.
  invalid_argument, ///< A name, size or option that can never be right.
  unsupported,      ///< The device or system cannot do this.
  sealed, ///< What the image holds was handed over to another machine: no commit until unsealed.
  /// It is not what its anchor says: older, of another branch, or another image (vnvram/anchor.h).
  not_at_anchor,
};

/// A stable lower-case word for scripts, e.g. "in-use".
[[nodiscard]] VNVRAM_API std::string_view kind_name(ErrorKind kind);

/// One error: a kind, the cause ("what and where") and the remedy ("what to do about it"). A name
/// in backquotes in a remedy is an operation on images, e.g. `repair`: the command `vnvram` has it
/// by that name, and the library as a function (repair_image()); `force` is an option of those that
/// make one.
class [[nodiscard]] VNVRAM_API Error {
public:
  Error(ErrorKind kind, std::string cause, std::string remedy = {})
      : kind_(kind), cause_(std::move(cause)), remedy_(std::move(remedy)) {}

  [[nodiscard]] ErrorKind kind() const { return kind_; }
  [[nodiscard]] const std::string& cause() const { return cause_; }
  /// Empty when there is nothing better to say than the cause.
  [[nodiscard]] const std::string& remedy() const { return remedy_; }
  /// "cause (remedy)", ready to print.
  [[nodiscard]] std::string text() const;

private:
  ErrorKind kind_;
  std::string cause_;
  std::string remedy_;
};

} // namespace vnvram
