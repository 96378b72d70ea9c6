# Read by cpack when it starts: the version of what is packed, and the changelogs that carry it.
#
# VERSION-1+debN for a commit that is tagged vVERSION, else VERSION~gitCOUNT.COMMIT-1+debN, which sorts
# before it; N is the release of Debian, whose libraries the programs need. DDNN_PACKAGE_VERSION
# (cpack -D) is taken instead.
set(git git -C "${CPACK_DDNN_SOURCE_DIR}")
if(NOT DDNN_PACKAGE_VERSION)
  set(DDNN_PACKAGE_VERSION "${CPACK_DDNN_VERSION}")
  execute_process(COMMAND ${git} rev-parse --short=8 HEAD
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${git} describe --exact-match --match "v${CPACK_DDNN_VERSION}"
    RESULT_VARIABLE not_tagged OUTPUT_QUIET ERROR_QUIET)
  if(commit AND not_tagged)
    execute_process(COMMAND ${git} rev-list --count HEAD
      OUTPUT_VARIABLE count OUTPUT_STRIP_TRAILING_WHITESPACE)
    string(APPEND DDNN_PACKAGE_VERSION "~git${count}.${commit}")
    execute_process(COMMAND ${git} status --porcelain OUTPUT_VARIABLE changed)
    if(changed)
      string(APPEND DDNN_PACKAGE_VERSION ".changed")
    endif()
  endif()
  set(release "")
  if(EXISTS /etc/os-release)
    file(STRINGS /etc/os-release release REGEX "^VERSION_ID=")
    string(REGEX REPLACE "[^0-9.]" "" release "${release}")
  endif()
  string(APPEND DDNN_PACKAGE_VERSION "-1")
  if(release)
    string(APPEND DDNN_PACKAGE_VERSION "+deb${release}")
  endif()
endif()
set(CPACK_PACKAGE_VERSION "${DDNN_PACKAGE_VERSION}")
set(CPACK_DEBIAN_PACKAGE_VERSION "${DDNN_PACKAGE_VERSION}")

# Which packages the programs need: asked for another machine's where those lie.
if(CPACK_DDNN_SYSROOT)
  set(SHLIBDEPS_EXECUTABLE "${CPACK_DDNN_SOURCE_DIR}/tools/packaging/shlibdeps_of_sysroot.sh")
  set(ENV{DDNN_SYSROOT} "${CPACK_DDNN_SYSROOT}")
  set(ENV{DEB_HOST_ARCH} "${CPACK_DEBIAN_PACKAGE_ARCHITECTURE}")
endif()

# Else every package would be described by the project's one line first.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")

# The library and the programs that load it are made for each other.
set(CPACK_DEBIAN_TRAIN_PACKAGE_DEPENDS "ddnn-opencv (= ${DDNN_PACKAGE_VERSION})")
set(CPACK_DEBIAN_OPENCV_PACKAGE_BREAKS
  "ddnn-device (<< ${DDNN_PACKAGE_VERSION}), ddnn-device (>> ${DDNN_PACKAGE_VERSION})")

# The same commit gives the same packages.
if(DEFINED ENV{SOURCE_DATE_EPOCH})
  set(epoch $ENV{SOURCE_DATE_EPOCH})
else()
  execute_process(COMMAND ${git} log -1 --format=%ct
    OUTPUT_VARIABLE epoch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT epoch)
    string(TIMESTAMP epoch "%s" UTC)
  endif()
  set(ENV{SOURCE_DATE_EPOCH} ${epoch})
endif()
execute_process(COMMAND date --utc --rfc-email --date=@${epoch}
  OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE)

function(ddnn_gzip text_file)
  execute_process(COMMAND gzip -9nf "${text_file}" RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "gzip ${text_file}: ended with ${failed}, expected 0")
  endif()
endfunction()

file(COPY "${CPACK_DDNN_SOURCE_DIR}/CHANGELOG.md" DESTINATION "${CPACK_DDNN_DEBIAN_DIR}")
file(RENAME "${CPACK_DDNN_DEBIAN_DIR}/CHANGELOG.md" "${CPACK_DDNN_DEBIAN_DIR}/changelog")
ddnn_gzip("${CPACK_DDNN_DEBIAN_DIR}/changelog")
foreach(package ${CPACK_COMPONENTS_ALL})
  file(WRITE "${CPACK_DDNN_DEBIAN_DIR}/${package}/changelog.Debian"
"ddnn (${DDNN_PACKAGE_VERSION}) unstable; urgency=medium

  * Built by cpack; what changed stands in changelog.gz.

 -- ${CPACK_DEBIAN_PACKAGE_MAINTAINER}  ${date}
")
  ddnn_gzip("${CPACK_DDNN_DEBIAN_DIR}/${package}/changelog.Debian")
endforeach()
