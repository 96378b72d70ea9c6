#ifndef DDNN_TESTS_SUPPORT_EMULATOR_H_
#define DDNN_TESTS_SUPPORT_EMULATOR_H_

#include <cstdlib>
#include <string>

namespace ddnn {

/// What runs this build's programs: "" on the processor that they are for, else qemu's user
/// emulation.
inline std::string Emulator() {
  const char* emulator = std::getenv("DDNN_EMULATOR");
  return emulator == nullptr ? "" : emulator;
}

/// Qemu gives 4 bytes of the kernel's TCP_INFO, so connections count nothing there.
inline bool KernelCountsBytes() { return Emulator().empty(); }

/// A program that starts itself anew, such as a threadsafe death test, would start without qemu.
inline bool StartsItself() { return Emulator().empty(); }

}  // namespace ddnn

#endif  // DDNN_TESTS_SUPPORT_EMULATOR_H_
