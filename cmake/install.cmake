# The library for C++ users: find_package(vecrecall), target vecrecall::core.
include(CMakePackageConfigHelpers)

install(TARGETS vecrecall_core EXPORT vecrecall-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY cpp/include/vecrecall DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT vecrecall-targets NAMESPACE vecrecall:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vecrecall)
configure_package_config_file(cmake/vecrecall-config.cmake.in vecrecall-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vecrecall)
write_basic_package_version_file(vecrecall-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vecrecall-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/vecrecall-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vecrecall)
