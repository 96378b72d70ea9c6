# OpenCVConfig.cmake comes only with the whole of libopencv-dev; the modules used here are enough.
# Defines OpenCV::core, OpenCV::imgproc, OpenCV::imgcodecs, OpenCV::videoio and OpenCV::dnn.
find_path(OPENCV_INCLUDE_DIR opencv2/core.hpp PATH_SUFFIXES opencv4)
set(_opencv_libraries)
foreach(_module core imgproc imgcodecs videoio dnn)
  find_library(OPENCV_${_module}_LIBRARY opencv_${_module})
  list(APPEND _opencv_libraries OPENCV_${_module}_LIBRARY)
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCVModules REQUIRED_VARS OPENCV_INCLUDE_DIR ${_opencv_libraries})
if(OpenCVModules_FOUND AND NOT TARGET OpenCV::core)
  foreach(_module core imgproc imgcodecs videoio dnn)
    add_library(OpenCV::${_module} UNKNOWN IMPORTED)
    set_target_properties(OpenCV::${_module} PROPERTIES
      IMPORTED_LOCATION "${OPENCV_${_module}_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${OPENCV_INCLUDE_DIR}")
    if(NOT _module STREQUAL core)
      set_property(TARGET OpenCV::${_module} APPEND PROPERTY INTERFACE_LINK_LIBRARIES OpenCV::core)
    endif()
  endforeach()
endif()
