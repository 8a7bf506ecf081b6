// `vnvram key`: who can open an encrypted image.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/anchor_options.h"
#include "cli/command.h"
#include "cli/key_options.h"

namespace vnvram::cli {

class KeyCommand : public Command {
public:
  explicit KeyCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  using Deed = Result<ExitCode> (KeyCommand::*)(Output&);
  struct Verb {
    CLI::App* app;
    Deed deed;
  };
  CLI::App& add_verb(Deed deed, const std::string& name, const std::string& summary,
                     const std::string& footer);
  void add_verbs_for_slots();

  using MakeSlot = std::function<Result<KeySlotInfo>(BlockDevice&, std::span<const KeySource>,
                                                     const NewKeySlot&)>;
  using MakeSlotByOwner = std::function<Result<KeySlotInfo>(const NewKeySlot&)>;
  /// With what the command line says, in the image or by its owner.
  Result<KeySlotInfo> make_slot(const MakeSlot& make, const MakeSlotByOwner& by_owner);
  [[nodiscard]] Result<std::vector<KeySlotInfo>> slots() const;

  Result<ExitCode> add(Output& output);
  Result<ExitCode> remove(Output& output);
  Result<ExitCode> change(Output& output);
  Result<ExitCode> list(Output& output);
  Result<ExitCode> test(Output& output);
  Result<ExitCode> rotate(Output& output);
  Result<ExitCode> rotate_live(Output& output);
  Result<ExitCode> show_who_opens(Output& output);

  std::vector<Verb> verbs_;
  bool by_owner_ = false; ///< The image is in use, and its owner does it.
  KeyOptions keys_;
  NewKeyOptions new_key_;
  std::optional<AnchorOptions> anchor_; ///< Of rotate.
  unsigned number_ = 0;
  bool last_ = false;
  bool leave_out_others_ = false;
  std::vector<unsigned> without_;
  bool json_ = false;
};

} // namespace vnvram::cli
