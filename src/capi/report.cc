// The C API's check of an image, and what it found.
#include <memory>

#include "capi/arguments.h"
#include "vnvram/store.h"

using namespace vnvram;
using namespace vnvram::capi;

struct vnvram_report {
  CheckReport report;
  std::vector<std::vector<const char*>> blobs; ///< Of each problem; they point into `report`.
};

vnvram_kind vnvram_check(const char* path, vnvram_progress progress, void* opaque,
                         vnvram_report** report, vnvram_error** error) {
  return vnvram_check_with_keys(path, nullptr, 0, progress, opaque, report, error);
}

vnvram_kind vnvram_check_with_keys(const char* path, const char* const* keys, size_t key_count,
                                   vnvram_progress progress, void* opaque, vnvram_report** report,
                                   vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    const auto name = take_string(path, "path");
    const auto ring = take_key_ring(keys, key_count);
    if (!name || !ring) {
      return !name ? name.error() : ring.error();
    }
    if (report == nullptr) {
      return invalid("report is NULL");
    }
    const auto device = open_device(*name, Access::read_only);
    if (!device) {
      return device.error();
    }
    const auto call_progress = [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
      if (progress != nullptr) {
        progress(opaque, done_bytes, all_bytes);
      }
    };
    auto checked = check_image(**device, call_progress, *ring);
    if (!checked) {
      return checked.error();
    }
    auto result = std::make_unique<vnvram_report>();
    result->report = std::move(*checked);
    for (const CheckProblem& problem : result->report.problems) {
      auto& names = result->blobs.emplace_back();
      for (const std::string& blob : problem.blobs) {
        names.push_back(blob.c_str());
      }
    }
    *report = result.release();
    return {};
  });
}

uint64_t vnvram_report_generation(const vnvram_report* report) {
  return report == nullptr ? 0 : report->report.generation;
}

size_t vnvram_report_problem_count(const vnvram_report* report) {
  return report == nullptr ? 0 : report->report.problems.size();
}

vnvram_kind vnvram_report_problem(const vnvram_report* report, size_t index,
                                  vnvram_problem* problem, vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    if (report == nullptr) {
      return invalid("report is NULL");
    }
    if (index >= report->report.problems.size()) {
      return Error(ErrorKind::not_found,
                   "the report has no problem number " + std::to_string(index));
    }
    const CheckProblem& found = report->report.problems[index];
    vnvram_problem result{};
    result.place = found.place.c_str();
    result.what = found.what.c_str();
    result.blobs = report->blobs[index].data();
    result.blob_count = found.blobs.size();
    result.data_lost = found.data_lost ? 1 : 0;
    return give_struct(problem, result, "vnvram_problem");
  });
}

void vnvram_report_free(vnvram_report* report) {
  const std::unique_ptr<vnvram_report> owned(report);
}
