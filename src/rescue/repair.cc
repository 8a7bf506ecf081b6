// Repair: what was mended in memory, written where it belongs.
#include <fmt/core.h>

#include "device/forwarding_device.h"
#include "rescue/image_mender.h"
#include "rescue/root_finder.h"
#include "vnvram/rescue.h"

namespace vnvram {

namespace {

std::string copy_name(unsigned copy) {
  return fmt::format("superblock {} (block {})", copy == 0 ? 'A' : 'B', copy);
}

// The lost copy comes back as the current one, with the same content: nothing of the image changes.
Status replace_copy(BlockDevice& device, format::Superblock superblock, unsigned copy) {
  superblock.sequence += 1;
  format::seal_superblock(superblock, copy);
  return device.write_durable(format::Geometry::superblock_block(copy) * block_size_bytes,
                              std::as_bytes(std::span(&superblock, 1)));
}

class Repair {
public:
  Repair(BlockDevice& device, bool dry_run) : device_(device), dry_run_(dry_run) {}

  Result<RepairReport> run(const RescueProgress& progress) {
    const Result<Roots> roots = find_roots(device_);
    if (!roots) {
      return roots.error();
    }
    const format::Superblock& current = roots->superblocks.front();
    ImageMender mender(device_, current);
    for (const auto& [copy, content] : roots->mended) {
      report_.findings.push_back({copy_name(copy), "mended: one flipped bit", true});
      mender.mended().replace(copy, content);
    }
    mender.run(progress);
    report_.findings.insert(report_.findings.end(), mender.findings().begin(),
                            mender.findings().end());
    Status done = dry_run_ ? Status{} : write(mender.mended());
    for (const unsigned copy : roots->lost) {
      if (done) {
        done = restore(copy, current, mender.ring_damaged());
      }
    }
    if (!done) {
      return done.error();
    }
    for (const RepairFinding& finding : report_.findings) {
      report_.sound = report_.sound && finding.mended;
    }
    return report_;
  }

private:
  Status write(const OverlayDevice& mended) {
    for (const auto& [block, content] : mended.replaced()) {
      const Status written = device_.write(block * block_size_bytes, content);
      if (!written) {
        return written;
      }
    }
    return mended.replaced().empty() ? Status{} : device_.flush();
  }

  // The lost copy may have been the newer one: what is behind it in the ring tells.
  Status restore(unsigned copy, const format::Superblock& current, bool ring_damaged) {
    if (ring_damaged) {
      report_.findings.push_back(
          {copy_name(copy),
           "lost, and it may have been the newer one: the ring does not lead on "
           "from the other copy",
           false});
      return {};
    }
    report_.findings.push_back({copy_name(copy), "mended: written anew from the other copy", true});
    return dry_run_ ? Status{} : replace_copy(device_, current, copy);
  }

  BlockDevice& device_;
  const bool dry_run_;
  RepairReport report_;
};

} // namespace

Result<RepairReport> repair_image(BlockDevice& device, bool dry_run,
                                  const RescueProgress& progress) {
  if (dry_run) {
    return Repair(device, true).run(progress);
  }
  if (!device.capabilities().write) {
    return Error{ErrorKind::read_only, fmt::format("{}: the device is read-only", device.name())};
  }
  const Status locked = device.lock_for_writing();
  if (!locked) {
    return locked.error();
  }
  Result<RepairReport> report = Repair(device, false).run(progress);
  device.unlock();
  return report;
}

} // namespace vnvram
