# The checks of the source tree, as tests with the label "check". They look at the sources and not at the program,
# so a sanitizer has nothing to add and its tree leaves them out.
if(NOT PROJECT_IS_TOP_LEVEL OR FOURFOLD_SANITIZE)
  return()
endif()

function(fourfold_check name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PROCESSORS" "COMMAND")
  add_test(NAME check.${name} COMMAND ${arg_COMMAND} WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
  set_tests_properties(check.${name} PROPERTIES
    TIMEOUT 300 LABELS check ENVIRONMENT "CXX=${CMAKE_CXX_COMPILER}")
  if(arg_PROCESSORS)
    set_tests_properties(check.${name} PROPERTIES PROCESSORS ${arg_PROCESSORS})
  endif()
endfunction()

set(scripts "${CMAKE_CURRENT_SOURCE_DIR}/scripts")
fourfold_check(floors COMMAND "${scripts}/check-floors")
fourfold_check(headers COMMAND "${scripts}/check-headers" PROCESSORS 2)
fourfold_check(docs COMMAND "${scripts}/check-docs" PROCESSORS 2)
fourfold_check(install COMMAND "${scripts}/test-install" "${PROJECT_BINARY_DIR}")

# Required by `make ci`; here they are a convenience for whoever has clang and its formatter.
find_program(FOURFOLD_CLANG clang++-19)
if(FOURFOLD_CLANG)
  fourfold_check(annotations COMMAND "${scripts}/check-annotations")
endif()
find_program(FOURFOLD_CLANG_FORMAT clang-format-19)
if(FOURFOLD_CLANG_FORMAT)
  fourfold_check(format COMMAND "${scripts}/format" --check)
endif()
