// libtpms for programs that seldom ask it anything: loaded by the first call.
//
// It brings libcrypto along, half a megabyte of which every process has for itself. `vnvram` asks
// it what a TPM's blobs are to be like, and whether bytes are a TPM's state; `vnvram serve`, of
// which there are two processes for each machine, never does. These are all functions that are
// linked; one more is an error of the linker's.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <libtpms/tpm_library.h>

#include "base/exit_code.h"

namespace {

// The name that its packages promise not to change while programs built today work with it.
constexpr const char* file_name = "libtpms.so.0";

// As the dynamic linker would, which needs it at the start.
[[noreturn]] void give_up() {
  const char* reason = ::dlerror(); // NOLINT(concurrency-mt-unsafe): glibc's is one per thread.
  (void)std::fprintf(stderr, "vnvram: a TPM needs %s: %s (install libtpms; Debian: libtpms0)\n",
                     file_name, reason == nullptr ? "unusable" : reason);
  std::_Exit(static_cast<int>(vnvram::ExitCode::unsupported));
}

template <typename Function> Function* find(const char* name) {
  // As if it had been linked: who puts another library in front of it (LD_PRELOAD) is heard.
  static void* const library = ::dlopen(file_name, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  auto* const found =
      library == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
  if (found == nullptr) {
    give_up();
  }
  return found;
}

} // namespace

#define VNVRAM_FROM_LIBTPMS(function) find<decltype(function)>(#function)

std::uint32_t TPMLIB_GetVersion() {
  return VNVRAM_FROM_LIBTPMS(TPMLIB_GetVersion)();
}

TPM_RESULT TPMLIB_ChooseTPMVersion(TPMLIB_TPMVersion version) {
  return VNVRAM_FROM_LIBTPMS(TPMLIB_ChooseTPMVersion)(version);
}

TPM_RESULT TPMLIB_RegisterCallbacks(libtpms_callbacks* callbacks) {
  return VNVRAM_FROM_LIBTPMS(TPMLIB_RegisterCallbacks)(callbacks);
}

TPM_RESULT TPMLIB_GetTPMProperty(TPMLIB_TPMProperty property, int* result) {
  return VNVRAM_FROM_LIBTPMS(TPMLIB_GetTPMProperty)(property, result);
}

std::uint32_t TPMLIB_SetBufferSize(std::uint32_t wanted_bytes, std::uint32_t* min_bytes,
                                   std::uint32_t* max_bytes) {
  return VNVRAM_FROM_LIBTPMS(TPMLIB_SetBufferSize)(wanted_bytes, min_bytes, max_bytes);
}

void TPMLIB_SetDebugFD(int fd) {
  VNVRAM_FROM_LIBTPMS(TPMLIB_SetDebugFD)(fd);
}

TPM_RESULT TPMLIB_ValidateState(TPMLIB_StateType state, unsigned int flags) {
  return VNVRAM_FROM_LIBTPMS(TPMLIB_ValidateState)(state, flags);
}

TPM_RESULT TPMLIB_MainInit() {
  return VNVRAM_FROM_LIBTPMS(TPMLIB_MainInit)();
}

TPM_RESULT TPMLIB_Process(unsigned char** response, std::uint32_t* size_bytes,
                          std::uint32_t* capacity_bytes, unsigned char* command,
                          std::uint32_t command_size_bytes) {
  return VNVRAM_FROM_LIBTPMS(TPMLIB_Process)(response, size_bytes, capacity_bytes, command,
                                             command_size_bytes);
}

void TPMLIB_Terminate() {
  VNVRAM_FROM_LIBTPMS(TPMLIB_Terminate)();
}
