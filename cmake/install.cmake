# `cmake --install`: programs, libraries, headers, manual pages, words for shells, systemd's units, pkg-config file, CMake package.
include(CMakePackageConfigHelpers)

# What is installed has to be built: `./dev demo` builds this and what it shows, and no tests.
add_custom_target(installed)
add_dependencies(installed vnvram vnvram_static vnvram_cli vnvram-tpm vnvram-swtpm nbdkit-vnvram-plugin nbdkit-vnvram-owner-plugin)

install(TARGETS vnvram vnvram_static EXPORT vnvramTargets)
install(TARGETS vnvram_cli)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/vnvram DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(section 1 3 5 8)
  file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.${section})
  if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endif()
endforeach()
# A shell looks for the words of a program in a file of its name.
foreach(program vnvram vnvram-tpm vnvram-swtpm swtpm)
  install(FILES ${PROJECT_SOURCE_DIR}/contrib/completions/vnvram.bash
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${program})
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/contrib/completions/_vnvram DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(PROGRAMS ${PROJECT_SOURCE_DIR}/contrib/swtpm/vnvram-swtpm-back DESTINATION ${CMAKE_INSTALL_SBINDIR})
# They name /usr/bin, and what is in /etc/systemd/system comes before them.
file(GLOB units CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/contrib/systemd/*@.*)
install(FILES ${units} DESTINATION lib/systemd/system)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The prefix is found from where the file is, so that an installed tree can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH VNVRAM_PREFIX_FROM_PKGCONFIG /prefix/${pkgconfig_dir} /prefix)
configure_file(${PROJECT_SOURCE_DIR}/cmake/vnvram.pc.in ${PROJECT_BINARY_DIR}/vnvram.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/vnvram.pc DESTINATION ${pkgconfig_dir})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vnvram)
install(EXPORT vnvramTargets NAMESPACE vnvram:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/vnvramConfig.cmake.in
  ${PROJECT_BINARY_DIR}/vnvramConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/vnvramConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/vnvramConfig.cmake ${PROJECT_BINARY_DIR}/vnvramConfigVersion.cmake
  DESTINATION ${package_dir})
