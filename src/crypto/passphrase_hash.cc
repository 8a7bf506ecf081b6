#include "crypto/passphrase_hash.h"

#include <dlfcn.h>

#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <sodium.h>

namespace vnvram {
namespace {

// The name that its packages promise not to change while programs built today work with it.
constexpr const char* file_name = "libsodium.so.23";

constexpr HashCost much{.passes = 3, .memory_kib = 262144};
constexpr HashCost little{.passes = 3, .memory_kib = 65536};

/// libsodium, of which most programs never need anything.
class SodiumLibrary {
public:
  /// Stays loaded as long as the process lives. Error: unsupported.
  static Result<const SodiumLibrary*> load() {
    static const Result<SodiumLibrary> loaded = find_all();
    if (!loaded) {
      return loaded.error();
    }
    return &loaded.value();
  }

  decltype(&::crypto_pwhash) hash = nullptr;

private:
  static Error missing() {
    const char* reason = ::dlerror(); // NOLINT(concurrency-mt-unsafe): glibc's is one per thread.
    return {ErrorKind::unsupported,
            std::string("a passphrase needs ") + file_name + ": " +
                (reason == nullptr ? "unusable" : reason),
            "install libsodium (Debian: libsodium23)"};
  }

  static Result<SodiumLibrary> find_all() {
    void* library = ::dlopen(file_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr) {
      return missing();
    }
    const auto begin = reinterpret_cast<decltype(&::sodium_init)>(::dlsym(library, "sodium_init"));
    SodiumLibrary found;
    found.hash = reinterpret_cast<decltype(&::crypto_pwhash)>(::dlsym(library, "crypto_pwhash"));
    if (begin == nullptr || found.hash == nullptr || begin() < 0) {
      return missing();
    }
    return found;
  }
};

/// 0 if the system does not say.
std::uint64_t memory_available_kib() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::uint64_t kib = 0;
  while (file >> name >> kib) {
    if (name == "MemAvailable:") {
      return kib;
    }
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

} // namespace

HashCost usual_hash_cost() {
  // Whoever opens the image has to have that, too: twice as much as it takes is not little.
  return memory_available_kib() >= 2 * std::uint64_t{much.memory_kib} ? much : little;
}

bool is_hash_cost(const HashCost& cost) {
  return cost.passes >= 1 && cost.passes <= hash_passes_max &&
         cost.memory_kib >= hash_memory_min_kib && cost.memory_kib <= hash_memory_max_kib;
}

Result<SecretBytes> hash_passphrase(std::span<const std::byte> passphrase,
                                    std::span<const std::byte, passphrase_salt_size_bytes> salt,
                                    const HashCost& cost) {
  static_assert(passphrase_salt_size_bytes == crypto_pwhash_SALTBYTES);
  if (passphrase.empty() || !is_hash_cost(cost)) {
    return Error(ErrorKind::invalid_argument,
                 passphrase.empty() ? "a passphrase cannot be empty"
                                    : "Argon2id with such a cost is not for passphrases");
  }
  const Result<const SodiumLibrary*> library = SodiumLibrary::load();
  if (!library) {
    return library.error();
  }
  std::vector<std::byte> hash(passphrase_hash_size_bytes);
  if ((*library)->hash(reinterpret_cast<unsigned char*>(hash.data()), hash.size(),
                       reinterpret_cast<const char*>(passphrase.data()), passphrase.size(),
                       reinterpret_cast<const unsigned char*>(salt.data()), cost.passes,
                       std::size_t{cost.memory_kib} * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return Error(ErrorKind::no_space,
                 "a passphrase needs " + std::to_string(cost.memory_kib / 1024) +
                     " MiB of memory, and there is not so much",
                 "that cost was chosen when the key slot was made");
  }
  return SecretBytes(std::move(hash));
}

} // namespace vnvram
