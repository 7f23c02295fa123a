# SPDX-License-Identifier: Apache-2.0

# llmtap_library(streams [libraries…]): userspace/streams as a static library `llmtap_streams`.
function(llmtap_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(NOT sources)
    add_library(llmtap_${name} INTERFACE)
    target_link_libraries(llmtap_${name} INTERFACE llmtap_options ${ARGN})
    return()
  endif()
  add_library(llmtap_${name} STATIC ${sources})
  target_link_libraries(llmtap_${name} PUBLIC llmtap_options ${ARGN})
endfunction()

# llmtap_unit_test(streams [libraries…]): tests/unit/streams/*.cpp as one program, `unit_streams`.
function(llmtap_unit_test name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(unit_${name} ${sources})
  target_include_directories(unit_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(unit_${name} PRIVATE ${ARGN} llmtap_options GTest::gmock GTest::gtest_main)
  target_compile_definitions(unit_${name} PRIVATE LLMTAP_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME unit_${name} COMMAND unit_${name})
  set_tests_properties(unit_${name} PROPERTIES LABELS unit)
endfunction()
