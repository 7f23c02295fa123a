# SPDX-License-Identifier: Apache-2.0
# Compilers' flags of every preset. Warnings are errors, with both compilers.
add_library(llmtap_options INTERFACE)
target_compile_options(llmtap_options INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wcast-qual -Wold-style-cast -Woverloaded-virtual
  -Wvla -Wundef
  -Wno-unused-parameter                 # interfaces with defaults name what they ignore
  -Wno-missing-field-initializers       # designated initializers leave defaults on purpose
  $<$<CXX_COMPILER_ID:Clang>:-Wno-gnu-statement-expression>)
target_include_directories(llmtap_options INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/userspace)

set(CMAKE_CXX_FLAGS_DEV "-O1 -g1 -fno-omit-frame-pointer" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_DEV "-O1 -g1 -fno-omit-frame-pointer" CACHE STRING "" FORCE)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1 -DNDEBUG" CACHE STRING "" FORCE)
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(LLMTAP_SANITIZE)
  add_compile_options(-fsanitize=${LLMTAP_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LLMTAP_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-D_FORTIFY_SOURCE=2 -fstack-protector-strong)
endif()
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_C_COMPILER_LAUNCHER})
endif()
find_program(LLD NAMES ld.lld ld.lld-19)
if(LLD)
  add_link_options(-fuse-ld=lld)
endif()
