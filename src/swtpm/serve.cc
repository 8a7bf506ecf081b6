#include "swtpm/serve.h"

namespace vnvram {

Status serve(const SwtpmOptions& options, const SwtpmLog& log) {
  log.lines().debug(options.action == SwtpmOptions::Action::serve ? "is to serve"
                                                                  : "is to list states");
  return Error(ErrorKind::unsupported, "serving is not there yet");
}

} // namespace vnvram
