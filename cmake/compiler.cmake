# How every target here is compiled: sf_compiler is linked privately by each.
add_library(sf_compiler INTERFACE)
target_compile_definitions(sf_compiler INTERFACE _DEFAULT_SOURCE _POSIX_C_SOURCE=200809L $<$<PLATFORM_ID:Darwin>:_DARWIN_C_SOURCE>)
target_compile_options(sf_compiler INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings
  -Wconversion -Wno-sign-conversion -Wvla -Wundef
  # Vectors are passed to functions of one file only, which are inlined: how gcc 4.5 passed them is no news.
  -Wno-psabi
  # Nobody asks for errno or the exception flags after a root or a quotient, which keep them from being taken several at
  # a time. Results are the same.
  -fno-math-errno -fno-trapping-math
  # One order of roundings everywhere: a fused multiply-add only where a kernel asks for it.
  -ffp-contract=off)
if(SF_WARNINGS_AS_ERRORS)
  target_compile_options(sf_compiler INTERFACE -Werror)
endif()
if(SF_ASSERTIONS OR SF_SANITIZE)
  target_compile_definitions(sf_compiler INTERFACE SF_ASSERTIONS) # src/base/assert.h
endif()
if(SF_SANITIZE)
  target_compile_options(sf_compiler INTERFACE -fsanitize=${SF_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g)
  target_link_options(sf_compiler INTERFACE -fsanitize=${SF_SANITIZE})
endif()
if(SF_BUILD_FUZZERS)
  # Coverage of the library itself: without it a fuzzer sees only its own entry point.
  target_compile_options(sf_compiler INTERFACE -fsanitize=fuzzer-no-link)
endif()
