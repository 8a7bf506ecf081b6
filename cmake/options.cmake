# Compiler options that everything of ours is built with, as one interface target.
add_library(vnvram_options INTERFACE)
target_compile_options(vnvram_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wconversion -Wsign-conversion -Wcast-align
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>
  # GCC 12 warns of std::string operations that are right (its bug 105651) and, in release builds, of
  # {fmt} 9's parser of format strings.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-stringop-overflow>
  # Where several sources are compiled as one, what is in another's is no shadow.
  $<$<NOT:$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wshadow>
  -fstack-protector-strong -ffunction-sections -fdata-sections)
target_compile_definitions(vnvram_options INTERFACE
  _FILE_OFFSET_BITS=64 $<$<CONFIG:Release>:_FORTIFY_SOURCE=2 _GLIBCXX_ASSERTIONS>)
target_link_options(vnvram_options INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,--as-needed)
# What is loaded at some other address each time has some hundred KiB of addresses to be put right, which
# stay in memory: packed they are a page or two. The library is also for hosts whose C library is older.
include(CheckLinkerFlag)
check_linker_flag(CXX -Wl,-z,pack-relative-relocs VNVRAM_PACKS_RELOCATIONS)
if(VNVRAM_PACKS_RELOCATIONS)
  target_link_options(vnvram_options INTERFACE
    $<$<IN_LIST:$<TARGET_PROPERTY:TYPE>,EXECUTABLE$<SEMICOLON>MODULE_LIBRARY>:-Wl,-z,pack-relative-relocs>)
endif()
if(VNVRAM_SANITIZE)
  target_compile_options(vnvram_options INTERFACE
    -fsanitize=${VNVRAM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    # GCC takes an empty optional for uninitialized when it instruments it; a release build looks, too.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(vnvram_options INTERFACE -fsanitize=${VNVRAM_SANITIZE})
endif()

# Our assertions state invariants and stay on in every build type: NDEBUG is never defined.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_${config} "${CMAKE_CXX_FLAGS_${config}}")
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

# The headers of {fmt}; src/base/fmt_library.cc compiles what is behind them, without locales.
find_package(fmt REQUIRED)
add_library(vnvram_fmt INTERFACE)
target_include_directories(vnvram_fmt SYSTEM INTERFACE
  $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)
target_compile_definitions(vnvram_fmt INTERFACE "FMT_STATIC_THOUSANDS_SEPARATOR=','")
