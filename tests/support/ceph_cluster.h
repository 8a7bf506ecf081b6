// The cluster of tests/system/harness/ceph_cluster.py, for tests that are not Python.
#pragma once

#include <string>

#include "support/process.h"

namespace vnvram::test {

/// Up from construction on, with a pool "rbd" and one OSD; it ends with its object, or this
/// program.
class CephCluster {
public:
  /// An OSD is to be frozen, or to be killed: not both (see there).
  enum class Osd { dies, freezes };
  explicit CephCluster(Osd osd = Osd::dies);

  [[nodiscard]] const std::string& conf() const { return conf_; }
  /// rbd:rbd/NAME..., with the configuration behind it.
  [[nodiscard]] std::string location(const std::string& name) const;
  /// One of Ceph's commands, which must succeed; returns what it says.
  std::string run(const std::string& command_line);

  void kill_osd() { run("kill"); }
  /// On the disk that it had.
  void restart_osd() { run("restart"); }
  /// It stays, and does nothing, until it is thawed.
  void freeze_osd() { run("freeze"); }
  void thaw_osd() { run("thaw"); }
  void kill_monitor() { run("kill-monitor"); }
  void restart_monitor() { run("restart-monitor"); }

private:
  Process process_;
  std::string conf_;
  unsigned commands_ = 0;
};

} // namespace vnvram::test
