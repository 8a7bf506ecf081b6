# VNVRAM_REMOVE=NAME leaves out one barrier of src/base/barrier.h: for scripts/mutants.py only.
set(VNVRAM_REMOVE "" CACHE STRING "A barrier to leave out, to see a test notice. Never for use")

if(VNVRAM_REMOVE)
  # Only the sources that have this barrier get the definition: from one to the next little is built.
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.cc)
  set(users "")
  foreach(source ${sources})
    file(STRINGS ${source} uses REGEX "Barrier::${VNVRAM_REMOVE}[^a-z_]")
    if(uses)
      list(APPEND users ${source})
    endif()
  endforeach()
  if(NOT users)
    message(FATAL_ERROR "VNVRAM_REMOVE: no source has a barrier \"${VNVRAM_REMOVE}\"; src/base/barrier.h names them")
  endif()
  message(WARNING "this build leaves out ${VNVRAM_REMOVE}: it loses data, and is for tests only")
  install(CODE "message(FATAL_ERROR \"a build without ${VNVRAM_REMOVE} is for tests only, and not installed\")" ALL_COMPONENTS)
  foreach(user ${users})
    cmake_path(GET user PARENT_PATH layer)
    cmake_path(GET layer FILENAME layer)
    # When the target is there.
    cmake_language(EVAL CODE "cmake_language(DEFER CALL set_source_files_properties [[${user}]]
      TARGET_DIRECTORY vnvram_${layer} PROPERTIES COMPILE_DEFINITIONS VNVRAM_REMOVE=${VNVRAM_REMOVE})")
  endforeach()
  cmake_language(DEFER CALL set_source_files_properties ${PROJECT_SOURCE_DIR}/src/base/version.cc
    TARGET_DIRECTORY vnvram_base
    PROPERTIES COMPILE_DEFINITIONS "VNVRAM_VERSION=\"${PROJECT_VERSION} without ${VNVRAM_REMOVE}, for tests only\"")
endif()
