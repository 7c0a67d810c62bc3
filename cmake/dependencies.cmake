# The libraries of the distribution that the library stands on: sf_dependencies carries them all.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
set(SF_PKG_CONFIG_MODULES sqlite3>=3.34 jansson>=2.13 libxxhash>=0.8.0 libpcre2-8>=10.34
  libcurl>=7.81 libcrypto>=1.1.1 expat>=2.4
  libprotobuf-c>=1.3 libzstd>=1.4 liblz4>=1.9)
pkg_check_modules(SF_DEPS REQUIRED IMPORTED_TARGET ${SF_PKG_CONFIG_MODULES})
add_library(sf_dependencies INTERFACE)
target_link_libraries(sf_dependencies INTERFACE PkgConfig::SF_DEPS Threads::Threads m)
