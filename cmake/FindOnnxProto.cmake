# ONNX's own CMake config also wants ONNXIFI; the messages are enough for writing models.
# Defines Onnx::proto (the messages) and Onnx::onnx (its checker).
find_path(ONNX_INCLUDE_DIR onnx/onnx_pb.h)
find_library(ONNX_PROTO_LIBRARY onnx_proto)
find_library(ONNX_LIBRARY onnx)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OnnxProto REQUIRED_VARS ONNX_PROTO_LIBRARY ONNX_LIBRARY ONNX_INCLUDE_DIR)
if(OnnxProto_FOUND AND NOT TARGET Onnx::proto)
  add_library(Onnx::proto UNKNOWN IMPORTED)
  set_target_properties(Onnx::proto PROPERTIES
    IMPORTED_LOCATION "${ONNX_PROTO_LIBRARY}"
    INTERFACE_COMPILE_DEFINITIONS "ONNX_NAMESPACE=onnx;ONNX_ML=1"
    INTERFACE_INCLUDE_DIRECTORIES "${ONNX_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES protobuf::libprotobuf)
  add_library(Onnx::onnx UNKNOWN IMPORTED)
  set_target_properties(Onnx::onnx PROPERTIES
    IMPORTED_LOCATION "${ONNX_LIBRARY}"
    INTERFACE_LINK_LIBRARIES Onnx::proto)
endif()
