#ifndef DDNN_RUNTIME_NET_SHORTEN_H_
#define DDNN_RUNTIME_NET_SHORTEN_H_

#include "ddnn/v1/tier.pb.h"

namespace ddnn {

/// Says the same in fewer bytes, as tier.proto has it: samples are named by their distance from the
/// one before, and time left is said again only when it has changed by more than a quarter. Inside
/// a node every sample has its whole name; only what is written is shortened.
void Shorten(v1::Up* message);
void Shorten(v1::Down* message);

/// The inverse, for what was read. Takes any message: all numbers are names, and none asks for
/// memory. Time left comes back as it was or up to a fifth less, never as more.
void Restore(v1::Up* message);
void Restore(v1::Down* message);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_SHORTEN_H_
