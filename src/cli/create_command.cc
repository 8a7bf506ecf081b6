#include "cli/create_command.h"

#include <fmt/core.h>

#include "base/plain_text.h"
#include "base/secret_bytes.h"
#include "base/size_text.h"
#include "cli/progress.h"
#include "cli/who_and_when.h"
#include "provision/image_creator.h"
#include "vnvram/version.h"

namespace vnvram::cli {
namespace {

/// What CLI11 gives for a --birth without a value.
constexpr const char* no_note = "-";

} // namespace

CreateCommand::CreateCommand(CLI::App& parent)
    : Command(
          parent, "create", "make an image, with the blobs that it begins with",
          "Without --size the image has room for its blobs and to register as much again, at\n"
          "least 4 MiB. A file is complete before it appears under its name; a failure leaves\n"
          "what was there. A block device or an NBD export is formatted in place, all of it;\n"
          "an RBD image (rbd:POOL/IMAGE) that is not there is made.\n"
          "A name that ends in .qcow2, .vmdk, .vhdx, .vdi or .luks makes a VM image in that\n"
          "format, allocated in full; a VM image that is there and holds nothing is used.\n"
          "The FILE of --uefi is the store of UEFI variables that comes with the machine's\n"
          "firmware, beside its code; the blob has exactly its size, as QEMU's flash needs it.\n"
          "`vnvram serve` serves all of it: TPMs (each with a prefix, if there are several), UEFI\n"
          "variables and other devices.\n\n"
          "Examples:\n"
          "  vnvram create vm.nvram --tpm2 --uefi /usr/share/OVMF/OVMF_VARS_4M.fd\n"
          "  vnvram create two.nvram --tpm2=guest1/ --tpm2=guest2/\n"
          "  vnvram create vm.qcow2 --tpm2\n"
          "  vnvram create vm.luks --image-key vm.key --tpm2\n"
          "  vnvram create vm.nvram --tpm2 --manufacture --vmid vm1\n"
          "  vnvram create /dev/vg0/vm-nvram --tpm12 --blob eeprom:at24c:8K --force\n"
          "  vnvram create vm.nvram --tpm2 --encrypt --key file:/etc/vnvram/host.key --label host "
          "\\\n"
          "    --key public:escrow.pem --label escrow"),
      anchor_(AnchorOptions::of_work(app())) {
  add_image_without_key();
  app().add_flag("--encrypt", encrypt_, "only who has one of the keys can read it");
  new_keys_.add_to(app(), "--key");
  blobs_.add_to(app(), true);
  app().add_option("--size", size_, "the size of the image (K, M, G: 1024-fold)")->type_name("N");
  app()
      .add_option("--ring-size", ring_size_,
                  "the size of its log; a larger one allows larger blobs later")
      ->type_name("N");
  app()
      .add_option("--format", format_,
                  "qcow2, vmdk, vhdx, vdi, luks or raw; if not said, what the name ends in")
      ->type_name("FORMAT");
  birth_option_ = app().add_flag(
      "--birth{-}", birth_,
      "have the image say who made it, when and with which program, and --birth=NOTE that, too: "
      "`vnvram meta get IMAGE birth`");
  app().add_flag("--force", force_, "write over what is there, whatever it is");
  manufacture_.add_to(app());
}

// A failure leaves an image whose anchor is not there, or another's: refused until it is accepted.
Status CreateCommand::anchor(const AnchorUse& use, const CreateOptions& created) const {
  if (!use.anchor) {
    return {};
  }
  KeyRing keys;
  for (const NewKeySlot& slot : created.key_slots) {
    keys.add(slot.source);
  }
  auto made = open_image(Access::read_write);
  return made ? accept_anchor(*std::move(made), use.anchor, {}, keys) : made.error();
}

// Before anything is made: an anchor that speaks of an image is not overwritten by the way.
Result<AnchorUse> CreateCommand::open_free_anchor() const {
  Result<AnchorUse> use = anchor_.open();
  if (!use || !use->anchor || force_) {
    return use;
  }
  const Result<std::optional<AnchorPoint>> point = use->anchor->read();
  if (!point) {
    return point.error();
  }
  if (*point) {
    return Error(ErrorKind::exists,
                 use->anchor->name() + ": it is the anchor of an image that was made before",
                 "name another one, or overwrite it with --force");
  }
  return use;
}

std::string CreateCommand::birth_text() const {
  const bool has_note = !birth_.empty() && birth_ != no_note;
  return plain_text(fmt::format("{} with vnvram {}{}{}", who_and_when(), version(),
                                has_note ? ": " : "", has_note ? birth_ : ""));
}

// Before certificates are issued for nothing: what can be wrong with the image or its place, with
// what the TPMs will say of themselves.
Status CreateCommand::manufacture(CreateOptions& options, std::uint64_t size_bytes) const {
  if (manufacture_.wanted()) {
    CreateOptions tried = options;
    tried.metadata.merge(manufacture_.metadata_room(options));
    if (Status fits = check_image_file(image(), size_bytes, tried); !fits) {
      return fits;
    }
  }
  return manufacture_.fill(options);
}

Result<ExitCode> CreateCommand::run(Output& /*output*/) {
  CreateOptions options;
  options.force = force_;
  options.device = device();
  options.device.image_format = format_;
  std::uint64_t size_bytes = 0;
  for (const auto& [text, target] :
       {std::pair{&size_, &size_bytes}, std::pair{&ring_size_, &options.ring_size_bytes}}) {
    if (text->empty()) {
      continue;
    }
    const auto parsed = parse_size(*text);
    if (!parsed) {
      return parsed.error();
    }
    *target = *parsed;
  }
  auto blobs = blobs_.new_blobs(force_);
  if (!blobs) {
    return blobs.error();
  }
  options.blobs = std::move(*blobs);
  if (const Status fits = manufacture_.check(options); !fits) {
    return fits.error();
  }
  if (birth_option_->count() > 0) {
    options.metadata.emplace("birth", birth_text());
  }
  if (encrypt_ != new_keys_.given()) {
    return Error(ErrorKind::invalid_argument,
                 encrypt_ ? "--encrypt without a key: nobody could open it"
                          : "--key without --encrypt: a plain image has no key",
                 "give both, or neither");
  }
  const Result<std::vector<NewKeySlot>> slots = new_keys_.slots();
  if (!slots) {
    return slots.error();
  }
  options.key_slots = *slots;
  const Result<AnchorUse> anchor_use = open_free_anchor();
  if (!anchor_use) {
    return anchor_use.error();
  }
  if (anchor_use->anchor && encrypt_ && new_keys_.are_public()) {
    return Error(
        ErrorKind::invalid_argument,
        "--anchor: the image that is made could not be opened to write it, with public keys alone",
        "give another key as well, or leave the anchor to `anchor accept`");
  }
  if (const Status manufactured = manufacture(options, size_bytes); !manufactured) {
    return manufactured.error();
  }
  Progress progress("create");
  options.progress = [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
    progress.show(done_bytes, all_bytes);
  };
  const Status created = create_image_file(image(), size_bytes, options);
  progress.clear(); // Before what may have to be said.
  for (NewBlob& blob : options.blobs) {
    if (blob.content) {
      wipe_memory(*blob.content); // Of a TPM it is secrets.
    }
  }
  if (!created) {
    return created.error();
  }
  const Status anchored = anchor(*anchor_use, options);
  return anchored ? Result<ExitCode>(ExitCode::ok) : anchored.error();
}

} // namespace vnvram::cli
