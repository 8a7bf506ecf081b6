// A commit that arrived after the device's content had been put back to an earlier state.
#include <fmt/core.h>

#include "device/overlay_device.h"
#include "format/geometry.h"
#include "rescue/judge.h"
#include "store/ring_scanner.h"
#include "store/superblock_reader.h"
#include "store/unlock.h"
#include "vnvram/rescue.h"

namespace vnvram {

namespace {

Result<RingScanner::End> look(BlockDevice& device, const format::Superblock& superblock,
                              const KeyRing& keys) {
  const Result<format::Codec> codec = unlock(device, superblock, keys);
  if (!codec) {
    return codec.error();
  }
  return RingScanner(device, superblock, *codec).scan([](const auto&, auto, const auto&) {
    return Status{};
  });
}

Result<RepairReport> discard(BlockDevice& device, bool dry_run, const KeyRing& keys) {
  const Result<format::Superblock> superblock = find_superblock(device);
  if (!superblock) {
    return superblock.error();
  }
  const Result<RingScanner::End> end = look(device, *superblock, keys);
  if (!end) {
    return end.error();
  }
  RepairReport report;
  OverlayDevice repaired(device);
  if (!end->damaged) {
    const Status judged = judge(repaired, report, keys);
    return judged ? Result<RepairReport>(std::move(report)) : judged.error();
  }
  if (!end->stray) {
    return Error{ErrorKind::corrupt,
                 fmt::format("{}: {}, and that is no late write", device.name(), end->reason),
                 "`repair` without --discard-stray mends what can be mended, `salvage` gets "
                 "out what is intact"};
  }
  const std::string place = fmt::format("record of generation {} at ring block {}",
                                        end->newer_sequence, end->newer_position);
  report.findings.push_back(
      {place, fmt::format("dropped; the image goes on from generation {}", end->behind.sequence),
       true});
  alignas(block_size_bytes) constexpr Block zeros{};
  const std::uint64_t block = format::Geometry::ring_block(end->newer_position);
  repaired.replace(block, zeros);
  Status done = judge(repaired, report, keys);
  if (done && !dry_run) {
    done = device.write_durable(block * block_size_bytes, zeros);
  }
  return done ? Result<RepairReport>(std::move(report)) : done.error();
}

} // namespace

Result<RepairReport> discard_stray_record(BlockDevice& device, bool dry_run, const KeyRing& keys) {
  if (dry_run) {
    return discard(device, true, keys);
  }
  if (!device.capabilities().write) {
    return Error{ErrorKind::read_only, fmt::format("{}: the device is read-only", device.name())};
  }
  const Status locked = device.lock_for_writing();
  if (!locked) {
    return locked.error();
  }
  Result<RepairReport> report = discard(device, false, keys);
  device.unlock();
  return report;
}

} // namespace vnvram
