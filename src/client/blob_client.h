// The blobs of one machine as a front end uses them, whoever owns the store: this process
// (LocalBlobClient), or one that is asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/image_state.h"
#include "vnvram/blob.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// When a write is to be durable.
enum class Durability {
  deferred, ///< Soon, in order with all others (Store::write_range_deferred).
  on_return,
};

/// What every implementation promises is what tests/unit/client/blob_client_conformance_test.cc
/// asks of each.
///
/// Threads: every call may be made from any thread at any time, except that close() must be the
/// last. A call may wait for the device, and while the owner holds changes. Errors are those of the
/// store's calls, absent while the owner has no image, and io when the owner cannot be reached:
/// then the change may or may not be there. Changes to an image that is sealed: sealed.
class BlobClient {
public:
  BlobClient() = default;
  BlobClient(const BlobClient&) = delete;
  BlobClient& operator=(const BlobClient&) = delete;
  virtual ~BlobClient() = default;

  /// Those that this client may use, in the order of their names.
  virtual Result<std::vector<BlobInfo>> blobs() = 0;
  virtual Result<BlobInfo> blob(std::string_view name) = 0;
  virtual Result<ImageState> state() = 0;

  /// The blob's current bytes, of one generation, as many as its size says.
  virtual Result<std::vector<std::byte>> read_all(std::string_view blob) = 0;
  /// Fills `bytes`, with zeros beyond the blob's current size. Sees what was written before.
  virtual Status read(std::string_view blob, std::uint64_t offset_bytes,
                      std::span<std::byte> bytes) = 0;

  /// All of it or, on an error, nothing; a blob grows to hold it, up to its largest size. What
  /// fails of a deferred one after it has returned, the changes and flushes behind it say, until it
  /// is made after all.
  virtual Status write(std::string_view blob, std::uint64_t offset_bytes,
                       std::span<const std::byte> bytes, Durability durability) = 0;
  virtual Status zero(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                      Durability durability) = 0;
  /// Durable when it returns, all of it or, on an error, nothing. Returns a generation of the image
  /// that has it: the one that it made, or a later one. One that changes nothing makes none.
  virtual Result<std::uint64_t> commit(const Transaction& transaction) = 0;
  /// Every write that has returned, of whichever blob, is durable when it returns.
  virtual Status flush() = 0;

  /// Adds the blobs that are not there, and makes those larger that are smaller: see
  /// Store::register_blobs.
  virtual Status register_blobs(std::span<const BlobSpec> blobs) = 0;

  /// Called when something fails that no caller hears of, as the commit of deferred writes (see
  /// OpenOptions::failed_in_background). On any thread, which it holds up; it must not call the
  /// client. In place of an earlier one, which does not run any more when this returns; empty:
  /// nobody.
  virtual void watch_failures(std::function<void(const Error&)> failed_in_background) = 0;

  // ---- Whose machine it is: of an image of this process these are calls of its keeper's, which
  // one thread makes at a time, and no other thread uses the image meanwhile

  /// These blobs are in use by a device of the machine from now on, and no others any more: see
  /// claim() of owner.capnp. Of an image of this process nobody else uses any. Errors: in_use,
  /// not_found.
  virtual Status claim(const std::vector<std::string>& blobs) = 0;
  /// The state of the device that claims goes on elsewhere. The image is sealed as soon as all that
  /// use it have said so or are gone; state() says at once that it is.
  virtual Status hand_over() = 0;
  /// It goes on here: the image is not sealed when it returns.
  virtual Status take_back() = 0;
  /// Whether the image's content was changed underneath: it was opened anew then, and what was not
  /// durable is gone. Errors: those of
  /// ImageKeeper::is_current() and reopen(); after the latter there is no image.
  virtual Result<bool> look_again() = 0;

  // ---- Of an image that another process has open, and that the other host of a migration sees as
  // well: letGo() and goOn() of owner.capnp. Others have none (unsupported)

  /// With a number it is sealed for that hand-over, and can be had by somebody else, when it
  /// returns. Returns whose it was.
  virtual Result<OwnerEpoch> let_go(const HandOverNumber& number);
  /// It is open, and sealed still, when it returns; take_back() is what comes next.
  virtual Status go_on(const GoOn& from);

  /// The end. All writes are durable when it returns.
  virtual Status close() = 0;
};

inline Result<OwnerEpoch> BlobClient::let_go(const HandOverNumber& /*number*/) {
  return Error(ErrorKind::unsupported, "no other host sees this image");
}

inline Status BlobClient::go_on(const GoOn& /*from*/) {
  return Error(ErrorKind::unsupported, "no other host sees this image");
}

} // namespace vnvram
