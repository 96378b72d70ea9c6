# ddnn_library(core SOURCES a.cc DEPS ddnn::models): target ddnn_core, alias ddnn::core.
function(ddnn_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(ddnn_${name} STATIC ${ARG_SOURCES})
  add_library(ddnn::${name} ALIAS ddnn_${name})
  target_include_directories(ddnn_${name} PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>")
  target_link_libraries(ddnn_${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# ddnn_export(models core): these libraries, their headers and what they need to be found again, for
# find_package(ddnn). See docs/embedding.md.
function(ddnn_export)
  foreach(name ${ARGN})
    set_target_properties(ddnn_${name} PROPERTIES EXPORT_NAME ${name})
    target_include_directories(ddnn_${name} INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/ddnn>")
    install(TARGETS ddnn_${name} EXPORT ddnn-targets
      ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
    get_target_property(source ddnn_${name} SOURCE_DIR)
    file(RELATIVE_PATH folder "${PROJECT_SOURCE_DIR}" "${source}")
    install(DIRECTORY "${source}/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ddnn/${folder}"
      COMPONENT development FILES_MATCHING PATTERN "*.h")
  endforeach()
endfunction()

# ddnn_binary(ddnn-device PACKAGE device SOURCES main.cc DEPS ddnn::net): built into bin/, installed,
# part of the Debian package ddnn-PACKAGE (cmake/Packages.cmake).
function(ddnn_binary name)
  cmake_parse_arguments(ARG "" "PACKAGE" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  install(TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT ${ARG_PACKAGE})
  set_property(GLOBAL APPEND PROPERTY DDNN_PROGRAMS ${name})
  set_property(TARGET ${name} PROPERTY DDNN_PACKAGE ${ARG_PACKAGE})
endfunction()

# ddnn_test(node_test SOURCES node_test.cc DEPS ddnn::node [DATA x] [TIMEOUT s]): one ctest entry per file.
# Tests run with DDNN_SOURCE_DIR, DDNN_BIN_DIR and DDNN_EMULATOR (what runs the programs there, empty
# where they are this machine's) in the environment, and with what the thread sanitizer is to leave out.
string(REPLACE ";" " " emulator "${CMAKE_CROSSCOMPILING_EMULATOR}")
function(ddnn_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(CMAKE_CROSSCOMPILING)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "DDNN_SOURCE_DIR=${PROJECT_SOURCE_DIR};DDNN_BIN_DIR=${PROJECT_BINARY_DIR}/bin;DDNN_EMULATOR=${emulator};TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp")
endfunction()
