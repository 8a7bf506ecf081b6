/* Which symbols the shared library exports: what carries VNVRAM_API, and nothing else. For C and
 * C++. */
#pragma once

#ifdef __cplusplus
#define VNVRAM_API [[gnu::visibility("default")]]
/* For a private class that is nested in an exported one. */
#define VNVRAM_LOCAL [[gnu::visibility("hidden")]]
#else
#define VNVRAM_API __attribute__((visibility("default")))
#endif
