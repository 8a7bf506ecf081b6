#include "cli/key_options.h"

#include <utility>

namespace vnvram::cli {
namespace {

KeySource parse(const std::string& option, const std::string& text) {
  Result<KeySource> source = KeySource::parse(text);
  if (!source) { // Without the text, which may be the key itself.
    throw CLI::ValidationError(option, source.error().text());
  }
  return *std::move(source);
}

} // namespace

void add_keys(CLI::App& app, KeyRing& keys, const std::string& what) {
  app.add_option_function<std::vector<std::string>>(
         "--key",
         [&keys](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) {
             keys.add(parse("--key", text));
           }
         },
         what)
      ->type_name("KEY")
      ->expected(1)
      ->take_all();
}

NewKeyOptions::NewKeyOptions(CLI::App& app, const std::string& option) {
  app.add_option_function<std::vector<std::string>>(
         option,
         [values = values_, option](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) {
             values->sources.push_back(parse(option, text));
           }
         },
         "who has this can open what is made: file:PATH, passphrase, public:PATH, "
         "exec:COMMAND,public=PATH, ...; may be repeated")
      ->type_name("KEY")
      ->expected(1)
      ->take_all();
  app.add_option("--label", values_->labels, "says who has the key; the first is the first key's")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all();
}

void NewKeyOptions::add_decrypt(CLI::App& app) {
  app.add_flag("--decrypt", values_->decrypt,
               "what is made is not encrypted, though what it is made of is");
}

Result<std::vector<NewKeySlot>> NewKeyOptions::slots() const {
  if (values_->labels.size() > values_->sources.size()) {
    return Error(ErrorKind::invalid_argument, "there are more labels than keys",
                 "each --label belongs to one key");
  }
  std::vector<NewKeySlot> slots;
  for (std::size_t i = 0; i < values_->sources.size(); ++i) {
    slots.push_back({.source = values_->sources[i],
                     .label = i < values_->labels.size() ? values_->labels[i] : std::string()});
  }
  return slots;
}

} // namespace vnvram::cli
