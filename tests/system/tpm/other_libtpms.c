/* Put in front of libtpms (LD_PRELOAD): a build of it that asks for other sizes, or keeps more
   state. The TPM is the real one. What is not set in the environment is as the library has it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libtpms/tpm_library.h>
/* After it: tpm_error.h does not include what it needs. */
#include <libtpms/tpm_error.h>
#include <libtpms/tpm_nvfilename.h>

enum { real_command_max_bytes = 4096, trailer_bytes = 8, header_bytes = 10 };

static const char trailer[trailer_bytes + 1] = "moreNVRM";
static struct libtpms_callbacks real_callbacks;

static long setting(const char* name) {
  const char* text = getenv(name);
  return text ? strtol(text, NULL, 10) : 0;
}

static void* real(const char* name) {
  void* function = dlsym(RTLD_NEXT, name);
  if (!function)
    abort();
  return function;
}

TPM_RESULT TPMLIB_GetTPMProperty(enum TPMLIB_TPMProperty property, int* result) {
  TPM_RESULT (*call)(enum TPMLIB_TPMProperty, int*);
  *(void**)&call = real("TPMLIB_GetTPMProperty");
  long value = 0;
  if (property == TPMPROP_TPM_BUFFER_MAX)
    value = setting("OTHER_BUFFER_MAX");
  if (property == TPMPROP_TPM_MAX_NV_SPACE)
    value = setting("OTHER_MAX_NV_SPACE");
  if (property == TPMPROP_TPM_MAX_VOLATILESTATE_SPACE)
    value = setting("OTHER_MAX_VOLATILESTATE_SPACE");
  if (property == TPMPROP_TPM_MAX_SAVESTATE_SPACE)
    value = setting("OTHER_MAX_SAVESTATE_SPACE");
  if (value == 0)
    return call(property, result);
  *result = (int)value;
  return TPM_SUCCESS;
}

uint32_t TPMLIB_SetBufferSize(uint32_t wanted, uint32_t* minimum, uint32_t* maximum) {
  static uint32_t size;
  uint32_t (*call)(uint32_t, uint32_t*, uint32_t*);
  *(void**)&call = real("TPMLIB_SetBufferSize");
  const uint32_t other = (uint32_t)setting("OTHER_BUFFER_MAX");
  const uint32_t got = call(wanted, minimum, maximum);
  if (other == 0)
    return got;
  if (size == 0 || wanted > other)
    size = other;
  else if (wanted != 0)
    size = wanted;
  if (maximum)
    *maximum = other;
  return size;
}

/* A command that the real one has no room for is answered with a code that is its length. */
TPM_RESULT TPMLIB_Process(unsigned char** response, uint32_t* size, uint32_t* capacity,
                          unsigned char* command, uint32_t command_bytes) {
  TPM_RESULT (*call)(unsigned char**, uint32_t*, uint32_t*, unsigned char*, uint32_t);
  *(void**)&call = real("TPMLIB_Process");
  if (command_bytes <= real_command_max_bytes)
    return call(response, size, capacity, command, command_bytes);
  if (*capacity < header_bytes) {
    *response = realloc(*response, header_bytes);
    *capacity = header_bytes;
  }
  const unsigned char header[header_bytes] = {0x80,
                                              0x01,
                                              0,
                                              0,
                                              0,
                                              header_bytes,
                                              0,
                                              0,
                                              (unsigned char)(command_bytes >> 8),
                                              (unsigned char)command_bytes};
  memcpy(*response, header, header_bytes);
  *size = header_bytes;
  return TPM_SUCCESS;
}

/* The permanent state with OTHER_STATE_MORE bytes behind it, and a mark that tells how many. */
static TPM_RESULT store(const unsigned char* data, uint32_t length, uint32_t number,
                        const char* name) {
  const uint32_t more = (uint32_t)setting("OTHER_STATE_MORE");
  if (more == 0 || strcmp(name, TPM_PERMANENT_ALL_NAME) != 0)
    return real_callbacks.tpm_nvram_storedata(data, length, number, name);
  const uint32_t all = length + more + trailer_bytes + (uint32_t)sizeof(more);
  unsigned char* larger = malloc(all);
  if (!larger)
    return TPM_SIZE;
  memcpy(larger, data, length);
  memset(larger + length, 0x6e, more);
  memcpy(larger + length + more, &more, sizeof(more));
  memcpy(larger + length + more + sizeof(more), trailer, trailer_bytes);
  const TPM_RESULT result = real_callbacks.tpm_nvram_storedata(larger, all, number, name);
  free(larger);
  return result;
}

static TPM_RESULT load(unsigned char** data, uint32_t* length, uint32_t number, const char* name) {
  const TPM_RESULT result = real_callbacks.tpm_nvram_loaddata(data, length, number, name);
  uint32_t more = 0;
  const uint32_t mark = trailer_bytes + (uint32_t)sizeof(more);
  if (result == TPM_SUCCESS && *length > mark &&
      memcmp(*data + *length - trailer_bytes, trailer, trailer_bytes) == 0) {
    memcpy(&more, *data + *length - mark, sizeof(more));
    *length -= more + mark;
  }
  return result;
}

TPM_RESULT TPMLIB_RegisterCallbacks(struct libtpms_callbacks* callbacks) {
  TPM_RESULT (*call)(struct libtpms_callbacks*);
  *(void**)&call = real("TPMLIB_RegisterCallbacks");
  real_callbacks = *callbacks;
  struct libtpms_callbacks wrapped = *callbacks;
  wrapped.tpm_nvram_storedata = store;
  wrapped.tpm_nvram_loaddata = load;
  return call(&wrapped);
}
