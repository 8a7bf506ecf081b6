// A folder that its owner exchanges while somebody else makes a file in it.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "support/temporary_directory.h"

namespace vnvram::test {

class ExchangedFolder {
public:
  ExchangedFolder() {
    std::filesystem::create_directory(path());
    std::filesystem::create_directory(victim());
    for (const char* name : {"vm.nvram", "tpm2-00.permall", ".lock", "file"}) {
      std::ofstream(victim() + "/" + name) << name;
    }
  }

  [[nodiscard]] std::string path() const { return directory_.path("folder"); }
  /// Where the folder is after exchange().
  [[nodiscard]] std::string moved() const { return directory_.path("moved"); }

  /// From now on its path leads to the victim.
  void exchange() const {
    std::filesystem::rename(path(), moved());
    std::filesystem::create_directory_symlink(victim(), path());
  }
  /// The same of the folders that are in it.
  void exchange_those_in_it() const {
    for (const std::string& name : names_in(path())) {
      const std::string each = path() + "/" + name;
      if (name.starts_with(".vnvram-new-")) {
        std::filesystem::rename(each, moved() + name);
        std::filesystem::create_directory_symlink(victim(), each);
      }
    }
  }
  void plant_link(const std::string& name) const {
    std::filesystem::create_directory_symlink(victim(), path() + "/" + name);
  }
  void give_victim_the_name(const std::string& name) {
    std::filesystem::permissions(victim(), std::filesystem::perms::owner_all);
    std::filesystem::rename(victim(), path() + "/" + name);
    victim_ = path() + "/" + name;
  }
  void expect_victim_as_it_was() const {
    ASSERT_TRUE(std::filesystem::exists(victim()));
    EXPECT_EQ(names_in(victim()),
              (std::set<std::string>{"vm.nvram", "tpm2-00.permall", ".lock", "file"}));
    for (const std::string& name : names_in(victim())) {
      std::ifstream file(victim() + "/" + name);
      EXPECT_EQ(std::string((std::istreambuf_iterator<char>(file)), {}), name);
    }
  }

  static std::set<std::string> names_in(const std::string& folder) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

private:
  [[nodiscard]] const std::string& victim() const { return victim_; }

  const TemporaryDirectory directory_;
  std::string victim_ = directory_.path("victim");
};

} // namespace vnvram::test
