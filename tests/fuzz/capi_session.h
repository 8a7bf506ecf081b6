// The C API as a sequence of calls, right and wrong ones, on an image on a tmpfs, next to a model
// of what it must hold. Whatever a call answers, the model has to allow it.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/capi_model.h"
#include "fuzz/error_slot.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/image_folder.h"
#include "vnvram/vnvram.h"

namespace vnvram::fuzz {

/// An asynchronous commit; called back on any thread.
struct Pending {
  static constexpr int waiting = -1;
  std::atomic<int> result = waiting;
};

/// An open or closed image, the model, and the calls so far.
class CapiSession {
public:
  CapiSession() { create({}); }
  CapiSession(const CapiSession&) = delete;
  CapiSession& operator=(const CapiSession&) = delete;
  ~CapiSession() {
    vnvram_transaction_free(transaction_);
    close();
  }

  /// One call, which the input chooses.
  void step(FuzzInput& input);

private:
  enum class Mode { closed, read_write, read_only };

  void create(const std::vector<ModelSpec>& specs);
  void try_create(FuzzInput& input);
  void open(FuzzInput& input);
  void close();
  void register_blobs(FuzzInput& input);
  void remove(FuzzInput& input);
  void write(FuzzInput& input);
  void write_deferred(FuzzInput& input);
  void flush();
  void adopt();
  void add_update(FuzzInput& input);
  void commit(bool wait);
  void settle();
  void compare();
  void compare_blob(vnvram_store* store, const std::string& name, bool knows);
  void compare_range(FuzzInput& input);
  void compare_with_a_copy();
  void check_image();
  void resize(FuzzInput& input);
  void open_beside(FuzzInput& input);
  void call_wrongly(FuzzInput& input);

  [[nodiscard]] vnvram_info info() const;
  [[nodiscard]] bool may_write() const { return mode_ == Mode::read_write; }
  /// What a call on the store answers, if it gets to what `otherwise` is about.
  [[nodiscard]] Kinds with_store(Kinds otherwise, bool writes) const;
  [[nodiscard]] std::string file_content() const;
  static std::string name(FuzzInput& input);
  static std::vector<ModelSpec> specs(FuzzInput& input);
  static ModelUpdate update(FuzzInput& input, ModelUpdate::Action action);

  static constexpr std::uint64_t blob_size_max = std::uint64_t{28} << 10U; // What the ring allows.

  const std::string path_ = ImageFolder::get().path("image");
  CapiModel model_{blob_size_max};
  Mode mode_ = Mode::closed;
  std::string read_only_content_; ///< Of the file that is open to be read.
  bool knows_ = false;            ///< The open store knows `model_attribute`.
  vnvram_store* store_ = nullptr;
  vnvram_transaction* transaction_ = nullptr;
  std::vector<ModelUpdate> updates_;
  std::list<std::pair<Pending, Kinds>> pending_; ///< Commits that were not waited for.
  vnvram_kind last_result_ = VNVRAM_OK;          ///< Of the newest that was.
};

} // namespace vnvram::fuzz
