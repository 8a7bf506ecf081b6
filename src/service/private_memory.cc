#include "service/private_memory.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace vnvram {

void keep_memory_private() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
  (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

} // namespace vnvram
