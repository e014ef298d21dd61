# What `make install` puts where: library, headers, program, CMake package, pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/fourfold")

install(TARGETS fourfold EXPORT fourfold_targets)
# Headers under detail/ go along: the public templates need them.
install(DIRECTORY fourfold DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp"
  PATTERN "*_test.hpp" EXCLUDE)
install(EXPORT fourfold_targets NAMESPACE fourfold:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/fourfoldConfig.cmake.in "${PROJECT_BINARY_DIR}/fourfoldConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
# Before 1.0 every minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/fourfoldConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/fourfoldConfig.cmake" "${PROJECT_BINARY_DIR}/fourfoldConfigVersion.cmake"
  DESTINATION "${package_dir}")

file(RELATIVE_PATH FOURFOLD_PC_TO_PREFIX "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
configure_file(cmake/fourfold.pc.in "${PROJECT_BINARY_DIR}/fourfold.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/fourfold.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# tools/CMakeLists.txt names the program's target fourfold_program (OUTPUT_NAME fourfold).
if(TARGET fourfold_program)
  install(TARGETS fourfold_program)
endif()
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
