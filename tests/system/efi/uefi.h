/* What the application needs of the UEFI specification 2.10. */
#ifndef VNVRAM_TESTS_UEFI_H
#define VNVRAM_TESTS_UEFI_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t efi_status; /* An error has the highest bit set. */

#define EFI_SUCCESS 0ULL
#define EFI_NOT_FOUND (1ULL << 63 | 14)

struct efi_guid {
  uint32_t first;
  uint16_t second, third;
  uint8_t rest[8];
};

#define EFI_GLOBAL_VARIABLE                                                                        \
  {                                                                                                \
    0x8be4df61, 0x93ca, 0x11d2, {                                                                  \
      0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c                                               \
    }                                                                                              \
  }
#define EFI_IMAGE_SECURITY_DATABASE                                                                \
  {                                                                                                \
    0xd719b2cb, 0x3d3a, 0x4596, {                                                                  \
      0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f                                               \
    }                                                                                              \
  }

#define EFI_VARIABLE_NON_VOLATILE 0x01U
#define EFI_VARIABLE_BOOTSERVICE_ACCESS 0x02U
#define EFI_VARIABLE_RUNTIME_ACCESS 0x04U
#define EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS 0x20U

enum efi_reset { EFI_RESET_COLD, EFI_RESET_WARM, EFI_RESET_SHUTDOWN };

struct efi_table_header {
  uint64_t signature;
  uint32_t revision, header_size, crc32, reserved;
};

struct efi_runtime_services {
  struct efi_table_header header;
  void* time[4];
  void* virtual_memory[2];
  efi_status (*get_variable)(const uint16_t* name, const struct efi_guid* vendor,
                             uint32_t* attributes, uint64_t* size, void* data);
  efi_status (*get_next_variable_name)(uint64_t* size, uint16_t* name, struct efi_guid* vendor);
  efi_status (*set_variable)(const uint16_t* name, const struct efi_guid* vendor,
                             uint32_t attributes, uint64_t size, const void* data);
  void* get_next_high_monotonic_count;
  void (*reset_system)(enum efi_reset type, efi_status status, uint64_t size, const void* data);
};

struct efi_system_table {
  struct efi_table_header header;
  void* firmware_vendor;
  uint32_t firmware_revision;
  void* console[6];
  struct efi_runtime_services* runtime;
};

_Static_assert(offsetof(struct efi_runtime_services, get_variable) == 72, "UEFI 2.10, 4.5");
_Static_assert(offsetof(struct efi_runtime_services, reset_system) == 104, "UEFI 2.10, 4.5");
_Static_assert(offsetof(struct efi_system_table, runtime) == 88, "UEFI 2.10, 4.3");

#endif
