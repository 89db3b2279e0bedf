// UDP ports whose packets are VXLAN, as the main thread lists them for all threads (Arena.tunnels).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ts {

struct TunnelPorts {
  const int32_t* ports;
  size_t count;
  bool has(uint16_t port) const {
    for (size_t i = 0; i < count; i++)
      if (ports[i] == port) return true;
    return false;
  }
};

/// The list of `length` words, at least one: how many ports there are, which is another thread's to change, and the ports.
inline TunnelPorts listed_ports(const int32_t* words, size_t length) {
  const size_t count = static_cast<size_t>(std::max(0, __atomic_load_n(&words[0], __ATOMIC_ACQUIRE)));
  return {words + 1, std::min(count, length - 1)};
}

}  // namespace ts
