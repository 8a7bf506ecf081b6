// What the plugin does between nbdkit's start and its end: one image, its blobs as exports.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string_view>
#include <vector>

#include "client/blob_client.h"
#include "nbdkit/claims.h"
#include "nbdkit/export.h"
#include "nbdkit/options.h"
#include "nbdkit/orderly_end.h"
#include "owner/image_keeper.h"

namespace vnvram::nbdkit {

/// In the order of nbdkit's calls: options, open, after_fork, connections from many threads, close.
class Server {
public:
  Options& options() { return options_; }

  /// Opens the image, or connects to its owner (unix:PATH), and looks whether it has the blobs that
  /// were named. On an error nothing is left open. `failed_in_background`: see OpenOptions. Errors:
  /// invalid_argument without an image, not_found, those of opening.
  Status open(std::function<void(const Error&)> failed_in_background);
  /// Of an owner's session it makes another one, if this is another process, which gives up then
  /// what Options::seccomp says.
  Status after_fork();
  /// All writes are durable when it returns. Harmless when nothing is open.
  Status close();

  /// Those that are served, as they were when the image was opened, by the process that serves
  /// them.
  [[nodiscard]] const std::vector<BlobInfo>& blobs() const { return blobs_; }
  /// The one for clients that name none; empty if that could be any.
  [[nodiscard]] std::string_view default_export() const;
  /// To be held for as long as a request is carried out.
  [[nodiscard]] std::shared_lock<std::shared_mutex> request() {
    return end_ != nullptr ? end_->request() : std::shared_lock<std::shared_mutex>();
  }
  /// For a connection. An empty name is the default export's. Errors: not_found.
  Result<std::unique_ptr<Export>> connect(std::string_view name, bool read_only);

private:
  Status open_image(std::function<void(const Error&)> failed_in_background);
  Status join_owner();
  [[nodiscard]] bool is_reopened() const;
  Status reopenable();
  Status open_again();
  Status choose_blobs(std::vector<BlobInfo> all);
  [[nodiscard]] Error no_such_blob(std::string_view name) const;

  Options options_;
  std::function<void(const Error&)> failed_in_background_; ///< Watches once this process stays.
  std::unique_ptr<ImageKeeper> keeper_; ///< None: the image is another process's.
  std::unique_ptr<BlobClient> client_;  ///< On the keeper, or the owner's.
  std::unique_ptr<OrderlyEnd> end_;     ///< If the session was passed on by who starts it again.
  int joined_by_pid_ = 0;
  std::optional<Claims> claims_; ///< Of the client's blobs.
  std::vector<BlobInfo> blobs_;
};

} // namespace vnvram::nbdkit
