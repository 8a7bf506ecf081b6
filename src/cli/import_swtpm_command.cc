#include "cli/import_swtpm_command.h"

#include <algorithm>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/plain_text.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/reader.h"
#include "content/tpm_state_check.h"

namespace vnvram::cli {
namespace {

TpmVersion other_than(TpmVersion version) {
  return version == TpmVersion::tpm2_0 ? TpmVersion::tpm1_2 : TpmVersion::tpm2_0;
}

/// As `create` and `register` have them, with their contents; larger if a state is, which another
/// libtpms has made.
std::vector<NewBlob> blobs_of(const SwtpmStore& source, const std::string& prefix) {
  std::vector<NewBlob> blobs;
  std::vector<BlobSpec> specs = tpm_blob_specs(source.version, prefix);
  for (std::size_t index = 0; index < specs.size(); ++index) {
    const std::vector<std::byte>& state = source.states.at(index);
    BlobSpec& spec = specs.at(index);
    spec.size_max_bytes = std::max<std::uint64_t>(spec.size_max_bytes, state.size());
    blobs.push_back(
        {.spec = std::move(spec), .content = state.empty() ? std::nullopt : std::optional(state)});
  }
  return blobs;
}

} // namespace

ImportSwtpmCommand::ImportSwtpmCommand(CLI::App& parent)
    : Command(
          parent, "import-swtpm", "take a TPM over that swtpm has kept",
          "PATH is the folder that swtpm was given (dir=), or the file or block device of its "
          "back\n"
          "end file://. It is only read, and must not be in use. What is in it, the volatile "
          "state\n"
          "as well, is in IMAGE when this ends with 0, byte for byte as libtpms made it, whole or\n"
          "not at all. Before anything is written libtpms has to take it.\n\n"
          "Without an IMAGE there one is made, as create --tpm2 makes it. One that is there gets "
          "the\n"
          "TPM beside its other blobs, unless it has one that was used. From then on swtpm must "
          "not\n"
          "run on PATH any more: there would be two TPMs that are one.\n\n"
          "Examples:\n"
          "  vnvram import-swtpm /var/lib/libvirt/swtpm/UUID/tpm2 vm.nvram\n"
          "  vnvram import-swtpm /dev/vg0/vm-100-tpm vm.nvram\n"
          "  vnvram import-swtpm state vm.nvram --swtpm-key pwdfile=vm.pwd,mode=aes-256-cbc"),
      anchor_((app()
                   .add_option("PATH", path_, "swtpm's folder, its linear file, or its device")
                   ->required(),
               add_image(), AnchorOptions::of_work(app()))),
      grow_(app()) {
  options_.add_to(app());
  app().add_flag("--replace", replace_, "give up the state of the TPM that IMAGE has");
  add_space_option(app(), space_);
}

Result<SwtpmStore> ImportSwtpmCommand::read_source() const {
  if (Status fits = options_.check(); !fits) {
    return fits.error();
  }
  const auto key = options_.key();
  if (!key) {
    return key.error();
  }
  Result<SwtpmStore> source = read_swtpm_store(path_, *key ? &**key : nullptr, options_.version());
  if (!source) {
    // Of an image that would be said with the same code, and means something else.
    const bool is_absent = source.error().kind() == ErrorKind::absent;
    return is_absent ? Error(ErrorKind::io, source.error().cause(), source.error().remedy())
                     : source.error();
  }
  const Status taken = check_tpm_states(source->version, source->states, path_);
  return taken ? std::move(source)
               : Error(ErrorKind::corrupt, taken.error().cause(),
                       "take it from a backup; or a newer libtpms has made it than is here");
}

Status ImportSwtpmCommand::check_unused(const Store& store, TpmVersion version) const {
  for (const BlobInfo& blob : store.blobs()) {
    for (std::size_t index = 0; index < tpm_state_count; ++index) {
      const auto state = static_cast<TpmState>(index);
      const auto name = [&](TpmVersion of) {
        return options_.prefix() + std::string(tpm_blob_name(of, state));
      };
      if (blob.name == name(other_than(version))) {
        return Error(ErrorKind::exists,
                     fmt::format("there is a TPM of the other version: blob {}", blob.name),
                     "give this one a prefix: --blobs; or `rm` that one's three blobs");
      }
      if (!replace_ && blob.generation != 0 && blob.name == name(version)) {
        return Error(ErrorKind::exists,
                     fmt::format("there is a TPM that was used: blob {}", blob.name),
                     "--replace gives its state up; --blobs puts another TPM beside it");
      }
    }
  }
  return {};
}

Result<bool> ImportSwtpmCommand::look(TpmVersion version) const {
  const Status looked = look_before_writing(
      image(), device(), keys(), [&](Store& store) { return check_unused(store, version); });
  if (looked) {
    return true;
  }
  const ErrorKind kind = looked.error().kind();
  return kind == ErrorKind::absent || kind == ErrorKind::blank ? Result<bool>(false)
                                                               : looked.error();
}

ImageIdentity ImportSwtpmCommand::identity_of(const SwtpmStore& source) const {
  return {options_.prefix(),
          source.version == TpmVersion::tpm2_0 ? source.states.front() : std::vector<std::byte>()};
}

Status ImportSwtpmCommand::make_image(const std::vector<NewBlob>& blobs,
                                      const ImageIdentity& identity) const {
  if (!keys().empty() || anchor_.given()) {
    return Error(ErrorKind::invalid_argument,
                 "the image that is made here would have neither a key nor an anchor",
                 "make it first, with `create`, and then import into it");
  }
  CreateOptions options;
  options.blobs = blobs;
  options.metadata = identity.metadata();
  options.device = device();
  Progress progress("import-swtpm");
  options.progress = [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
    progress.show(done_bytes, all_bytes);
  };
  const Status created = create_image_file(image(), 0, options);
  progress.clear();
  return created;
}

Result<bool> ImportSwtpmCommand::put_into_image(const SwtpmStore& source,
                                                const std::vector<NewBlob>& blobs,
                                                const ImageIdentity& identity) const {
  const auto grow_max_bytes = grow_.max_bytes();
  if (!grow_max_bytes) {
    return grow_max_bytes.error();
  }
  const auto store = open_for_writing(image(), device(), keys(), space_, anchor_, *grow_max_bytes);
  if (!store) {
    return store.error();
  }
  const Result<PublicMetadata> metadata = read_public_metadata((*store)->device());
  if (!metadata) {
    return metadata.error();
  }
  const auto change = [&](const std::string& name, const std::optional<std::string>& value) {
    return (*store)->set_metadata(name, value);
  };
  Status done = check_unused(**store, source.version); // Nobody else can change it now.
  done = done ? identity.remove_others(*metadata, change) : done;
  // Of one that was never used this is all of it, in one transaction.
  done = done ? (*store)->register_blobs(std::span<const NewBlob>(blobs)) : done;
  if (done && replace_) {
    Transaction transaction;
    for (std::size_t index = 0; index < blobs.size(); ++index) {
      transaction.write(blobs.at(index).spec.name,
                        std::span<const std::byte>(source.states.at(index)));
    }
    done = (*store)->commit(transaction);
  }
  done = done ? identity.note(*metadata, change) : done;
  const bool encrypted = (*store)->info().encrypted;
  done = done ? (*store)->close() : done;
  return done ? Result<bool>(encrypted) : done.error();
}

Result<ExitCode> ImportSwtpmCommand::run(Output& output) {
  const Result<SwtpmStore> source = read_source();
  if (!source) {
    return source.error();
  }
  const Result<bool> is_there = look(source->version);
  if (!is_there) {
    return is_there.error();
  }
  const ImageIdentity identity = identity_of(*source);
  const std::vector<NewBlob> blobs = blobs_of(*source, options_.prefix());
  bool encrypted = false;
  if (*is_there) {
    const Result<bool> put = put_into_image(*source, blobs, identity);
    if (!put) {
      return put.error();
    }
    encrypted = *put;
  } else if (Status made = make_image(blobs, identity); !made) {
    return made.error();
  }
  options_.show(
      path_, image(), *source,
      {{"created", !*is_there}, {"was_encrypted", source->was_encrypted}, {"encrypted", encrypted}},
      output);
  show_note(plain_text(path_) + ": swtpm must not run on it any more; move it away, or remove it");
  if (source->was_encrypted && !encrypted) {
    show_note("swtpm had the state encrypted, and the image is not: `vnvram encrypt` does that");
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
