#include "cli/key_options.h"

#include <algorithm>
#include <utility>

#include "cli/repeated_option.h"
#include "service/private_memory.h"

namespace vnvram::cli {

void KeyOptions::add_to(CLI::App& app) {
  repeated(app.add_option("--key", keys_, "a key of the encrypted image; may be repeated"))
      ->type_name("KEY");
}

Result<std::vector<KeySource>> KeyOptions::keys() const {
  keep_memory_private();
  std::vector<KeySource> keys;
  for (const std::string& text : keys_) {
    Result<KeySource> key = KeySource::parse(text);
    if (!key) {
      return Error(key.error().kind(), "--key: " + key.error().cause(), key.error().remedy());
    }
    keys.push_back(*std::move(key));
  }
  return keys;
}

void add_keys(CLI::App& app, KeyRing& keys) {
  const auto take = [&keys](const std::vector<std::string>& texts) {
    keep_memory_private();
    for (const std::string& text : texts) {
      Result<KeySource> key = KeySource::parse(text);
      if (!key) { // Without the text, which may be the key itself.
        throw CLI::ValidationError("--key", key.error().text());
      }
      keys.add(*std::move(key));
    }
  };
  repeated(app.add_option_function<std::vector<std::string>>(
               "--key", take,
               "opens an encrypted image: file:PATH[,remove], fd:N, passphrase, "
               "passphrase:file:PATH[,remove], passphrase:fd:N, exec:COMMAND; may be repeated"))
      ->type_name("KEY");
}

void NewKeyOptions::add_of_copy_to(CLI::App& app) {
  add_to(app);
  app.add_flag("--decrypt", decrypts_, "OUT is not encrypted, though what it is made of is");
}

void NewKeyOptions::add_to(CLI::App& app, const std::string& option) {
  repeated(app.add_option(option, keys_, "who can open what is made: as --key, and public:PATH"))
      ->type_name("KEY");
  repeated(app.add_option("--label", labels_, "whose key that is, readable by everybody"))
      ->type_name("TEXT");
}

bool NewKeyOptions::are_public() const {
  return std::ranges::all_of(keys_,
                             [](const std::string& key) { return key.starts_with("public:"); });
}

Result<std::vector<NewKeySlot>> NewKeyOptions::slots() const {
  if (labels_.size() > keys_.size()) {
    return Error(ErrorKind::invalid_argument, "there are more labels than keys",
                 "each --label belongs to one key");
  }
  keep_memory_private();
  std::vector<NewKeySlot> slots;
  for (std::size_t place = 0; place < keys_.size(); ++place) {
    Result<KeySource> key = KeySource::parse(keys_[place]);
    if (!key) {
      return Error(key.error().kind(), "a new key: " + key.error().cause(), key.error().remedy());
    }
    slots.push_back({.source = *std::move(key),
                     .label = place < labels_.size() ? labels_[place] : std::string()});
  }
  return slots;
}

Result<NewKeySlot> NewKeyOptions::slot() const {
  Result<std::vector<NewKeySlot>> all = slots();
  if (!all) {
    return all.error();
  }
  if (all->size() != 1) {
    return Error(ErrorKind::invalid_argument,
                 all->empty() ? "there is no new key" : "there is more than one new key",
                 "--new-key KEY");
  }
  return std::move(all->front());
}

} // namespace vnvram::cli
