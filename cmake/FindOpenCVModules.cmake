# OpenCVConfig.cmake comes only with the whole of libopencv-dev; the modules used here are enough.
# Defines OpenCV::MODULE for each component: core, imgproc, imgcodecs, videoio, dnn.
find_path(OPENCV_INCLUDE_DIR opencv2/core.hpp PATH_SUFFIXES opencv4)
set(_opencv_libraries)
foreach(_module ${OpenCVModules_FIND_COMPONENTS})
  find_library(OPENCV_${_module}_LIBRARY opencv_${_module})
  list(APPEND _opencv_libraries OPENCV_${_module}_LIBRARY)
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCVModules REQUIRED_VARS OPENCV_INCLUDE_DIR ${_opencv_libraries})
if(OpenCVModules_FOUND)
  foreach(_module ${OpenCVModules_FIND_COMPONENTS})
    if(TARGET OpenCV::${_module})
      continue()
    endif()
    add_library(OpenCV::${_module} UNKNOWN IMPORTED)
    set_target_properties(OpenCV::${_module} PROPERTIES
      IMPORTED_LOCATION "${OPENCV_${_module}_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${OPENCV_INCLUDE_DIR}")
    if(NOT _module STREQUAL core)
      set_property(TARGET OpenCV::${_module} APPEND PROPERTY INTERFACE_LINK_LIBRARIES OpenCV::core)
    endif()
  endforeach()
endif()
