# Debian packages, by `cmake --build build --target packages` or, once all is built, `cpack` in the
# build folder. docs/install.md says what each is for. Versions: cmake/PackageVersion.cmake.
#
#   ddnn-device  the device daemon; nothing of LibTorch and nothing of OpenCV
#   ddnn-opencv  what reads pictures, videos and cameras, by itself: a device that does without
#                does not drag OpenCV in, and what it needs is computed as for the others
#   ddnn-server  edge, cloud and query
#   ddnn-train   training, evaluation, calibration, export, a tree on one machine
set(description_device "first layers of a distributed neural network, beside a camera
ddnn-device runs the first layers of a network with early exits, sends class
scores up, and features only when the scores were not sure enough.

Cameras, pictures and videos need ddnn-opencv.")
set(description_opencv "pictures, videos and cameras for ddnn
The library through which ddnn's programs read pictures, videos and cameras.
They load it only then.")
set(description_server "edge and cloud of a distributed neural network
ddnn-edge joins what devices see and answers what it is sure about; ddnn-cloud
runs the last layers and keeps hard samples; ddnn-query lists, labels and
exports these.")
set(description_train "training of distributed neural networks with early exits
ddnn-train trains a network for devices, edge and cloud as a whole and writes
the bundle that all of them load; ddnn-eval and ddnn-calibrate measure it and
choose its thresholds, ddnn-export writes ONNX, ddnn-local runs a whole tree
on one machine.")
set(depends_device "adduser")
set(depends_server "adduser")
set(recommends_device "ddnn-opencv")
set(recommends_train "ddnn-device, ddnn-server")
set(suggests_train "dataset-fashion-mnist")
set(section_device "net")
set(section_server "net")
set(section_train "science")
set(section_opencv "libs")
set(units_device ddnn-device)
set(units_server ddnn-edge ddnn-cloud)

set(DDNN_MAINTAINER "The ddnn authors <ddnn@packages.invalid>" CACHE STRING
  "Maintainer of the Debian packages")

# ---- What is installed besides programs and libraries; only as a part of a package ----

set(CPACK_COMPONENTS_ALL opencv)
get_property(programs GLOBAL PROPERTY DDNN_PROGRAMS)
foreach(program ${programs})
  get_target_property(package ${program} DDNN_PACKAGE)
  list(APPEND CPACK_COMPONENTS_ALL ${package})
  list(APPEND parts_${package} docs-of-${program})
endforeach()
list(REMOVE_DUPLICATES CPACK_COMPONENTS_ALL)
set(parts_opencv ddnn_opencv)

set(debian "${PROJECT_BINARY_DIR}/debian")
foreach(package ${CPACK_COMPONENTS_ALL})
  string(TOUPPER ${package} PACKAGE)
  set(control "${debian}/${package}")
  set(documents "${CMAKE_INSTALL_DATADIR}/doc/ddnn-${package}")
  install(FILES "${debian}/changelog.gz" DESTINATION "${documents}" COMPONENT ${package} EXCLUDE_FROM_ALL)
  install(FILES "${control}/changelog.Debian.gz" DESTINATION "${documents}"
    COMPONENT ${package} EXCLUDE_FROM_ALL)
  install(FILES deploy/debian/copyright DESTINATION "${documents}" COMPONENT ${package} EXCLUDE_FROM_ALL)

  set(CPACK_DEBIAN_${PACKAGE}_PACKAGE_NAME ddnn-${package})
  set(CPACK_COMPONENT_${PACKAGE}_DESCRIPTION "${description_${package}}")
  set(CPACK_DEBIAN_${PACKAGE}_DESCRIPTION "${description_${package}}")
  set(CPACK_DEBIAN_${PACKAGE}_PACKAGE_DEPENDS "${depends_${package}}")
  set(CPACK_DEBIAN_${PACKAGE}_PACKAGE_RECOMMENDS "${recommends_${package}}")
  set(CPACK_DEBIAN_${PACKAGE}_PACKAGE_SUGGESTS "${suggests_${package}}")
  set(CPACK_DEBIAN_${PACKAGE}_PACKAGE_SECTION "${section_${package}}")

  if(units_${package})
    set(UNITS "")
    set(CONFFILES "")
    foreach(unit ${units_${package}})
      string(REPLACE "ddnn-" "" role ${unit})
      string(APPEND UNITS " ${unit}.service")
      string(APPEND CONFFILES "/etc/ddnn/${role}.textproto\n")
      install(FILES deploy/systemd/${unit}.service DESTINATION lib/systemd/system
        COMPONENT ${package} EXCLUDE_FROM_ALL)
      install(FILES deploy/config/${role}.textproto DESTINATION /etc/ddnn
        COMPONENT ${package} EXCLUDE_FROM_ALL)
    endforeach()
    string(STRIP "${UNITS}" UNITS)
    foreach(script postinst prerm postrm)
      configure_file(deploy/debian/${script}.in "${control}/${script}" @ONLY)
    endforeach()
    file(WRITE "${control}/conffiles" "${CONFFILES}")
    set(CPACK_DEBIAN_${PACKAGE}_PACKAGE_CONTROL_EXTRA
      "${control}/postinst;${control}/prerm;${control}/postrm;${control}/conffiles")
  endif()

  add_custom_target(package-${package}
    COMMAND "${CMAKE_CPACK_COMMAND}" -D CPACK_COMPONENTS_ALL=${package}
    DEPENDS ${parts_${package}} COMMENT "Debian package ddnn-${package}" USES_TERMINAL VERBATIM)
  list(APPEND all_parts ${parts_${package}})
endforeach()
add_custom_target(packages COMMAND "${CMAKE_CPACK_COMMAND}"
  DEPENDS ${all_parts} COMMENT "Debian packages" USES_TERMINAL VERBATIM)

foreach(part models tools/topologies)
  get_filename_component(name ${part} NAME)
  install(DIRECTORY ${part}/ DESTINATION "${CMAKE_INSTALL_DATADIR}/ddnn/${name}"
    COMPONENT train EXCLUDE_FROM_ALL FILES_MATCHING PATTERN "*.textproto")
endforeach()

# ---- CPack ----

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ddnn)
set(CPACK_PACKAGE_VENDOR ddnn)
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_PROJECT_CONFIG_FILE "${CMAKE_CURRENT_LIST_DIR}/PackageVersion.cmake")
set(CPACK_DDNN_SOURCE_DIR "${PROJECT_SOURCE_DIR}")
set(CPACK_DDNN_DEBIAN_DIR "${debian}")
set(CPACK_DDNN_VERSION "${PROJECT_VERSION}")
set(CPACK_DDNN_SYSROOT "${CMAKE_SYSROOT}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${DDNN_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
endif()
include(CPack)
