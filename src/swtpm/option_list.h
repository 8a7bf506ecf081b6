// The value of one of swtpm's options: a list of "KEY=VALUE" and "KEY", with commas between.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "vnvram/result.h"

namespace vnvram {

/// What a key's value is. A user or a group is a number or a name.
enum class OptionKind { text, integer, natural, flag, mode, user, group };

struct OptionKey {
  std::string_view name;
  OptionKind kind = OptionKind::text;
};

/// As swtpm reads it: a key alone is that flag set, or the text "true"; of a key that is given
/// twice the first one counts; a flag is true by "true" and "1", and false by anything else. A key
/// that is not known, or has nothing behind its "=", is refused. Commas too many do no harm.
class OptionList {
public:
  /// `subject` is what swtpm calls the option in its messages. Errors: invalid_argument.
  static Result<OptionList> parse(std::string_view subject, std::string_view list,
                                  std::span<const OptionKey> keys);

  /// Nothing: the key is not there. `key` is of that kind, else there is nothing either.
  [[nodiscard]] std::optional<std::string> text(std::string_view key) const;
  [[nodiscard]] std::optional<long> number(std::string_view key) const;
  [[nodiscard]] bool flag(std::string_view key, bool otherwise = false) const;
  /// A number that is negative stands for one that is not there.
  [[nodiscard]] std::optional<int> descriptor(std::string_view key) const;

private:
  using Value = std::variant<std::string, long, bool>;

  [[nodiscard]] const Value* find(std::string_view key) const;
  Status add(std::string_view token, std::span<const OptionKey> keys);
  static Result<Value> read_value(OptionKind kind, const std::string& text);

  std::vector<std::pair<std::string, Value>> values_;
};

/// A mistake on the command line: in swtpm's words, and what to do about it.
Error option_error(std::string cause, std::string remedy = {});

} // namespace vnvram
