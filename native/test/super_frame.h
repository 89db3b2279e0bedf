// Builds super-frames from a description, and checks wire frames against it by a slow and obvious reading that shares
// no code with the cutter.
#pragma once

#include <cstdint>
#include <vector>

#include "../vnet.h"
#include "check.h"

namespace ts_test {

using Bytes = std::vector<uint8_t>;

struct IpShape {
  int version = 4;
  size_t extra = 0;  // bytes of IPv4 options (0, 4 .. 40) or of one IPv6 destination-options header (0, 8, 16 ..)
  uint16_t id = 0x1234;
  size_t size() const { return (version == 4 ? 20 : 40) + extra; }
};

struct Shape {
  int vlans = 0, inner_vlans = 0;  // the latter inside of a tunnel
  bool tunnel = false, tunnel_csum = false;
  IpShape outer, ip;
  bool tcp = true;
  size_t tcp_options = 0;
  uint8_t tcp_flags = 0x10;
  uint32_t seq = 0xfffff000;
  size_t payload = 0, gso_size = 1448;
  uint8_t fill = 7;

  size_t outer_nh() const { return 14 + 4 * static_cast<size_t>(vlans); }
  size_t outer_th() const { return outer_nh() + outer.size(); }
  // Behind outer UDP, VXLAN and the inner Ethernet header, or right behind the only Ethernet header.
  size_t nh() const { return tunnel ? outer_th() + 8 + 8 + 14 + 4 * static_cast<size_t>(inner_vlans) : outer_nh(); }
  size_t th() const { return nh() + ip.size(); }
  size_t headers() const { return th() + (tcp ? 20 + tcp_options : 8); }
  size_t field() const { return tcp ? 16 : 6; }
};

Bytes build(const Shape& shape);
ts::VnetFacts facts_of(const Shape& shape);

/// Checks all of the wire frames: lengths, identifications, sequence, flags, every checksum, and that the payload is
/// the super-frame's.
void check_wire(const Shape& shape, const Bytes& super, const std::vector<Bytes>& wire);

/// Sum of 16-bit big-endian words, word by word; an odd last byte is a word's high half.
uint32_t slow_sum(const uint8_t* p, size_t len);
uint16_t slow_fold(uint64_t sum);

}  // namespace ts_test
