#include "support/ceph_cluster.h"

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace vnvram::test {
namespace {

// Longer than the cluster waits for itself.
constexpr std::chrono::seconds patience{200};
constexpr const char* beginning = "up ";

std::vector<std::string> command_line(CephCluster::Osd osd) {
  std::vector<std::string> words = {
      "env", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=" VNVRAM_SYSTEM_TESTS, "/usr/bin/python3",
      "-m",  "harness.ceph_cluster"};
  if (osd == CephCluster::Osd::freezes) {
    words.emplace_back("--freezes");
  }
  return words;
}

} // namespace

CephCluster::CephCluster(Osd osd) : process_(command_line(osd)) {
  if (!process_.wait_for_output(beginning, patience) || !process_.wait_for_output("\n", patience)) {
    throw std::runtime_error("no cluster: " + process_.output());
  }
  const std::string& output = process_.output();
  const std::size_t begin = output.find(beginning) + std::string(beginning).size();
  conf_ = output.substr(begin, output.find('\n', begin) - begin);
}

std::string CephCluster::location(const std::string& name) const {
  return "rbd:rbd/" + name + ":conf=" + conf_;
}

std::string CephCluster::run(const std::string& command_line) {
  const std::size_t begin = process_.output().size();
  process_.write(command_line + "\n");
  const std::string end = "done " + std::to_string(++commands_) + ".\n";
  if (!process_.wait_for_output(end, patience)) {
    throw std::runtime_error(command_line + ": " + process_.output());
  }
  const std::string said = process_.output().substr(begin);
  if (said.find("\nfailed: ") != std::string::npos) {
    throw std::runtime_error(command_line + said);
  }
  return said.substr(0, said.rfind(end));
}

} // namespace vnvram::test
