# cmake -D BINARY=... -D NEVER=regex [-D EMULATOR=...] -P check_links.cmake: what a binary must not
# load at its start, because it costs a device memory.
# As ldd asks, which knows this machine's programs only.
set(ENV{LD_TRACE_LOADED_OBJECTS} 1)
execute_process(COMMAND ${EMULATOR} "${BINARY}" OUTPUT_VARIABLE libraries RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${BINARY} did not say what it loads: ${result}")
endif()
if(NOT libraries MATCHES "libXNNPACK")
  message(FATAL_ERROR "${BINARY} does not even load XNNPACK, so this says nothing:\n${libraries}")
endif()
if(libraries MATCHES "lib(${NEVER})[^\n]*")
  message(FATAL_ERROR "${BINARY} loads ${CMAKE_MATCH_0}")
endif()
