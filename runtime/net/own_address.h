#ifndef DDNN_RUNTIME_NET_OWN_ADDRESS_H_
#define DDNN_RUNTIME_NET_OWN_ADDRESS_H_

#include <cstdint>
#include <string>

namespace ddnn {

/// This machine's address, as a number, on the way to `host`; empty if there is no way. A machine's
/// own name would not do: it often stands for 127.0.1.1, where no other machine finds it. Nothing
/// is sent, but `host` may be looked up.
std::string OwnAddressTowards(const std::string& host, uint16_t port);

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_OWN_ADDRESS_H_
