#ifndef DDNN_DATASETS_DEFAULT_CAMERAS_H_
#define DDNN_DATASETS_DEFAULT_CAMERAS_H_

namespace ddnn {

/// datasets/six_cameras.textproto, built in so that no installed file has to be found at run time.
extern const char kDefaultCameras[];

}  // namespace ddnn

#endif  // DDNN_DATASETS_DEFAULT_CAMERAS_H_
