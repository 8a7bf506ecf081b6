#include "tpm/tpm_parts.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/operator_text.h"
#include "base/size_text.h"
#include "client/local_blob_client.h"
#include "device/location.h"
#include "owner/who_starts.h"
#include "rpc/owner_address.h"
#include "rpc/remote_blob_client.h"
#include "service/private_memory.h"
#include "tpm/tpm_image.h"

namespace vnvram {
namespace {

Starts how(const Options& options) {
  return options.shared ? Starts::shared : Starts::alone;
}

Error about_image(const std::string& image, const Error& error) {
  return {error.kind(), image + ": " + error.cause(), error.remedy()};
}

// Sees that libtpms accepts the state, and powers on if that was asked for. What this changes (all
// of a new TPM) is made durable, unless it is not ours to change.
Status prepare(SoftTpm& tpm, TpmStorage& storage, Manufacture manufacture, const Options& options,
               const Log& log) {
  const Status started =
      options.startup == Startup::none ? tpm.verify() : tpm.power_on(options.startup);
  if (!started.ok()) {
    return about_image(options.name(), started.error());
  }
  if (storage.status().custody != Custody::State::ours) {
    log.warning(options.name() + " is sealed: its state was handed over. The TPM waits for a state "
                                 "that QEMU sets, or for vnvram tpm unseal");
    return {};
  }
  if (manufacture == Manufacture::allowed) {
    log.info(options.name() + " was registered for a TPM and never used: manufactured a new one");
  }
  return storage.commit_first();
}

// The TPM's blobs take less than half of it, and the shadow holds them all anyway.
constexpr std::uint64_t cache_size_bytes = std::uint64_t{1} << 20U;

Tpm make_without_tpm(std::unique_ptr<BlobClient> client, const Log& log) {
  Tpm made;
  made.client = std::move(client);
  made.trouble = std::make_unique<ImageTrouble>(*made.client, log);
  return made;
}

// Before the process confines itself, whenever the image comes.
Result<AnchorUse> open_anchor_of(const Options& options) {
  AnchorUse use;
  if (!options.anchor.empty()) {
    Result<std::shared_ptr<Anchor>> anchor = open_anchor(options.anchor);
    if (!anchor.ok()) {
      return anchor.error();
    }
    use.anchor = *std::move(anchor);
  }
  use.policy = options.anchor_policy.value_or(AnchorPolicy{});
  return use;
}

Result<Tpm> make_without_tpm(const Options& options, const Log& log) {
  if (!options.keys.empty()) {
    keep_memory_private();
    // An image may come, or come back, when this process may open nothing any more.
    KeyRing(options.keys).read_ahead();
  }
  Result<AnchorUse> anchor = open_anchor_of(options);
  if (!anchor.ok()) {
    return anchor.error();
  }
  ImageKeeper::Setup setup{
      .device = {.image_key_file = options.image_key_file,
                 .image_format = options.image_format,
                 .note = [&log](const std::string& text) { log.warning(text); }},
      .store = {.keys = options.keys,
                .accept_unclosed = options.accepts_unclosed,
                .anchor = *std::move(anchor),
                .grow_max_bytes = options.grow_max_bytes,
                .grown =
                    [&log, name = options.name()](std::uint64_t from_bytes,
                                                  std::uint64_t to_bytes) {
                      log.info(name + " " + growth_text(from_bytes, to_bytes));
                    }},
      .space = options.space,
      .space_warned = [&log](const Error& error) { log.warning(operator_text(error)); },
      .reserve = options.reservation};
  if (options.shared && options.seccomp != Seccomp::off && setup.device.image_format.empty()) {
    setup.device.image_format = "raw"; // It may start no program when the image comes.
  }
  setup.store.cache_size_bytes = cache_size_bytes;
  auto keeper = std::make_unique<ImageKeeper>(std::move(setup));
  Tpm made = make_without_tpm(std::make_unique<LocalBlobClient>(*keeper), log);
  made.keeper = std::move(keeper);
  return made;
}

void add_tpm(Tpm& made, std::unique_ptr<SoftTpm> tpm, const Options& options, const Log& log) {
  made.tpm = std::move(tpm);
  made.custody = std::make_unique<Custody>(
      *made.tpm,
      Custody::Setup{.seals = options.seals,
                     .shuts_down = options.shuts_down,
                     .image_comes_by_itself = options.on_demand || options.shared},
      log);
  made.image =
      std::make_unique<AdoptedImage>(*made.tpm, *made.custody, *made.client, options.name(), log);
  made.storage = std::make_unique<TpmStorage>(
      TpmStorage::Parts{*made.tpm, *made.custody, *made.image, made.keeper.get(), *made.client,
                        *made.trouble, log, options.blobs_prefix},
      TpmStorage::Setup{.confined = options.seccomp == Seccomp::on && !options.shared,
                        .shared = options.shared});
}

void add_empty_tpm(Tpm& made, TpmVersion version, const Options& options, const Log& log) {
  add_tpm(made,
          std::make_unique<SoftTpm>(version, tpm_blob_specs(version, options.blobs_prefix),
                                    std::vector<std::vector<std::byte>>(tpm_state_count),
                                    Manufacture::forbidden),
          options, log);
}

Result<Tpm> make_detached(const Options& options, const Log& log) {
  Result<Tpm> made = make_without_tpm(options, log);
  if (made.ok()) {
    add_empty_tpm(*made, options.version.value_or(TpmVersion::tpm2_0), options, log);
  }
  return made;
}

Result<std::unique_ptr<BlobClient>> join_owner(const std::string& address, const Log& log) {
  Result<Connector> connector = connector_to(address);
  if (!connector.ok()) {
    return connector.error();
  }
  Result<std::unique_ptr<RemoteBlobClient>> client =
      RemoteBlobClient::connect({.connect = *std::move(connector),
                                 .log = [&log](const std::string& text) { log.warning(text); }});
  if (!client.ok()) {
    return client.error();
  }
  return std::unique_ptr<BlobClient>(*std::move(client));
}

// The image, open here, or as a session of the process that has it open.
Result<Tpm> open_image(const Options& options, const Log& log) {
  if (scheme_of(options.image) == LocationScheme::owner) {
    Result<std::unique_ptr<BlobClient>> client = join_owner(options.image, log);
    return client.ok() ? Result<Tpm>(make_without_tpm(*std::move(client), log)) : client.error();
  }
  Result<Tpm> made = make_without_tpm(options, log);
  if (!made.ok()) {
    return made.error();
  }
  const Status attached = made->keeper->attach({.location = options.image,
                                                .accept_sealed = options.incoming,
                                                .take_over = options.take_over});
  return attached.ok() ? std::move(made) : for_who_starts(attached.error(), how(options));
}

// What has come with a state that another process had, and nobody has gone on with, is not this
// one's: QEMU sets a state anew.
bool is_elsewhere(BlobClient& client) {
  Result<ImageState> state = client.state();
  if (state.ok() && state->sealed && !state->elsewhere && client.let_go({}).ok()) {
    state = client.state();
  }
  return state.ok() && state->elsewhere;
}

// It is seen, and comes when its owner is asked for it.
Status let_stand_by(Tpm& made, const Options& options, const Log& log) {
  const Result<TpmVersion> version =
      find_tpm_version(*made.client, options.name(), {options.version, options.blobs_prefix});
  if (!version.ok()) {
    return version.error();
  }
  add_empty_tpm(made, *version, options, log);
  return {};
}

Result<Tpm> make_attached(const Options& options, const Log& log) {
  Result<Tpm> opened = open_image(options, log);
  if (!opened.ok()) {
    return opened.error();
  }
  Tpm& made = *opened;
  if (options.shared && made.keeper == nullptr && is_elsewhere(*made.client)) {
    const Status stands_by = let_stand_by(made, options, log);
    return stands_by.ok() ? std::move(opened) : stands_by.error();
  }
  Result<TpmImage> image =
      read_tpm_image(*made.client, options.name(), {options.version, options.blobs_prefix});
  if (!image.ok()) {
    return image.error();
  }
  if (image->state.sealed && !options.incoming) { // An image of our own is not even opened then.
    return sealed_at_start(options.name(), image->state.generation, how(options));
  }
  add_tpm(made,
          std::make_unique<SoftTpm>(image->version, image->specs,
                                    std::exchange(image->contents, {}), image->manufacture),
          options, log);
  Status ready = made.image->start_with(*image);
  if (ready.ok()) {
    ready = prepare(*made.tpm, *made.storage, image->manufacture, options, log);
  }
  if (!ready.ok()) {
    return ready.error();
  }
  return opened;
}

// What another process says of its TPM is not to be read before this one has given up its rights.
Result<Tpm> make_successor(const Options& options, const Log& log) {
  Result<Tpm> made = open_image(options, log);
  const Status stands_by = made.ok() ? let_stand_by(*made, options, log) : made.error();
  return stands_by.ok() ? std::move(made) : stands_by.error();
}

} // namespace

Result<Tpm> make_tpm(const Options& options, const Log& log) {
  if (options.predecessor >= 0) {
    return make_successor(options, log);
  }
  const bool has_owner = scheme_of(options.image) == LocationScheme::owner;
  const bool comes_later = options.detached || (options.shared && options.incoming && !has_owner);
  return comes_later ? make_detached(options, log) : make_attached(options, log);
}

} // namespace vnvram
