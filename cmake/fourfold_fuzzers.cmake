# fuzz/<name>_fuzz.cpp defines LLVMFuzzerTestOneInput; fuzz/corpus/<name>/ holds the inputs it starts from,
# which the tests replay. scripts/run-fuzzers looks for new ones.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "FOURFOLD_BUILD_FUZZERS needs clang; this is ${CMAKE_CXX_COMPILER_ID}")
endif()

target_compile_options(fourfold PRIVATE -fsanitize=fuzzer-no-link)

file(GLOB fuzzers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/*_fuzz.cpp")
foreach(fuzzer IN LISTS fuzzers)
  cmake_path(GET fuzzer STEM target)
  string(REGEX REPLACE "_fuzz$" "" name ${target})
  add_executable(${target} "${fuzzer}")
  target_link_libraries(${target} PRIVATE fourfold::fourfold)
  target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
  target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
  set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name}")
  if(FOURFOLD_BUILD_TESTS AND IS_DIRECTORY "${corpus}")
    add_test(NAME fuzz.${name} COMMAND ${target} -runs=0 "${corpus}")
    set_tests_properties(fuzz.${name} PROPERTIES
      TIMEOUT ${FOURFOLD_TEST_TIMEOUT} LABELS fuzz ENVIRONMENT "${FOURFOLD_TEST_ENVIRONMENT}")
  endif()
endforeach()
