// The public face of the engine.
#include "vnvram/store.h"

#include "store/engine.h"

namespace vnvram {

Store::Store(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(std::unique_ptr<BlockDevice> device,
                                           OpenOptions options) {
  Result<std::unique_ptr<Engine>> engine = Engine::open(std::move(device), std::move(options));
  if (!engine) {
    return engine.error();
  }
  return std::unique_ptr<Store>(new Store(*std::move(engine)));
}

Status Store::register_blobs(std::span<const BlobSpec> blobs) {
  return engine_->register_blobs(blobs);
}

Status Store::register_blobs(std::span<const NewBlob> blobs) {
  return engine_->register_blobs(blobs);
}

Status Store::remove_blob(std::string_view name) {
  return engine_->remove_blob(name);
}

Result<std::vector<std::byte>> Store::read(std::string_view blob) {
  return engine_->read(blob);
}

Status Store::read_range(std::string_view blob, std::uint64_t offset_bytes,
                         std::span<std::byte> bytes) {
  return engine_->read_range(blob, offset_bytes, bytes);
}

Status Store::commit(const Transaction& transaction) {
  return engine_->commit(transaction);
}

Status Store::write(std::string_view blob, std::span<const std::byte> bytes) {
  Transaction transaction;
  transaction.write(blob, bytes);
  return engine_->commit(transaction);
}

Status Store::write_range(std::string_view blob, std::uint64_t offset_bytes,
                          std::span<const std::byte> bytes) {
  Transaction transaction;
  transaction.write_range(blob, offset_bytes, bytes);
  return engine_->commit(transaction);
}

void Store::commit_async(Transaction transaction, CommitCallback callback) {
  engine_->commit_async(std::move(transaction), std::move(callback));
}

Status Store::write_range_deferred(std::string_view blob, std::uint64_t offset_bytes,
                                   std::span<const std::byte> bytes) {
  return engine_->write_range_deferred(blob, offset_bytes, bytes);
}

Status Store::zero_range_deferred(std::string_view blob, std::uint64_t offset_bytes,
                                  std::uint64_t length_bytes) {
  return engine_->zero_range_deferred(blob, offset_bytes, length_bytes);
}

Status Store::flush() {
  return engine_->flush();
}

int Store::event_fd() const {
  return engine_->completions().event_fd();
}

std::size_t Store::dispatch() {
  return engine_->completions().dispatch();
}

std::vector<BlobInfo> Store::blobs() const {
  return engine_->blobs();
}

Result<BlobInfo> Store::blob(std::string_view name) const {
  return engine_->blob(name);
}

StoreInfo Store::info() const {
  return engine_->info();
}

BlockDevice& Store::device() {
  return engine_->device();
}

AnchorPoint Store::image_point() const {
  return engine_->image_point();
}

StoreCounters Store::counters() const {
  return engine_->counters();
}

Status Store::checkpoint() {
  return engine_->checkpoint();
}

Status Store::seal(const HandOverNumber& hand_over) {
  return engine_->seal(hand_over);
}

Status Store::unseal() {
  return engine_->unseal();
}

Result<std::vector<KeySlotInfo>> Store::rotate_data_key(const KeyRotation& rotation) {
  return engine_->rotate_data_key(rotation);
}

Status Store::check_key_slot(std::optional<unsigned> number) {
  return engine_->check_key_slot(number);
}

Result<KeySlotInfo> Store::add_key_slot(const KeySlotOffer& offer,
                                        const KeyOfferReceiver& receiver) {
  return engine_->add_key_slot(offer, receiver);
}

Result<KeySlotInfo> Store::change_key_slot(unsigned number, const KeySlotOffer& offer,
                                           const KeyOfferReceiver& receiver) {
  return engine_->change_key_slot(number, offer, receiver);
}

Status Store::remove_key_slot(unsigned number, bool allow_last) {
  return engine_->remove_key_slot(number, allow_last);
}

Status Store::set_metadata(std::string_view name, const std::optional<std::string>& value) {
  return engine_->set_metadata(name, value);
}

Status Store::adopt_after_fork() {
  return engine_->adopt_after_fork();
}

Result<bool> Store::is_current() {
  return engine_->is_current();
}

std::unique_ptr<BlockDevice> Store::abandon() {
  return engine_->give_up_device();
}

Status Store::close() {
  return engine_->close();
}

namespace {

Status change_seal(std::unique_ptr<BlockDevice> device, OpenOptions options,
                   const std::function<Status(Store&)>& change) {
  options.accept_sealed = true;
  options.accept_hand_over = true;
  Result<std::unique_ptr<Store>> store = Store::open(std::move(device), std::move(options));
  if (!store) {
    return store.error();
  }
  const Status changed = change(**store);
  const Status closed = (*store)->close();
  return changed ? closed : changed;
}

} // namespace

Status seal_image(std::unique_ptr<BlockDevice> device, OpenOptions options) {
  return change_seal(std::move(device), std::move(options), [](Store& store) {
    return store.info().sealed ? Status() : store.seal(); // And stays sealed for whom it is.
  });
}

// INV7h: whoever handed over may have died behind his seal, and nobody have come for it.
Status unseal_image(std::unique_ptr<BlockDevice> device, OpenOptions options) {
  return change_seal(std::move(device), std::move(options),
                     [](Store& store) { return store.unseal(); });
}

} // namespace vnvram
