# How every source of this tree is compiled. The options are set on the directory, not target by target, so that
# a new target cannot forget them. They reach our own targets only: what we depend on is installed, its headers
# are system headers, and a project that adds this tree as a subdirectory keeps its own options.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or RelWithDebInfo" FORCE)
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON) # for clang-tidy

add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 sees overlapping copies in `"text" + std::string` when it optimises (GCC bug 105651).
  add_compile_options(-Wno-restrict)
endif()
if(FOURFOLD_WARNINGS_AS_ERRORS)
  add_compile_options(-Werror)
endif()

set(FOURFOLD_SANITIZE "" CACHE STRING "address (with undefined behaviour), thread, or empty")
set_property(CACHE FOURFOLD_SANITIZE PROPERTY STRINGS "" address thread)
set(FOURFOLD_TEST_TIMEOUT 60)
set(FOURFOLD_TEST_ENVIRONMENT "")

if(FOURFOLD_SANITIZE)
  if(FOURFOLD_SANITIZE STREQUAL "address")
    set(sanitizer_flags -fsanitize=address,undefined -fno-sanitize-recover=all)
  elseif(FOURFOLD_SANITIZE STREQUAL "thread")
    set(sanitizer_flags -fsanitize=thread)
  else()
    message(FATAL_ERROR "FOURFOLD_SANITIZE is '${FOURFOLD_SANITIZE}'; it can be 'address' or 'thread'")
  endif()
  # A report needs lines, not variables; without those a file compiles in two thirds of the time.
  add_compile_options(${sanitizer_flags} -gline-tables-only -fno-omit-frame-pointer)
  add_link_options(${sanitizer_flags})
  math(EXPR FOURFOLD_TEST_TIMEOUT "${FOURFOLD_TEST_TIMEOUT} * 4")

  # Without its symbolizer a sanitizer reports bare addresses; Debian installs it under a versioned name only.
  find_program(FOURFOLD_SYMBOLIZER NAMES llvm-symbolizer-19 llvm-symbolizer)
  if(FOURFOLD_SYMBOLIZER)
    set(symbolizer ":external_symbolizer_path=${FOURFOLD_SYMBOLIZER}")
  endif()
  set(FOURFOLD_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1${symbolizer}"
    "UBSAN_OPTIONS=print_stacktrace=1${symbolizer}"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:history_size=4:atexit_sleep_ms=0${symbolizer}")
endif()
