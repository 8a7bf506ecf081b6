// A device model that keeps its state in a vNVRAM image: C++ API.
//
// The "device" is a management controller with a settings store and an event log. Each run is one
// power cycle: it appends to the log and notes in the settings where the log ends, in one
// transaction.
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include <vnvram/store.h>

namespace {

constexpr std::uint64_t log_size_max_bytes = 64 * 1024;

struct Settings {
  std::uint32_t power_cycles = 0;
  std::uint32_t log_end_bytes = 0;
};

/// What the controller registers whenever it starts.
std::vector<vnvram::BlobSpec> specs() {
  return {{.name = "bmc.settings", .type = "example-settings", .size_max_bytes = sizeof(Settings)},
          {.name = "bmc.log", .type = "example-log", .size_max_bytes = log_size_max_bytes}};
}

/// Makes the image on the first run.
vnvram::Status create_once(const std::string& path) {
  vnvram::CreateOptions options;
  for (vnvram::BlobSpec& spec : specs()) {
    options.blobs.push_back({.spec = std::move(spec)});
  }
  const vnvram::Status created = vnvram::create_image_file(path, 0, options);
  if (created) {
    std::cout << "made " << path << '\n';
  } else if (created.error().kind() != vnvram::ErrorKind::exists) {
    return created;
  }
  return {};
}

/// Opens it for this process alone, with the controller's blobs in it.
vnvram::Result<std::unique_ptr<vnvram::Store>> open(const std::string& path) {
  auto device = vnvram::open_device(path, vnvram::Access::read_write);
  if (!device) {
    return device.error();
  }
  vnvram::OpenOptions options;
  options.blobs = specs();
  return vnvram::Store::open(std::move(*device), std::move(options));
}

vnvram::Status log_power_cycle(vnvram::Store& store) {
  Settings settings;
  const auto bytes = std::as_writable_bytes(std::span(&settings, 1));
  if (auto read = store.read_range("bmc.settings", 0, bytes); !read) {
    return read;
  }
  const std::string line = "power on number " + std::to_string(++settings.power_cycles) + '\n';
  if (settings.log_end_bytes + line.size() > log_size_max_bytes) {
    settings.log_end_bytes = 0;
  }
  vnvram::Transaction transaction;
  transaction.write_range("bmc.log", settings.log_end_bytes, std::as_bytes(std::span(line)));
  settings.log_end_bytes += static_cast<std::uint32_t>(line.size());
  transaction.write("bmc.settings", bytes);
  return store.commit(transaction); // Durable, both or neither, when it returns.
}

vnvram::Status print_log(vnvram::Store& store) {
  const auto log = store.read("bmc.log");
  if (!log) {
    return log.error();
  }
  std::cout << std::string(reinterpret_cast<const char*>(log->data()), log->size());
  std::cout << "generation " << store.info().generation << '\n';
  return {};
}

vnvram::Status run(const std::string& path) {
  if (auto created = create_once(path); !created) {
    return created;
  }
  {
    const auto store = open(path);
    if (!store) {
      return store.error();
    }
    if (auto logged = log_power_cycle(**store); !logged) {
      return logged;
    }
    if (auto closed = (*store)->close(); !closed) {
      return closed;
    }
  }
  const auto reopened = open(path);
  return reopened ? print_log(**reopened) : vnvram::Status(reopened.error());
}

} // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    std::cerr << "usage: embed IMAGE\n";
    return 2;
  }
  const vnvram::Status status = run(arguments[1]);
  if (!status) {
    std::cerr << "embed: " << status.error().text() << '\n';
    return 1;
  }
  return 0;
}
