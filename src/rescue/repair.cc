// Repair: what was mended in memory, judged as check does, and written where it belongs.
#include <algorithm>
#include <bit>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "device/forwarding_device.h"
#include "rescue/image_mender.h"
#include "rescue/judge.h"
#include "rescue/root_finder.h"
#include "rescue/third_copy_doubt.h"
#include "store/unlock.h"
#include "vnvram/rescue.h"

namespace vnvram {

namespace {

std::string copy_name(unsigned copy) {
  return fmt::format("superblock {} (block {})", copy == 0 ? 'A' : 'B', copy);
}

class Repair {
public:
  Repair(BlockDevice& device, bool dry_run, const KeyRing& keys)
      : device_(device), dry_run_(dry_run), keys_(keys) {}

  Result<RepairReport> run(const RescueProgress& progress) {
    const Result<Roots> roots = find_roots(device_);
    if (!roots) {
      return roots.error();
    }
    Result<Attempt> best = attempt(*roots, 0, progress);
    // Two that cannot be beside each other, or a newer one that was whole but for a bit: the one
    // that leads to a whole image is this one's, as it is for whoever opens it.
    if (best && !best->report.sound && (roots->contradictory() || roots->newest_was_mended())) {
      Result<Attempt> other = attempt(*roots, 1, progress);
      if (!other || other->report.sound) {
        best = std::move(other);
      }
    }
    if (!best) {
      return best.error();
    }
    // Without a proof that the root is this image's newest, nothing of it is written.
    const bool proven = best->report.sound || !(roots->contradictory() || roots->by_third_copy);
    if (!proven) {
      leave_as_it_is(best->report);
    }
    const Status done = dry_run_ || !proven ? Status{} : write(best->mender->mended());
    return done ? Result<RepairReport>(std::move(best->report)) : done.error();
  }

private:
  struct Attempt {
    std::unique_ptr<ImageMender> mender;
    RepairReport report;
  };

  Result<Attempt> attempt(const Roots& roots, std::size_t number, const RescueProgress& progress) {
    const format::Superblock& root = roots.superblocks[number];
    Result<format::Codec> codec = unlock(device_, root, keys_);
    if (!codec) {
      return codec.error();
    }
    Attempt made{std::make_unique<ImageMender>(device_, root, *std::move(codec)), {}};
    ImageMender& mender = *made.mender;
    std::vector<RepairFinding>& findings = made.report.findings;
    std::vector<unsigned> lost = roots.lost;
    if (number != 0 || roots.contradictory()) {
      lost.push_back(1 - root.copy);
    }
    for (const auto& [copy, content] : roots.mended) {
      if (std::find(lost.begin(), lost.end(), copy) == lost.end()) {
        findings.push_back({copy_name(copy), "mended: one flipped bit", true});
        mender.mended().replace(copy, content);
      }
    }
    mender.run(progress);
    findings.insert(findings.end(), mender.findings().begin(), mender.findings().end());
    const std::optional<std::string> doubt =
        roots.by_third_copy ? doubt_third_copy(device_, root, mender.codec()) : std::nullopt;
    for (const unsigned copy : lost) {
      findings.push_back(doubt ? RepairFinding{copy_name(copy), "lost, and " + *doubt, false}
                               : restore(mender, root, copy, roots.by_third_copy));
    }
    // As it would be then.
    const Status judged = judge(mender.mended(), made.report, keys_);
    return judged ? Result<Attempt>(std::move(made)) : judged.error();
  }

  static void leave_as_it_is(RepairReport& report) {
    for (RepairFinding& finding : report.findings) {
      if (finding.mended) {
        finding = {finding.place, "left as it is; it could be " + finding.what, false};
      }
    }
  }

  // Superblocks behind all else, one after the other: whenever it is cut, one leads to an image.
  Status write(const OverlayDevice& mended) {
    const Result<std::uint64_t> size = device_.size_bytes();
    if (!size || mended.replaced().empty()) {
      return size ? Status{} : size.error();
    }
    const auto write_some = [&](bool superblocks) {
      Status written;
      for (const auto& [block, content] : mended.replaced()) {
        if (written && (block < format::superblock_count) == superblocks &&
            block < *size / block_size_bytes) {
          written = superblocks ? device_.write_durable(block * block_size_bytes, content)
                                : device_.write(block * block_size_bytes, content);
        }
      }
      return written;
    };
    Status done = write_some(false);
    if (done) {
      done = device_.flush();
    }
    return done ? write_some(true) : done;
  }

  // The lost copy comes back as the current one, with the same content: nothing of the image
  // changes. It may have been the newer one: what is behind it in the ring tells.
  static RepairFinding restore(ImageMender& mender, format::Superblock root, unsigned copy,
                               bool by_third_copy) {
    if (mender.ring_damaged()) {
      return {copy_name(copy),
              "lost, and it may have been the newer one: the ring does not lead on "
              "from the other copy",
              false};
    }
    root.sequence += 1 + (by_third_copy ? copy : 0); // Not both the same.
    mender.codec().finish(root, copy);
    mender.mended().replace(format::Geometry::superblock_block(copy), std::bit_cast<Block>(root));
    return {copy_name(copy),
            fmt::format("mended: written anew from the {} copy", by_third_copy ? "third" : "other"),
            true};
  }

  BlockDevice& device_;
  const bool dry_run_;
  const KeyRing& keys_;
};

} // namespace

Result<RepairReport> repair_image(BlockDevice& device, bool dry_run, const RescueProgress& progress,
                                  const KeyRing& keys) {
  if (dry_run) {
    return Repair(device, true, keys).run(progress);
  }
  if (!device.capabilities().write) {
    return Error{ErrorKind::read_only, fmt::format("{}: the device is read-only", device.name())};
  }
  const Status locked = device.lock_for_writing();
  if (!locked) {
    return locked.error();
  }
  Result<RepairReport> report = Repair(device, false, keys).run(progress);
  device.unlock();
  return report;
}

} // namespace vnvram
