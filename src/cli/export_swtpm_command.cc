#include "cli/export_swtpm_command.h"

#include <filesystem>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/input.h"
#include "cli/reader.h"

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
          "An encrypted image that vnvram-swtpm has made is opened by --swtpm-key, too.\n\n"
          "Examples:\n"
          "  vnvram export-swtpm vm.nvram /var/lib/libvirt/swtpm/UUID/tpm2\n"
          "  vnvram export-swtpm vm.nvram /dev/vg0/vm-100-tpm\n"
          "  vnvram export-swtpm vm.nvram state --swtpm-key pwdfile=vm.pwd,mode=aes-256-cbc"),
      anchor_((
          add_image(),
          app().add_option("PATH", path_, "the folder, file or block device for swtpm")->required(),
          AnchorOptions::of_work(app()))) {
  options_.add_to(app());
  app().add_flag("--linear", linear_, "a file for swtpm's back end file://");
  app().add_flag("--no-seal", no_seal_,
                 "only copy: the image's TPM may go on, instead of that one");
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
Result<SwtpmStore> ExportSwtpmCommand::hand_over(const SwtpmKey* key) const {
  const Status looked = look_before_writing(image(), device(), opening_, [&](Store& store) {
    const Result<TpmVersion> version = find_version(store);
    return version ? Status() : version.error();
  });
  if (!looked) {
    return looked.error();
  }
  const auto store = open_for_writing(image(), device(), opening_, "ignore", anchor_);
  if (!store) {
    return store.error();
  }
  Result<SwtpmStore> states = read_states(**store);
  if (!states) {
    return states;
  }
  if (Status sealed = (*store)->seal(); !sealed) {
    return sealed.error();
  }
  if (const Status written = write_swtpm_store(path_, back_end(), *states, key); !written) {
    const Status unsealed = (*store)->unseal();
    return unsealed ? written.error()
                    : Error(written.error().kind(), written.error().cause(),
                            "the image stays sealed: `unseal` it");
  }
  const Status closed = (*store)->close();
  return closed ? std::move(states) : closed.error();
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
  fits = fits ? check_swtpm_place(path_, back_end()) : fits; // Before anything is opened for it.
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
  const Result<SwtpmStore> states = no_seal_ ? copy(used) : hand_over(used);
  if (!states) {
    return states.error();
  }
  options_.show(image(), path_, *states, {{"encrypted", used != nullptr}, {"sealed", !no_seal_}},
                output);
  show_note(no_seal_ ? image() + ": not sealed: its TPM and this copy must not both run"
                     : image() + ": sealed: its TPM goes on under swtpm");
  return ExitCode::ok;
}

} // namespace vnvram::cli
