#include "serve/metrics_text.h"

#include <chrono>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "serve/metric_list.h"
#include "serve/variable_space.h"
#include "vnvram/version.h"

namespace vnvram {
namespace {

double number(std::uint64_t value) {
  return static_cast<double>(value);
}

double number(bool value) {
  return value ? 1 : 0;
}

double unix_seconds(std::chrono::nanoseconds ago) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  return now.count() - std::chrono::duration<double>(ago).count();
}

std::string uuid_text(const std::array<std::byte, 16>& uuid) {
  std::string text;
  for (std::size_t index = 0; index < uuid.size(); ++index) {
    const bool begins_group = index == 4 || index == 6 || index == 8 || index == 10;
    text += fmt::format("{}{:02x}", begins_group ? "-" : "", static_cast<unsigned>(uuid[index]));
  }
  return text;
}

void add_image(MetricList& metrics, const OwnerParts& owner, const StoreInfo& info) {
  metrics.gauge("image_info", "Which image it is.")
      .value(1, {{"image", owner.location}, {"uuid", uuid_text(info.uuid)}});
  metrics.gauge("generation", "Number of the last durable commit.").value(number(info.generation));
  metrics.gauge("epoch", "How often the image was opened for writing.").value(number(info.epoch));
  metrics.gauge("sealed", "1 if the image takes no change, since its state was handed over.")
      .value(number(info.sealed));
  metrics.gauge("poisoned", "1 if no commit succeeds, since an earlier write failed.")
      .value(number(info.poisoned.has_value()));
  metrics.gauge("ring_size_bytes", "Size of the log that commits go to.")
      .value(number(info.ring_size_bytes));
  metrics.gauge("ring_used_bytes", "Of the log, what no checkpoint has brought home yet.")
      .value(number(info.ring_used_bytes));
  metrics.gauge("space_size_bytes", "Largest sizes of blobs that fit the image, together.")
      .value(number(info.space_size_bytes));
  metrics.gauge("space_free_bytes", "What is left of that for blobs to be registered or to grow.")
      .value(number(info.space_free_bytes));
}

void add_store(MetricList& metrics, const StoreCounters& counters) {
  metrics.counter("commits_total", "Transactions that became durable.")
      .value(number(counters.commits()));
  metrics.counter("failed_commits_total", "Transactions that were refused or could not be written.")
      .value(number(counters.failed_commits));
  metrics.commit_durations("commit_duration_seconds",
                           "Time until a transaction was durable, from its call on.", counters);
  metrics.counter("deferred_writes_total", "Writes that became durable later, many at once.")
      .value(number(counters.deferred_writes));
  metrics.counter("records_total", "Durable writes to the log, each of one commit or several.")
      .value(number(counters.records));
  metrics.counter("records_bytes_total", "What they have written.")
      .value(number(counters.records_size_bytes));
  metrics.counter("checkpoints_total", "How often the log was brought home.")
      .value(number(counters.checkpoints));
  metrics.gauge("last_checkpoint_timestamp_seconds", "When the last checkpoint was done.");
  if (counters.last_checkpoint_age) {
    metrics.value(unix_seconds(*counters.last_checkpoint_age));
  }
  metrics.counter("device_reads_total", "Reads of the device.")
      .value(number(counters.device_reads));
  metrics.counter("device_read_bytes_total", "Bytes read of the device.")
      .value(number(counters.device_read_bytes));
  metrics.counter("device_writes_total", "Writes to the device, durable ones included.")
      .value(number(counters.device_writes));
  metrics.counter("device_written_bytes_total", "Bytes written to the device.")
      .value(number(counters.device_written_bytes));
  metrics.counter("device_durable_writes_total", "Writes that were durable when they returned.")
      .value(number(counters.device_durable_writes));
  metrics.counter("device_flushes_total", "Flushes of the device, beside those.")
      .value(number(counters.device_flushes));
}

void add_blobs(MetricList& metrics, Store& store) {
  const std::vector<BlobInfo> blobs = store.blobs();
  metrics.gauge("blob_size_bytes", "Current size of a blob.");
  for (const BlobInfo& blob : blobs) {
    metrics.value(number(blob.size_bytes), {{"blob", blob.name}, {"type", blob.type}});
  }
  metrics.gauge("blob_size_max_bytes", "Largest size of a blob.");
  for (const BlobInfo& blob : blobs) {
    metrics.value(number(blob.size_max_bytes), {{"blob", blob.name}, {"type", blob.type}});
  }
  metrics.gauge("blob_generation", "The commit that last changed a blob. 0: never written.");
  for (const BlobInfo& blob : blobs) {
    metrics.value(number(blob.generation), {{"blob", blob.name}});
  }
  const std::vector<VariableSpace> spaces = variable_spaces(store, blobs);
  metrics.gauge("uefi_variables_size_bytes", "Space for the variables in a blob of UEFI's.");
  for (const VariableSpace& space : spaces) {
    metrics.value(number(space.size_bytes), {{"blob", space.blob}});
  }
  metrics.gauge("uefi_variables_used_bytes",
                "What variables take of it. Deleted ones do not count: the firmware clears them "
                "away.");
  for (const VariableSpace& space : spaces) {
    metrics.value(number(space.used_bytes), {{"blob", space.blob}});
  }
}

void add_sessions(MetricList& metrics, const OwnerParts& owner) {
  const std::vector<Peer> peers = owner.sessions.peers();
  metrics.gauge("sessions", "Who is connected to the control socket.")
      .value(number(std::uint64_t{peers.size()}));
  metrics.gauge("blob_writer_session", "Number of the session that writes a blob.");
  for (const Peer& peer : peers) {
    for (const std::string& blob : owner.writers.blobs_of(peer.session)) {
      metrics.value(number(peer.session), {{"blob", blob}});
    }
  }
  const ServiceCounters& counters = owner.counters;
  metrics.counter("sessions_total", "Sessions that have begun.").value(number(counters.sessions()));
  metrics.counter("calls_total", "Calls of sessions.").value(number(counters.calls()));
  // All kinds, from the first moment on: a rate needs what was before.
  const auto for_each_kind = [&](auto count) {
    for (std::size_t kind = 0; kind < ServiceCounters::kind_count; ++kind) {
      const auto of = static_cast<ErrorKind>(kind);
      metrics.value(number(count(of)), {{"kind", std::string(kind_name(of))}});
    }
  };
  metrics.counter("failed_calls_total", "Calls that were answered with a failure, by its kind.");
  for_each_kind([&](ErrorKind kind) { return counters.failed_calls(kind); });
  metrics.counter("background_failures_total",
                  "Failures of what is done without anybody asking for it, by their kind.");
  for_each_kind([&](ErrorKind kind) { return counters.background_failures(kind); });
}

} // namespace

std::string metrics_text(const OwnerParts& owner) {
  MetricList metrics;
  metrics.gauge("build_info", "Version of the owner.")
      .value(1, {{"version", std::string(version())}});
  Result<StoreUse> store = owner.keeper.use(StoreGate::Purpose::read);
  metrics.gauge("image_attached", "1 if an image is open.").value(number(store.ok()));
  metrics.gauge("held", "1 if changes are held: they wait.").value(number(owner.keeper.is_held()));
  if (store) {
    add_image(metrics, owner, (*store)->info());
    add_store(metrics, (*store)->counters());
    add_blobs(metrics, **store);
  }
  add_sessions(metrics, owner);
  return metrics.text();
}

} // namespace vnvram
