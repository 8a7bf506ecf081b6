#include "rescue/judge.h"

#include <algorithm>

#include "vnvram/store.h"

namespace vnvram {

Status judge(BlockDevice& repaired, RepairReport& report, const KeyRing& keys) {
  const Result<CheckReport> check = check_image(repaired, {}, keys);
  if (!check && check.error().kind() != ErrorKind::corrupt) {
    return check.error();
  }
  report.sound = std::all_of(report.findings.begin(), report.findings.end(),
                             [](const RepairFinding& finding) { return finding.mended; });
  if (report.sound && !check) {
    report.findings.push_back({"image", check.error().cause(), false});
  } else if (report.sound) {
    for (const CheckProblem& problem : check->problems) {
      report.findings.push_back({problem.place, problem.what, false});
    }
  }
  report.sound = report.sound && check && check->clean();
  return {};
}

} // namespace vnvram
