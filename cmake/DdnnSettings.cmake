# Bits, pixels and floats lie in memory as they do in files and messages: the low byte first.
if(CMAKE_CXX_BYTE_ORDER STREQUAL "BIG_ENDIAN")
  message(FATAL_ERROR "ddnn runs on little-endian processors; ${CMAKE_SYSTEM_PROCESSOR} is big-endian")
endif()
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

# The same float results on every node: no fused multiply-add behind our back (GCC's default on arm64).
add_compile_options(-Wall -Wextra -Wno-unused-parameter -ffp-contract=off)

set(DDNN_SANITIZE "" CACHE STRING "address,undefined or thread")
if(DDNN_SANITIZE)
  add_compile_options(-fsanitize=${DDNN_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${DDNN_SANITIZE})
endif()
