# What `make install` puts where: the command and its manual are installed by src/cli.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/shardyfusion)

install(TARGETS shardyfusion shardyfusion_static sf_dependencies EXPORT shardyfusion-targets
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/shardyfusion.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/shardyfusion DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# find_package(shardyfusion): shardyfusion::shardyfusion and shardyfusion::shardyfusion_static.
install(EXPORT shardyfusion-targets NAMESPACE shardyfusion:: DESTINATION ${package_dir})
configure_package_config_file(cmake/shardyfusion-config.cmake.in shardyfusion-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(shardyfusion-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/shardyfusion-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/shardyfusion-config-version.cmake DESTINATION ${package_dir})

# pkg-config: paths relative to the file, so that an installed tree can be moved.
file(RELATIVE_PATH prefix_from_pkgconfig /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" prefix_from_pkgconfig "${prefix_from_pkgconfig}")
# What `pkg-config --static` adds are the libraries that the static library itself needs, and not Requires.private: theirs need
# others in turn, whose files for linking a distribution does not install along (libcurl alone names a dozen).
string(REPLACE ";" " " SF_STATIC_LIBRARIES "${SF_DEPS_LDFLAGS}")
configure_file(cmake/shardyfusion.pc.in shardyfusion.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/shardyfusion.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
