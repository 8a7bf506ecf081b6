#include "serve/request_lists.h"

#include <fmt/core.h>

#include "rpc/wire.h"

namespace vnvram {
namespace {

// In one call. A list's elements may cost its message nothing, but they cost whoever reads them.
constexpr std::size_t elements_max = blob_count_max;

} // namespace

Status check_count(std::size_t count) {
  return count <= elements_max
             ? Status()
             : Error(ErrorKind::too_large,
                     fmt::format("a call names {} things, and {} is the most", count, elements_max),
                     "ask for fewer at a time");
}

Result<std::vector<NewBlob>> read_new_blobs(capnp::List<rpc::NewBlob>::Reader from) {
  std::size_t count = from.size();
  Status fits = check_count(count);
  std::vector<NewBlob> blobs;
  for (const auto blob : from) {
    count += blob.getSpec().getAttributes().size();
    fits = fits ? check_count(count) : fits;
    if (!fits) {
      return fits.error();
    }
    blobs.push_back({.spec = read_spec(blob.getSpec()), .content = std::nullopt});
    if (blob.hasContent()) {
      const auto content = to_span(blob.getContent());
      blobs.back().content.emplace(content.begin(), content.end());
    }
  }
  return blobs;
}

std::vector<Grant> read_grants(capnp::List<rpc::Grant>::Reader from) {
  std::vector<Grant> grants;
  for (const auto grant : from) {
    if (!grant.isBlob() && !grant.isPrefix()) {
      continue;
    }
    const auto name = grant.isBlob() ? grant.getBlob() : grant.getPrefix();
    if (name.size() <= blob_name_max_bytes) { // No blob's name is longer.
      grants.push_back({.name = to_string(name),
                        .is_prefix = grant.isPrefix(),
                        .writes = grant.getWrite(),
                        .registers = grant.getRegister()});
    }
  }
  return grants;
}

} // namespace vnvram
