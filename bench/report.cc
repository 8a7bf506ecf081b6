#include "bench/report.h"

#include <initializer_list>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace vnvram::bench {
namespace {

constexpr std::uint64_t commit_max_bytes = 4096;
constexpr std::uint64_t commits_per_extra_flush_min = 50;
constexpr std::uint64_t nbd_reads_max =
    2; // One, and one more if the machine was busy for a second.

double ratio(std::uint64_t dividend, std::uint64_t divisor) {
  return divisor == 0 ? 0 : static_cast<double>(dividend) / static_cast<double>(divisor);
}

std::uint64_t nbd_requests(const test::DeviceCost& cost) {
  return cost.writes + cost.durable_writes + cost.flushes + cost.reads;
}

void print_costs(const Report& report, std::string& text) {
  text += fmt::format("\nDevice cost of one commit             {:>26} {:>7} {:>8}\n", "writes",
                      "bytes", "flushes");
  for (const CommitCost& cost : report.costs) {
    text += fmt::format("  {:<52}{:>10} {:>7} {:>8}\n", cost.name,
                        cost.worst.writes + cost.worst.durable_writes, cost.worst.bytes,
                        cost.worst.flushes + cost.worst.durable_writes);
  }
  const CheckpointCost& checkpoints = report.checkpoints;
  text += fmt::format(
      "  checkpoints, apart: {} in {} commits, each {:.0f} writes, {:.0f} bytes, {:.1f} "
      "flushes: one extra flush in {:.0f} commits\n",
      checkpoints.checkpoints, checkpoints.commits,
      ratio(checkpoints.all.writes + checkpoints.all.durable_writes, checkpoints.checkpoints),
      ratio(checkpoints.all.bytes, checkpoints.checkpoints),
      ratio(checkpoints.flushes(), checkpoints.checkpoints),
      ratio(checkpoints.commits, checkpoints.flushes()));
}

void print_times(const Report& report, std::string& text) {
  const double floor = report.latency.floor_p50();
  const auto line = [&](const std::string& name, const Times& times) {
    text += fmt::format("  {:<52}{:>10.1f} {:>7.1f} {:>8.2f}\n", name, times.p50(), times.p99(),
                        times.p50() / floor);
  };
  text += fmt::format("\nMicroseconds, all in turn             {:>26} {:>7} {:>8}\n", "p50", "p99",
                      "/ floor");
  line("floor: durable 4 KiB write, page cache", report.latency.floor_buffered);
  line("floor: durable 4 KiB write, O_DIRECT", report.latency.floor_direct);
  for (const CommitTimes& commit : report.latency.commits) {
    line(commit.name, commit.times);
  }
}

void print_nbd(const Report& report, std::string& text) {
  text += fmt::format("\nDevice cost of one commit over NBD    {:>26} {:>7} {:>8}\n", "requests",
                      "bytes", "FUA");
  for (const NbdResult& nbd : report.nbd) {
    text += fmt::format("  {:<52}{:>10} {:>7} {:>8}\n", nbd.server, nbd_requests(nbd.worst),
                        nbd.worst.bytes, nbd.worst.durable_writes);
  }
  if (report.quick) {
    return;
  }
  text += fmt::format("\nMicroseconds over NBD, unix socket    {:>26} {:>7} {:>8}\n", "p50", "p99",
                      "/ floor");
  for (const NbdResult& nbd : report.nbd) {
    for (const auto& [name, times] : {std::pair{"floor: a 4 KiB write with FUA", &nbd.floor},
                                      std::pair{"commit", &nbd.commit}}) {
      text += fmt::format("  {:<52}{:>10.1f} {:>7.1f} {:>8.2f}\n",
                          fmt::format("{}, {}", nbd.server, name), times->p50(), times->p99(),
                          times->p50() / nbd.floor.p50());
    }
  }
}

void print_rbd(const Report& report, std::string& text) {
  const RbdResult& rbd = *report.rbd;
  text += fmt::format("\nOne commit over RBD: {} write of {} bytes, {} flushes, {} reads\n",
                      rbd.worst.writes + rbd.worst.durable_writes, rbd.worst.bytes,
                      rbd.worst.flushes, rbd.worst.reads);
  if (report.quick) {
    return;
  }
  const auto lines = [&](double floor,
                         std::initializer_list<std::pair<const char*, const Times*>> all) {
    for (const auto& [name, times] : all) {
      text += fmt::format("  {:<52}{:>10.1f} {:>7.1f} {:>8.2f}\n", name, times->p50(), times->p99(),
                          times->p50() / floor);
    }
  };
  text += fmt::format("Microseconds over RBD, one OSD        {:>26} {:>7} {:>8}\n", "p50", "p99",
                      "/ floor");
  lines(rbd.floor_p50(),
        {{"floor: librbd's write and flush of 4 KiB, no cache", &rbd.floor_uncached},
         {"floor: the same with librbd's cache", &rbd.floor_cached},
         {"commit", &rbd.commit}});
  lines(rbd.floor_opening.p50(),
        {{"floor: rbd_open, a read as large as the ring", &rbd.floor_opening},
         {"opening", &rbd.opening}});
}

nlohmann::json times_json(const Times& times) {
  return {{"p50_us", times.p50()}, {"p99_us", times.p99()}};
}

} // namespace

std::string as_text(const Report& report) {
  const Environment& environment = report.environment;
  std::string text =
      fmt::format("{}, {} CPUs; {}; {}; {} build\n", environment.cpu, environment.cpu_count,
                  environment.kernel, environment.file_system, environment.build_type);
  if (!environment.optimised) {
    text += "WARNING: not a release build without sanitizers; its times say nothing\n";
  }
  print_costs(report, text);
  if (report.quick) {
    print_nbd(report, text);
    if (report.rbd) {
      print_rbd(report, text);
    }
    return text;
  }
  print_times(report, text);
  print_nbd(report, text);
  if (report.rbd) {
    print_rbd(report, text);
  }
  text += fmt::format("\nMicroseconds, with the owner check    {:>26} {:>7} {:>8}\n", "p50", "p99",
                      "/ without");
  for (const OwnerCheckResult& check : report.owner_check) {
    text += fmt::format("  {:<52}{:>10.1f} {:>7.1f} {:>8.2f}\n", check.where, check.with.p50(),
                        check.with.p99(), check.with.p50() / check.without.p50());
  }
  text += fmt::format("\nMicroseconds, each commit anchored    {:>26} {:>7} {:>8}\n", "p50", "p99",
                      "/ without");
  for (const AnchorResult& anchor : report.anchors) {
    text += fmt::format("  {:<52}{:>10.1f} {:>7.1f} {:>8.2f}\n", anchor.where, anchor.times.p50(),
                        anchor.times.p99(), anchor.times.p50() / anchor.without.p50());
  }
  const test::DeviceCost& sealed = report.encryption.commit;
  text += fmt::format("\nEncrypted, a commit of 3 KiB: {} write of {} bytes, {} flush\n"
                      "Microseconds, p50                     {:>26} {:>9} {:>8}\n",
                      sealed.writes + sealed.durable_writes, sealed.bytes,
                      sealed.flushes + sealed.durable_writes, "encrypted", "plain", "/ plain");
  for (const EncryptionTimes& times : report.encryption.times) {
    text += fmt::format("  {:<52}{:>10.1f} {:>9.1f} {:>8.2f}\n", times.what, times.encrypted.p50(),
                        times.plain.p50(), times.encrypted.p50() / times.plain.p50());
  }
  const ThreadResult& threads = report.threads;
  text += fmt::format("\nCommits per second: 1 thread {:.0f}, {} threads {:.0f}: {:.1f} x\n",
                      threads.one_per_second, threads.threads, threads.many_per_second,
                      threads.many_per_second / threads.one_per_second);
  const RemoteResult& remote = report.remote;
  text +=
      fmt::format("Microseconds for 16 bytes through an owner's socket, p50: {:.1f}; in its own "
                  "process {:.1f}: {:.2f} x\n"
                  "Commits per second: 1 session {:.0f}, {} sessions {:.0f}: {:.1f} x\n",
                  remote.remote.p50(), remote.local.p50(), remote.remote.p50() / remote.local.p50(),
                  remote.one_per_second, remote.sessions, remote.many_per_second,
                  remote.many_per_second / remote.one_per_second);
  const OpeningResult& opening = report.opening;
  text += fmt::format(
      "Opening a 4 MiB image, median: {:.2f} ms with {} of {} KiB of ring in use, {:.2f} "
      "ms after a clean close; closing {:.2f} ms\n"
      "Opening a 4 MiB image in a qcow2 image, the start of its qemu-nbd included, median: {:.1f} "
      "ms\n",
      opening.full_ring.p50() / 1000, opening.ring.used_bytes / 1024,
      opening.ring.size_bytes / 1024, opening.clean.p50() / 1000, opening.close.p50() / 1000,
      opening.qcow2.p50() / 1000);
  return text;
}

std::string as_json(const Report& report) {
  nlohmann::json json;
  const Environment& environment = report.environment;
  json["environment"] = {{"cpu", environment.cpu},
                         {"cpus", environment.cpu_count},
                         {"kernel", environment.kernel},
                         {"file_system", environment.file_system},
                         {"build", environment.build_type},
                         {"times_are_meaningful", environment.optimised && !report.quick}};
  for (const CommitCost& cost : report.costs) {
    json["commit_cost"][cost.name] = {{"commits", cost.commits},
                                      {"writes", cost.worst.writes + cost.worst.durable_writes},
                                      {"bytes", cost.worst.bytes},
                                      {"flushes", cost.worst.flushes + cost.worst.durable_writes}};
  }
  const CheckpointCost& checkpoints = report.checkpoints;
  json["checkpoints"] = {{"commits", checkpoints.commits},
                         {"checkpoints", checkpoints.checkpoints},
                         {"writes", checkpoints.all.writes + checkpoints.all.durable_writes},
                         {"bytes", checkpoints.all.bytes},
                         {"flushes", checkpoints.flushes()}};
  json["floor"] = {{"buffered", times_json(report.latency.floor_buffered)},
                   {"direct", times_json(report.latency.floor_direct)},
                   {"p50_us", report.latency.floor_p50()}};
  for (const CommitTimes& commit : report.latency.commits) {
    json["commit_time"][commit.name] = times_json(commit.times);
    json["commit_time"][commit.name]["p50_over_floor"] =
        commit.times.p50() / report.latency.floor_p50();
  }
  if (report.rbd) {
    const RbdResult& rbd = *report.rbd;
    json["rbd"] = {{"commits", rbd.commits},
                   {"writes", rbd.worst.writes + rbd.worst.durable_writes},
                   {"bytes", rbd.worst.bytes},
                   {"floor_uncached", times_json(rbd.floor_uncached)},
                   {"floor_cached", times_json(rbd.floor_cached)},
                   {"commit", times_json(rbd.commit)},
                   {"floor_opening", times_json(rbd.floor_opening)},
                   {"opening", times_json(rbd.opening)}};
  }
  for (const NbdResult& nbd : report.nbd) {
    json["nbd"][nbd.server] = {{"commits", nbd.commits},
                               {"requests", nbd_requests(nbd.worst)},
                               {"bytes", nbd.worst.bytes},
                               {"fua", nbd.worst.durable_writes},
                               {"floor", times_json(nbd.floor)},
                               {"commit", times_json(nbd.commit)},
                               {"p50_over_floor", nbd.commit.p50() / nbd.floor.p50()}};
  }
  for (const OwnerCheckResult& check : report.owner_check) {
    json["owner_check"][check.where] = {
        {"with", times_json(check.with)},
        {"without", times_json(check.without)},
        {"p50_over_without", check.with.p50() / check.without.p50()}};
  }
  for (const AnchorResult& anchor : report.anchors) {
    json["anchors"][anchor.where] = {
        {"with", times_json(anchor.times)},
        {"without", times_json(anchor.without)},
        {"p50_over_without", anchor.times.p50() / anchor.without.p50()}};
  }
  for (const EncryptionTimes& times : report.encryption.times) {
    json["encryption"][times.what] = {
        {"encrypted", times_json(times.encrypted)},
        {"plain", times_json(times.plain)},
        {"p50_over_plain", times.encrypted.p50() / times.plain.p50()}};
  }
  json["threads"] = {{"threads", report.threads.threads},
                     {"one_per_second", report.threads.one_per_second},
                     {"many_per_second", report.threads.many_per_second}};
  json["remote"] = {{"local", times_json(report.remote.local)},
                    {"remote", times_json(report.remote.remote)},
                    {"p50_over_local", report.remote.remote.p50() / report.remote.local.p50()},
                    {"sessions", report.remote.sessions},
                    {"one_per_second", report.remote.one_per_second},
                    {"many_per_second", report.remote.many_per_second}};
  json["opening"] = {{"ring_size_bytes", report.opening.ring.size_bytes},
                     {"ring_used_bytes", report.opening.ring.used_bytes},
                     {"full_ring", times_json(report.opening.full_ring)},
                     {"clean", times_json(report.opening.clean)},
                     {"close", times_json(report.opening.close)},
                     {"qcow2_with_qemu_nbd", times_json(report.opening.qcow2)}};
  return json.dump(2);
}

std::string excess(const Report& report) {
  for (const CommitCost& cost : report.costs) {
    const std::uint64_t writes = cost.worst.writes + cost.worst.durable_writes;
    const std::uint64_t flushes = cost.worst.flushes + cost.worst.durable_writes;
    if (cost.commits == 0 || writes != 1 || flushes != 1 || cost.worst.bytes > commit_max_bytes) {
      return fmt::format("{}: {} writes, {} bytes, {} flushes for one of {} commits; it may be one "
                         "write of {} bytes and one flush",
                         cost.name, writes, cost.worst.bytes, flushes, cost.commits,
                         commit_max_bytes);
    }
  }
  const test::DeviceCost& sealed = report.encryption.commit;
  if (sealed.writes + sealed.durable_writes != 1 || sealed.flushes + sealed.durable_writes != 1 ||
      sealed.bytes > commit_max_bytes) {
    return fmt::format("encrypted: {} writes, {} bytes, {} flushes for one commit",
                       sealed.writes + sealed.durable_writes, sealed.bytes,
                       sealed.flushes + sealed.durable_writes);
  }
  for (const NbdResult& nbd : report.nbd) {
    const test::DeviceCost& cost = nbd.worst;
    if (nbd.commits == 0 || cost.durable_writes != 1 || cost.writes + cost.flushes != 0 ||
        cost.reads > nbd_reads_max || cost.bytes > commit_max_bytes) {
      return fmt::format(
          "{}: {} writes with FUA, {} without, {} flushes, {} reads, {} bytes for one "
          "of {} commits; it may be one write of {} bytes with FUA, and one read",
          nbd.server, cost.durable_writes, cost.writes, cost.flushes, cost.reads, cost.bytes,
          nbd.commits, commit_max_bytes);
    }
  }
  if (report.rbd) {
    const test::DeviceCost& cost = report.rbd->worst;
    if (report.rbd->commits == 0 || cost.writes + cost.durable_writes != 1 || cost.flushes != 0 ||
        cost.bytes > commit_max_bytes) {
      return fmt::format(
          "RBD: {} writes, {} flushes, {} bytes for one of {} commits; it may be one "
          "write of {} bytes",
          cost.writes + cost.durable_writes, cost.flushes, cost.bytes, report.rbd->commits,
          commit_max_bytes);
    }
  }
  const CheckpointCost& checkpoints = report.checkpoints;
  if (checkpoints.checkpoints == 0 ||
      checkpoints.flushes() * commits_per_extra_flush_min >= checkpoints.commits) {
    return fmt::format("{} checkpoints with {} flushes in {} commits; it must be fewer than one "
                       "flush in {} commits, and some checkpoint",
                       checkpoints.checkpoints, checkpoints.flushes(), checkpoints.commits,
                       commits_per_extra_flush_min);
  }
  return {};
}

} // namespace vnvram::bench
