// Whether an image can run on this host, asked before anything is moved.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "device/byte_range.h"
#include "device/image_format.h"
#include "device/place_probe.h"
#include "preflight/finding.h"
#include "vnvram/key_ring.h"
#include "vnvram/open_device.h"
#include "vnvram/store.h"

namespace vnvram {

struct PreflightOptions {
  DeviceOptions device = {};
  KeyRing keys = {};
  /// The machine comes from elsewhere: that the image has an owner still, or is sealed for the one
  /// that it was handed over to, is as it should be.
  bool incoming = false;
  /// Called now and then while all of the image is read.
  std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)> progress = {};
};

struct PreflightReport {
  PreflightFindings findings; ///< In the order in which it was looked.
  /// As far as it came.
  std::optional<StoreInfo> image = {};
  std::optional<MeasuredDurability> durability = {};

  /// The first of the reasons why not; nullptr: it can.
  [[nodiscard]] const Error* first_reason() const;
};

/// Looks at the image as far as one can without its lock, beside an owner if there is one, and at
/// what this host has for it. No byte of it is written. What cannot be looked at is a reason, too;
/// so there are no errors.
///
/// For one thread at a time, in a process in which no TPM runs.
class Preflight {
public:
  /// `location` and `options` outlive it.
  Preflight(const std::string& location, const PreflightOptions& options)
      : location_(location), options_(options) {}

  /// Once.
  PreflightReport run();

private:
  using Outcome = PreflightFinding::Outcome;

  void add(const char* about, Outcome outcome, std::string text);
  void refuse(const char* about, const Error& error);
  void check_lock();
  void check_rights();
  void check_reservation();
  void check_space();
  void check_durability();
  /// False: there is nothing to look into.
  bool check_format(BlockDevice& device);
  void check_owner(const StoreInfo& info);
  void check_seal(Store& store);
  void check_attributes(const std::vector<BlobInfo>& blobs);
  void check_content();
  [[nodiscard]] Status look_inside();

  const std::string& location_;
  const PreflightOptions& options_;
  PreflightReport report_;
  std::optional<bool> is_locked_ = {};   ///< Nothing: that cannot be seen.
  std::optional<Error> lock_error_ = {}; ///< If it is.
  DeviceCapabilities device_can_ = {};
  ImageFormat image_format_ = ImageFormat::raw;
  std::vector<ByteRange> written_ranges_; ///< By its owner, once there is one.
};

} // namespace vnvram
