# Each program's man page and bash completion, made from what its --help says (tools/packaging).
# Where the programs are for another machine, its emulator runs them.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

get_property(programs GLOBAL PROPERTY DDNN_PROGRAMS)
list(JOIN programs "," other_programs)
file(GLOB makers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tools/packaging/*.py")
set(docs "${PROJECT_BINARY_DIR}/program_docs")
file(MAKE_DIRECTORY "${docs}/man" "${docs}/completions")
foreach(program ${programs})
  set(page "${docs}/man/${program}.1.gz")
  set(completion "${docs}/completions/${program}")
  add_custom_command(OUTPUT "${page}" "${completion}"
    COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/tools/packaging/make_program_docs.py"
      --program "$<TARGET_FILE:${program}>" "--emulator=${CMAKE_CROSSCOMPILING_EMULATOR}"
      --version "${PROJECT_VERSION}" --others "${other_programs}"
      --man "${page}" --completion "${completion}"
    DEPENDS ${program} ${makers}
    COMMENT "Man page and completion of ${program}" VERBATIM)
  list(APPEND all_docs "${page}" "${completion}")
  get_target_property(package ${program} DDNN_PACKAGE)
  install(FILES "${page}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT ${package})
  install(FILES "${completion}" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions"
    COMPONENT ${package})
  add_custom_target(docs-of-${program} DEPENDS "${page}" "${completion}")
endforeach()
add_custom_target(program-docs ALL DEPENDS ${all_docs})
