// Where the network and transport headers of a frame begin: what cutting a super-frame needs to know, and no more.
// Pure: no Node, no system calls. Every offset counts from the frame's first byte.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ts {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;

constexpr size_t kTcpHeader = 20;
constexpr size_t kUdpHeader = 8;

inline uint16_t get16be(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline void put16be(uint8_t* p, uint16_t value) {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}
inline uint32_t get32be(const uint8_t* p) { return static_cast<uint32_t>(get16be(p)) << 16 | get16be(p + 2); }
inline void put32be(uint8_t* p, uint32_t value) {
  put16be(p, static_cast<uint16_t>(value >> 16));
  put16be(p + 2, static_cast<uint16_t>(value));
}

struct IpLayer {
  uint8_t version;   // 4 or 6
  uint8_t protocol;  // of the transport header
  size_t nh, th;     // network and transport header
  size_t src, dst;   // addresses of the pseudo-header; dst is the final one behind an IPv6 routing header
};

/// Ethernet II with up to two VLAN tags. False when `have` bytes do not hold it, or it carries no IP.
bool find_network(const uint8_t* frame, size_t have, size_t* nh);

/// The IP header at `nh` by its version, with options or extension headers. False when `have` bytes do not hold them
/// and one more byte, for a fragment (its transport header is not its own), and for what is not understood.
bool parse_ip(const uint8_t* frame, size_t have, size_t nh, IpLayer* out);

/// Sum of the pseudo-header (RFC 793, 768, 8200 section 8.1) for `length` bytes from the transport header on.
uint32_t pseudo_sum(const uint8_t* frame, const IpLayer& ip, size_t length);

}  // namespace ts
