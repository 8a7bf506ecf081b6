#include "cli/key_command.h"

#include <nlohmann/json.hpp>

#include "cli/key_text.h"
#include "cli/owner_keys.h"
#include "cli/owner_socket.h"
#include "cli/progress.h"
#include "cli/repeated_option.h"
#include "cli/text.h"
#include "vnvram/store.h"

namespace vnvram::cli {
namespace {

constexpr unsigned number_max = 15;

} // namespace

KeyCommand::KeyCommand(CLI::App& parent)
    : Command(
          parent, "key", "say who can open an encrypted image",
          "An encrypted image has up to 16 key slots. Each is one holder's: whatever opens one "
          "of them opens the image.\n"
          "Slots are added, exchanged and taken away one by one, and a cut leaves the old ones "
          "or the new. Of an image that is in use its owner does it: unix:PATH in place of IMAGE, "
          "and no --key.\n\n"
          "Example:\n"
          "  vnvram key ls vm.nvram") {
  app().require_subcommand(1);
  CLI::App& adding = add_verb(
      &KeyCommand::add, "add", "give one holder more the image",
      std::string("Says which slot it is.\n\n") + key_words +
          "\nExamples:\n"
          "  vnvram key add vm.nvram --key file:/run/vm.key --new-key passphrase --label operator\n"
          "  vnvram key add vm.nvram --key passphrase --new-key public:escrow.pem --label escrow\n"
          "  clevis encrypt tang '{\"url\":\"http://tang\"}' < vm.key > vm.jwe\n"
          "  vnvram key add vm.nvram --key file:vm.key \\\n"
          "    --new-key 'exec:clevis decrypt,public=vm.jwe' --label tang\n"
          "  vnvram key add unix:/run/vm/owner.sock --new-key passphrase   # while its machine "
          "runs");
  keys_.add_to(adding);
  new_key_.add_to(adding);
  add_verbs_for_slots();
  CLI::App& listing = add_verb(&KeyCommand::list, "ls", "list the key slots",
                               "That needs no key. An image that is in use can be looked at as "
                               "well.\n\n"
                               "Example:\n"
                               "  vnvram key ls vm.nvram");
  listing.add_flag("--json", json_, "print JSON");
  CLI::App& testing = add_verb(&KeyCommand::test, "test", "try whether a key opens the image",
                               "Says which slot it opens; ends with 16 if it opens none. It works "
                               "beside an owner, and changes nothing.\n\n"
                               "Example:\n"
                               "  vnvram key test vm.nvram --key passphrase");
  keys_.add_to(testing);
  CLI::App& rotating = add_verb(
      &KeyCommand::rotate, "rotate", "exchange the data key, and encrypt everything anew",
      "For when somebody had a key who must not read the image any more. A cut at any moment "
      "leaves\n"
      "an image that opens, with the old data key or the new one; `rotate` again then. Slots of\n"
      "public keys go along by themselves; of the others each needs its key, by --key, or is left\n"
      "out. Older copies (snapshots, backups) are what they were.\n\n"
      "Examples:\n"
      "  vnvram key rm vm.nvram 2\n"
      "  vnvram key rotate vm.nvram --key file:/etc/vnvram/host.key --key passphrase\n"
      "  vnvram key rotate unix:/run/vm/owner.sock   # while its machine runs");
  keys_.add_to(rotating);
  anchor_ = AnchorOptions::of_work(rotating);
  rotating.add_flag("--leave-out-others", leave_out_others_,
                    "slots without their key open the image no more");
  repeated(rotating.add_option(
               "--without", without_,
               "this slot opens the image no more; may be repeated: how a holder is shut out"))
      ->type_name("SLOT")
      ->check(CLI::Range(0U, number_max));
}

void KeyCommand::add_verbs_for_slots() {
  CLI::App& removing = add_verb(
      &KeyCommand::remove, "rm", "take a key slot away",
      "That needs no key. Whoever had it opens older copies of the image all the same (snapshots,\n"
      "backups), and this one if he has kept the data key.\n\n"
      "Example:\n"
      "  vnvram key rm vm.nvram 2");
  removing.add_flag("--last", last_, "also if nobody can open the image then");
  CLI::App& changing =
      add_verb(&KeyCommand::change, "change", "exchange what opens a slot",
               "Its number stays, and its label if there is no new one. If it is the one that a "
               "running\n"
               "owner was started with: another owner needs the new key.\n\n"
               "Example:\n"
               "  vnvram key change vm.nvram 1 --key passphrase --new-key passphrase");
  keys_.add_to(changing);
  new_key_.add_to(changing);
  for (CLI::App* verb : {&removing, &changing}) {
    verb->add_option("SLOT", number_, "the slot's number, as `vnvram key ls` has it")
        ->required()
        ->check(CLI::Range(0U, number_max));
  }
}

CLI::App& KeyCommand::add_verb(Deed deed, const std::string& name, const std::string& summary,
                               const std::string& footer) {
  CLI::App* verb = app().add_subcommand(name, summary);
  verb->footer(footer);
  if (deed == &KeyCommand::test) {
    add_image_to(*verb);
  } else {
    add_image_or_owner_to(*verb);
  }
  verbs_.push_back({verb, deed});
  return *verb;
}

Result<ExitCode> KeyCommand::run(Output& output) {
  for (const Verb& verb : verbs_) {
    if (!verb.app->parsed()) {
      continue;
    }
    by_owner_ = verb.deed != &KeyCommand::test && is_owner_socket(image());
    const Status fits = by_owner_ ? check_for_owner(*verb.app) : Status();
    return fits ? (this->*verb.deed)(output) : fits.error();
  }
  return ExitCode::usage;
}

Result<KeySlotInfo> KeyCommand::make_slot(const MakeSlot& make, const MakeSlotByOwner& by_owner) {
  const auto keys = keys_.keys();
  const auto slot = new_key_.slot();
  if (!keys || !slot) {
    return keys ? slot.error() : keys.error();
  }
  if (by_owner_) {
    return by_owner(*slot);
  }
  const auto device = open_image(Access::read_write);
  return device ? make(**device, *keys, *slot) : Result<KeySlotInfo>(device.error());
}

Result<ExitCode> KeyCommand::add(Output& output) {
  const auto added =
      make_slot([](BlockDevice& device, std::span<const KeySource> keys,
                   const NewKeySlot& slot) { return add_key_slot(device, keys, slot); },
                [this](const NewKeySlot& slot) { return add_slot_by_owner(image(), slot); });
  if (!added) {
    return added.error();
  }
  output.write_text(slot_text(*added) + '\n');
  return ExitCode::ok;
}

Result<ExitCode> KeyCommand::remove(Output& /*output*/) {
  Status removed;
  if (by_owner_) {
    removed = remove_slot_by_owner(image(), number_, last_);
  } else {
    const auto device = open_image(Access::read_write);
    removed = device ? remove_key_slot(**device, number_, last_) : Status(device.error());
  }
  return removed ? Result<ExitCode>(ExitCode::ok) : removed.error();
}

Result<ExitCode> KeyCommand::change(Output& output) {
  const auto changed = make_slot(
      [this](BlockDevice& device, std::span<const KeySource> keys, const NewKeySlot& slot) {
        return change_key_slot(device, keys, number_, slot);
      },
      [this](const NewKeySlot& slot) { return change_slot_by_owner(image(), number_, slot); });
  if (!changed) {
    return changed.error();
  }
  output.write_text(slot_text(*changed) + '\n');
  return ExitCode::ok;
}

Result<std::vector<KeySlotInfo>> KeyCommand::slots() const {
  if (by_owner_) {
    return list_slots_by_owner(image());
  }
  const auto device = open_image(Access::read_only);
  return device ? list_key_slots(**device) : Result<std::vector<KeySlotInfo>>(device.error());
}

Result<ExitCode> KeyCommand::list(Output& output) {
  const auto found = slots();
  if (!found) {
    return found.error();
  }
  if (json_) {
    output.write_json(slots_json(*found));
  } else {
    output.write_text(slots_text(*found));
  }
  return ExitCode::ok;
}

Result<ExitCode> KeyCommand::rotate_live(Output& output) {
  const auto slots = rotate_by_owner(image(), leave_out_others_, without_);
  if (!slots) {
    return slots.error();
  }
  for (const std::string& slot : slots->left_out) {
    output.write_text("left out: " + printable(slot) + '\n');
  }
  for (const std::string& slot : slots->opens) {
    output.write_text("opens it: " + printable(slot) + '\n');
  }
  return ExitCode::ok;
}

// Whoever has put a slot back meanwhile is seen.
Result<ExitCode> KeyCommand::show_who_opens(Output& output) {
  const auto found = slots();
  if (!found) {
    return found.error();
  }
  for (const KeySlotInfo& slot : *found) {
    output.write_text("opens it: " + slot_text(slot) + '\n');
  }
  return ExitCode::ok;
}

Result<ExitCode> KeyCommand::rotate(Output& output) {
  if (by_owner_) {
    return rotate_live(output);
  }
  const auto keys = keys_.keys();
  if (!keys) {
    return keys.error();
  }
  Result<AnchorUse> anchor = anchor_->open();
  if (!anchor) {
    return anchor.error();
  }
  auto device = open_image(Access::read_write);
  if (!device) {
    return device.error();
  }
  const auto store = Store::open(*std::move(device), {.background = false,
                                                      .keys = KeyRing(*keys),
                                                      .accept_sealed = true,
                                                      .anchor = *std::move(anchor)});
  if (!store) {
    return store.error();
  }
  Progress progress("rotate");
  const auto left_out = (*store)->rotate_data_key(
      {.holders = *keys,
       .without = without_,
       .leave_out_others = leave_out_others_,
       .progress = [&](std::uint64_t done, std::uint64_t all) { progress.show(done, all); }});
  progress.clear();
  const Status closed = (*store)->close();
  if (!left_out || !closed) {
    return left_out ? closed.error() : left_out.error();
  }
  for (const KeySlotInfo& slot : *left_out) {
    output.write_text("left out: " + slot_text(slot) + '\n');
  }
  return show_who_opens(output);
}

Result<ExitCode> KeyCommand::test(Output& output) {
  const auto keys = keys_.keys();
  if (!keys) {
    return keys.error();
  }
  const auto device = open_image(Access::read_only);
  const auto slot = device ? test_key(**device, *keys) : Result<KeySlotInfo>(device.error());
  if (!slot) {
    return slot.error();
  }
  output.write_text(slot_text(*slot) + '\n');
  return ExitCode::ok;
}

} // namespace vnvram::cli
