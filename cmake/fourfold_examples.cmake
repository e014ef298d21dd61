# Each file of examples/ is a complete program, built and run by the tests as examples.<name>.
# examples/asio.cpp needs Boost.Asio's headers. The library does not, so nothing else looks for them.
find_package(Boost 1.74)
if(NOT Boost_FOUND)
  message(FATAL_ERROR "examples/asio.cpp needs the headers of Boost 1.74 or newer: install libboost-dev "
    "(`make test` does), or configure with -DFOURFOLD_BUILD_TESTS=OFF")
endif()

file(GLOB examples CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/examples/*.cpp")
foreach(example IN LISTS examples)
  cmake_path(GET example STEM name)
  add_executable(example_${name} "${example}")
  target_link_libraries(example_${name} PRIVATE fourfold::fourfold)
  set_target_properties(example_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  add_test(NAME examples.${name} COMMAND example_${name})
  set_tests_properties(examples.${name} PROPERTIES
    TIMEOUT ${FOURFOLD_TEST_TIMEOUT} LABELS examples ENVIRONMENT "${FOURFOLD_TEST_ENVIRONMENT}")
endforeach()
target_link_libraries(example_asio PRIVATE Boost::headers)
