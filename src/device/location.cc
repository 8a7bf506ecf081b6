#include "device/location.h"

#include <algorithm>
#include <array>

namespace vnvram {
namespace {

struct Row {
  std::string_view beginning;
  LocationScheme scheme;
};
constexpr std::array<Row, 6> schemes = {{
    {"nbd://", LocationScheme::nbd},
    {"nbds://", LocationScheme::nbd},
    {"nbd+unix://", LocationScheme::nbd},
    {"nbds+unix://", LocationScheme::nbd},
    {"unix:", LocationScheme::owner},
    {"fd:", LocationScheme::owner},
}};

} // namespace

LocationScheme scheme_of(std::string_view location) {
  const auto* row = std::find_if(schemes.begin(), schemes.end(), [&](const Row& candidate) {
    return location.starts_with(candidate.beginning);
  });
  return row == schemes.end() ? LocationScheme::path : row->scheme;
}

bool is_served(std::string_view location) {
  switch (scheme_of(location)) {
  case LocationScheme::path: return false;
  case LocationScheme::nbd:
  case LocationScheme::owner: return true;
  }
  return false;
}

} // namespace vnvram
