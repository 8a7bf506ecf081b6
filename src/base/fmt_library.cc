// {fmt}'s functions, compiled once for all of ours. The other sources see <fmt/core.h> only, which
// declares them: compiled into every source that formats something they take half of the build. The
// package's own library, a shared one, brings the C++ library's locales along.
#define FMT_HEADER_ONLY
#include <fmt/format.h>

namespace {

// An inline function is compiled where its address is taken: what core.h's format() and print()
// call.
[[gnu::used]] constexpr std::string (*format)(fmt::string_view, fmt::format_args) = &fmt::vformat;
[[gnu::used]] constexpr void (*print)(fmt::string_view, fmt::format_args) = &fmt::vprint;
[[gnu::used]] constexpr void (*print_to)(std::FILE*, fmt::string_view,
                                         fmt::format_args) = &fmt::vprint;

} // namespace
