# The floors, and the functions that put sources on them.

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/fourfold/floors.txt")
file(STRINGS "${CMAKE_CURRENT_SOURCE_DIR}/fourfold/floors.txt" floor_lines REGEX "^[a-z]+:")
set(FOURFOLD_FLOORS "")
foreach(line IN LISTS floor_lines)
  string(REGEX REPLACE ":.*" "" floor "${line}")
  list(APPEND FOURFOLD_FLOORS "${floor}")
endforeach()

# fourfold_module(<floor> SOURCES <file>...): adds sources to the one library.
function(fourfold_module floor)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES")
  foreach(source IN LISTS arg_SOURCES)
    cmake_path(ABSOLUTE_PATH source)
    target_sources(fourfold PRIVATE "${source}")
  endforeach()
endfunction()

set(FOURFOLD_TEST_PRECOMPILED_HEADERS
  <gmock/gmock.h> <gtest/gtest.h>
  <algorithm> <array> <atomic> <chrono> <coroutine> <deque> <filesystem> <functional> <map> <memory> <mutex>
  <numeric> <optional> <random> <ranges> <set> <span> <stdexcept> <string> <string_view> <system_error> <thread>
  <tuple> <utility> <variant> <vector>)

# fourfold_test(<name> SOURCES <file>... [LIBRARIES <target>...]): one GoogleTest executable. Every test in it
# becomes a ctest test "<name>/<suite>.<behaviour>" with the label <name>, its own process and a time limit.
function(fourfold_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  if(NOT FOURFOLD_BUILD_TESTS OR NOT arg_SOURCES)
    return()
  endif()
  set(target fourfold_${name}_tests)
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE fourfold::fourfold ${arg_LIBRARIES} GTest::gmock_main)
  # Clang, which builds the sanitizers' trees, reads these in no time; g++ gains nothing from it, and so the other
  # trees still tell when a file forgets an include.
  if(FOURFOLD_SANITIZE)
    target_precompile_headers(${target} PRIVATE ${FOURFOLD_TEST_PRECOMPILED_HEADERS})
  endif()
  # Discovery before the test run, not after linking: a build does not execute what it builds.
  gtest_discover_tests(${target}
    TEST_PREFIX "${name}/"
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${FOURFOLD_TEST_TIMEOUT} LABELS ${name} ENVIRONMENT "${FOURFOLD_TEST_ENVIRONMENT}")
endfunction()

# fourfold_floor(<floor> [TEST_LIBRARIES <target>...]): the whole CMakeLists.txt of an ordinary floor.
# Sources are found and not listed, so that a new file needs no second place to name it;
# CONFIGURE_DEPENDS makes the next build notice it.
function(fourfold_floor floor)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "TEST_LIBRARIES")
  file(GLOB sources CONFIGURE_DEPENDS *.cpp detail/*.cpp)
  file(GLOB tests CONFIGURE_DEPENDS *_test.cpp detail/*_test.cpp)
  list(REMOVE_ITEM sources ${tests})
  fourfold_module(${floor} SOURCES ${sources})
  fourfold_test(${floor} SOURCES ${tests} LIBRARIES ${arg_TEST_LIBRARIES})
endfunction()

# CMake refuses a library without sources, which is what the house is until its first .cpp file.
function(fourfold_require_a_source)
  get_target_property(sources fourfold SOURCES)
  if(NOT sources)
    file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/no_sources_yet.cpp" CONTENT "// no sources yet\n")
    target_sources(fourfold PRIVATE "${PROJECT_BINARY_DIR}/no_sources_yet.cpp")
  endif()
endfunction()
