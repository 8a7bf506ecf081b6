# A layer is a folder of src/ and a library of that name. It has an include root of its own, in which there
# is only that folder, so that `#include "store/engine.h"` is found by what links vnvram_store, and by
# nothing below it. What a layer may name in its own includes is SEES, word for word; the test `layers`
# says so of every source. docs/design.md draws the house.
#
#   vnvram_layer(store SEES base format device SOURCES engine.cc ...)
#   vnvram_layer(cli SEES ... LIBRARY cli_parts SOURCES ...)     the library's name, if not the folder's
function(vnvram_layer folder)
  cmake_parse_arguments(LAYER "" "LIBRARY" "SEES;SOURCES" ${ARGN})
  if(LAYER_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "vnvram_layer ${folder}: ${LAYER_UNPARSED_ARGUMENTS}?")
  endif()
  set(root ${PROJECT_BINARY_DIR}/include-roots/${folder})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${folder} ${root}/${folder} SYMBOLIC)
  set(library vnvram_${folder})
  if(LAYER_LIBRARY)
    set(library vnvram_${LAYER_LIBRARY})
  endif()
  add_library(${library} STATIC ${LAYER_SOURCES})
  target_include_directories(${library} PUBLIC ${PROJECT_SOURCE_DIR}/include ${root})
  list(TRANSFORM LAYER_SEES PREPEND vnvram_ OUTPUT_VARIABLE below)
  target_link_libraries(${library} PUBLIC ${below} PRIVATE vnvram_options vnvram_fmt)
  set_property(GLOBAL APPEND_STRING PROPERTY VNVRAM_LAYERS "${folder}: ${LAYER_SEES}\n")
endfunction()

# For the test `layers`: what each of them may include, lowest first.
function(vnvram_write_layers)
  get_property(layers GLOBAL PROPERTY VNVRAM_LAYERS)
  string(REPLACE ";" " " layers "${layers}")
  file(WRITE ${PROJECT_BINARY_DIR}/layers.txt "${layers}")
endfunction()
