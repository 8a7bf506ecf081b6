#include "cli/export_swtpm_command.h"

#include <filesystem>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/input.h"
#include "cli/reader.h"
#include "device/file_device.h"
#include "device/guard_block.h"
#include "device/location.h"
#include "vnvram/public_metadata.h"

namespace vnvram::cli {
namespace {

namespace fs = std::filesystem;

} // namespace

ExportSwtpmCommand::ExportSwtpmCommand(CLI::App& parent)
    : Command(
          parent, "export-swtpm", "give a TPM back to swtpm",
          "Makes the folder PATH, or with --linear the file for swtpm's back end file://, with "
          "the\n"
          "TPM's state in it, byte for byte as libtpms made it, in what swtpm 0.7 and newer read. "
          "A\n"
          "folder that is there must have no TPM in it, and a block device must be blank: nothing\n"
          "is written over. What is made is complete when it appears, and for its owner only.\n\n"
          "IMAGE is sealed by it, with all that is in it: the TPM goes on under swtpm, and not "
          "here\n"
          "as well. `vnvram unseal` takes the seal off. With --no-seal a copy is made, also of an\n"
          "image that is in use, as it is after the last commit.\n\n"
          "With --in-place swtpm's state takes the image's place, of the same owner and mode, in "
          "the\n"
          "folder, file or device that vnvram-swtpm was given. The image stays beside it as\n"
          "IMAGE.vnvram; of a device it is copied to the file that --keep names. What is there is\n"
          "the image, or a file of swtpm's, and nothing in between; if a device's writing is cut,\n"
          "the copy is put back with dd.\n\n"
          "An encrypted image that vnvram-swtpm has made is opened by --swtpm-key, too.\n\n"
          "Examples:\n"
          "  vnvram export-swtpm vm.nvram /var/lib/libvirt/swtpm/UUID/tpm2\n"
          "  vnvram export-swtpm vm.nvram /dev/vg0/vm-100-tpm\n"
          "  vnvram export-swtpm /var/lib/libvirt/swtpm/UUID/tpm2/tpm2-00.permall --in-place\n"
          "  vnvram export-swtpm vm.nvram state --swtpm-key pwdfile=vm.pwd,mode=aes-256-cbc"),
      anchor_((add_image(),
               app().add_option("PATH", path_, "the folder, file or block device for swtpm"),
               AnchorOptions::of_work(app()))) {
  options_.add_to(app());
  app().add_flag("--linear", linear_, "a file for swtpm's back end file://");
  app().add_flag("--no-seal", no_seal_,
                 "only copy: the image's TPM may go on, instead of that one");
  app().add_flag("--in-place", in_place_,
                 "in the image's own place, for who has vnvram-swtpm there");
  app().add_option("--keep", keep_, "of a device: where its image is copied to")->type_name("FILE");
}

SwtpmBackEnd ExportSwtpmCommand::back_end() const {
  std::error_code unknown;
  return linear_ || fs::is_block_file(path_, unknown) ? SwtpmBackEnd::linear : SwtpmBackEnd::folder;
}

Result<TpmVersion> ExportSwtpmCommand::find_version(const Store& store) const {
  std::optional<TpmVersion> found;
  for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
    const auto blob =
        store.blob(options_.prefix() + std::string(tpm_blob_name(version, TpmState::permanent)));
    if (!blob || blob->size_bytes == 0 || options_.version().value_or(version) != version) {
      continue;
    }
    if (found) {
      return Error(ErrorKind::invalid_argument, "the image has a TPM 2.0 and a TPM 1.2",
                   "say which of them: --tpm2 or --tpm12");
    }
    found = version;
  }
  return found ? Result<TpmVersion>(*found)
               : Error(ErrorKind::not_found, "there is no TPM with a state in the image",
                       "`ls` shows what there is; --blobs says how the names of its blobs begin");
}

Result<SwtpmStore> ExportSwtpmCommand::read_states(Store& store) const {
  const Result<TpmVersion> version = find_version(store);
  if (!version) {
    return version.error();
  }
  SwtpmStore states;
  states.version = *version;
  for (std::size_t index = 0; index < tpm_state_count; ++index) {
    const std::string name =
        options_.prefix() + std::string(tpm_blob_name(*version, static_cast<TpmState>(index)));
    auto bytes = store.read(name);
    if (!bytes && bytes.error().kind() != ErrorKind::not_found) {
      return bytes.error();
    }
    states.states.push_back(bytes ? *std::move(bytes) : std::vector<std::byte>());
  }
  return states;
}

Status ExportSwtpmCommand::choose_keys(const SwtpmKey* key) {
  opening_ = keys();
  if (key == nullptr || !opening_.empty()) {
    return {};
  }
  Result<KeySource> source = KeySource::of_key(key->bytes(), "the key that --swtpm-key names");
  if (!source) {
    return source.error();
  }
  opening_ = KeyRing({*std::move(source)});
  opening_.accept_plain();
  return {};
}

/// Sealed before swtpm can run on it: cut in between it goes on nowhere, until it is unsealed.
Result<SwtpmStore> ExportSwtpmCommand::take_states(std::unique_ptr<Store>& store) const {
  const Status looked = look_before_writing(image(), device(), opening_, [&](Store& seen) {
    const Result<TpmVersion> version = find_version(seen);
    return version ? Status() : version.error();
  });
  if (!looked) {
    return looked.error();
  }
  auto opened = open_for_writing(image(), device(), opening_, "ignore", anchor_);
  if (!opened) {
    return opened.error();
  }
  store = *std::move(opened);
  Result<SwtpmStore> states = read_states(*store);
  if (!states) {
    return states;
  }
  const Status sealed = store->seal();
  return sealed ? std::move(states) : sealed.error();
}

Result<SwtpmStore> ExportSwtpmCommand::hand_over(const SwtpmKey* key) const {
  std::unique_ptr<Store> store;
  Result<SwtpmStore> states = take_states(store);
  if (!states) {
    return states;
  }
  if (const Status written = write_swtpm_store(path_, back_end(), *states, key); !written) {
    const Status unsealed = store->unseal();
    return unsealed ? written.error()
                    : Error(written.error().kind(), written.error().cause(),
                            "the image stays sealed: `unseal` it");
  }
  const Status closed = store->close();
  return closed ? std::move(states) : closed.error();
}

// ---- In the image's own place

/// What is written there is for a program that knows no VM images.
Status ExportSwtpmCommand::check_in_place() const {
  if (linear_ || no_seal_ || !path_.empty() || scheme_of(image()) != LocationScheme::path) {
    return Error(ErrorKind::invalid_argument,
                 "--in-place is for an image that is a file or a block device, and without PATH, "
                 "--linear and --no-seal");
  }
  const auto file = FileDevice::open(image(), Access::read_only);
  if (!file) {
    return file.error();
  }
  std::vector<std::byte> beginning(guard_size_bytes);
  const bool is_guarded =
      (*file)->read(0, beginning) && read_guard(beginning).state == GuardBlock::State::whole;
  return is_guarded || read_public_metadata(**file)
             ? Status()
             : Error(
                   ErrorKind::invalid_argument,
                   fmt::format("{}: no image begins there: a VM image, or something else", image()),
                   "export it to another place, without --in-place");
}

/// It is all that there is of the image afterwards: it must be what was read.
Status ExportSwtpmCommand::check_kept(const std::string& kept, const SwtpmStore& states) const {
  return read_image(kept, device(), opening_, [&](Store& store) {
    const Result<SwtpmStore> found = read_states(store);
    const bool is_same = found && store.info().sealed && found->version == states.version &&
                         found->states == states.states;
    return found && !is_same
               ? Status(Error(ErrorKind::stale, image() + ": it changed while it was copied",
                              "shut down what uses it"))
               : (found ? Status() : Status(found.error()));
  });
}

Status ExportSwtpmCommand::put_back(SwtpmReturn& place, const SwtpmStore& states,
                                    const SwtpmKey* key, bool& begun) {
  const Result<SwtpmStateFiles> files = wrap_swtpm_states(states, key);
  const Status locked = files ? place.lock() : files.error();
  const Result<std::string> kept = locked ? place.keep(keep_) : locked.error();
  if (!kept) {
    return kept.error();
  }
  Status done = check_kept(*kept, states);
  done = done ? place.put(states.version, *files, begun) : done;
  if (done || begun) {
    kept_ = *kept;
  } else {
    place.drop_kept();
  }
  return done;
}

Result<SwtpmStore> ExportSwtpmCommand::give_back(const SwtpmKey* key) {
  Result<SwtpmReturn> prepared = SwtpmReturn::prepare(image());
  if (!prepared) {
    return prepared.error();
  }
  std::optional<SwtpmReturn> place = *std::move(prepared);
  if (place->is_device() == keep_.empty()) {
    return Error(ErrorKind::invalid_argument,
                 place->is_device() ? "a device's image has to be copied: --keep FILE says where to"
                                    : "--keep is for devices: a file stays beside what is made");
  }
  std::unique_ptr<Store> store;
  Result<SwtpmStore> states = take_states(store);
  if (!states) {
    return states;
  }
  Status done = store->close();
  store.reset();
  if (done && place->version().value_or(states->version) != states->version) {
    done = Error(ErrorKind::invalid_argument, image() + ": its name is that of another TPM's state",
                 "export it to another place, without --in-place");
  }
  bool begun = false;
  done = done ? put_back(*place, *states, key, begun) : done;
  if (done) {
    return states;
  }
  if (begun) {
    return Error(done.error().kind(), done.error().cause(),
                 fmt::format("the image as it was is {}: put it back, and `unseal` it", kept_));
  }
  place.reset(); // With its locks.
  return take_seal_off(done.error()).error();
}

Status ExportSwtpmCommand::take_seal_off(const Error& why) const {
  const Result<AnchorUse> anchor = anchor_.open();
  auto file = open_image(Access::read_write);
  const bool unsealed =
      anchor && file && unseal_image(*std::move(file), {.keys = opening_, .anchor = *anchor});
  return unsealed ? why : Error(why.kind(), why.cause(), "the image stays sealed: `unseal` it");
}

Result<SwtpmStore> ExportSwtpmCommand::copy(const SwtpmKey* key) const {
  SwtpmStore states;
  const Status read = read_image(image(), device(), opening_, [&](Store& store) {
    Result<SwtpmStore> found = read_states(store);
    if (!found) {
      return Status(found.error());
    }
    states = *std::move(found);
    return Status();
  });
  const Status written = read ? write_swtpm_store(path_, back_end(), states, key) : read;
  return written ? Result<SwtpmStore>(std::move(states)) : written.error();
}

Result<ExitCode> ExportSwtpmCommand::run(Output& output) {
  Status fits = options_.check();
  if (fits && in_place_) {
    fits = check_in_place();
  } else if (fits) {
    fits = keep_.empty() && !path_.empty()
               ? check_swtpm_place(path_, back_end()) // Before anything is opened for it.
               : Status(Error(ErrorKind::invalid_argument,
                              "PATH is missing, or --in-place, which --keep is for"));
  }
  if (!fits) {
    return fits.error();
  }
  const auto key = options_.key();
  if (!key) {
    return key.error();
  }
  const SwtpmKey* const used = *key ? &**key : nullptr;
  if (const Status chosen = choose_keys(used); !chosen) {
    return chosen.error();
  }
  const auto work = [&] { return no_seal_ ? copy(used) : hand_over(used); };
  const Result<SwtpmStore> states = in_place_ ? give_back(used) : work();
  if (!states) {
    return states.error();
  }
  nlohmann::ordered_json more = {{"encrypted", used != nullptr}, {"sealed", !no_seal_}};
  if (in_place_) {
    more["kept"] = kept_;
    options_.show(kept_, image(), *states, more, output);
    show_note(kept_ + ": the image, sealed: its TPM goes on under swtpm");
    return ExitCode::ok;
  }
  options_.show(image(), path_, *states, more, output);
  show_note(no_seal_ ? image() + ": not sealed: its TPM and this copy must not both run"
                     : image() + ": sealed: its TPM goes on under swtpm");
  return ExitCode::ok;
}

} // namespace vnvram::cli
