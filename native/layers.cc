#include "layers.h"

#include "checksum.h"

namespace ts {
namespace {

constexpr size_t kAddresses = 12;
constexpr uint16_t kTypeIp4 = 0x0800, kTypeIp6 = 0x86dd;
constexpr size_t kIp4Header = 20, kIp6Header = 40;

bool is_vlan(uint16_t type) { return type == 0x8100 || type == 0x88a8 || type == 0x9100; }

bool parse_ip4(const uint8_t* frame, size_t have, size_t nh, IpLayer* out) {
  if (nh + kIp4Header > have) return false;
  const uint8_t* ip = frame + nh;
  const size_t length = (ip[0] & 15u) * 4;
  // More fragments, or not the first.
  if (length < kIp4Header || nh + length >= have || (get16be(ip + 6) & 0x3fff) != 0) return false;
  *out = {4, ip[9], nh, nh + length, nh + 12, nh + 16};
  return true;
}

// Offset of the final destination behind a routing header with segments left, or `dst`: type 0 lists it last (RFC 5095
// retired it), type 2 (RFC 6275) has one, the segment routing header (RFC 8754) lists it first.
size_t routed_to(const uint8_t* frame, size_t header, size_t length, size_t dst) {
  const uint8_t type = frame[header + 2], left = frame[header + 3];
  if (left == 0 || length < 24) return dst;
  if (type == 0) return header + 8 + (length - 8) / 16 * 16 - 16;
  return type == 2 || type == 4 ? header + 8 : dst;
}

bool parse_ip6(const uint8_t* frame, size_t have, size_t nh, IpLayer* out) {
  if (nh + kIp6Header >= have) return false;
  uint8_t next = frame[nh + 6];
  size_t at = nh + kIp6Header, dst = nh + 24;
  for (;;) {
    size_t length;
    switch (next) {
      case 0:   // hop-by-hop options
      case 43:  // routing
      case 60:  // destination options
        if (at + 8 > have) return false;
        length = (frame[at + 1] + size_t{1}) * 8;
        break;
      case 51:  // authentication header, RFC 4302: counts in words of 4 bytes
        if (at + 8 > have) return false;
        length = (frame[at + 1] + size_t{2}) * 4;
        break;
      case 44:  // fragment
        return false;
      default:
        *out = {6, next, nh, at, nh + 8, dst};
        return true;
    }
    if (at + length >= have) return false;
    if (next == 43) dst = routed_to(frame, at, length, dst);
    next = frame[at];
    at += length;
  }
}

}  // namespace

bool find_network(const uint8_t* frame, size_t have, size_t* nh) {
  size_t at = kAddresses;
  for (int tags = 0; tags < 2 && at + 2 <= have && is_vlan(get16be(frame + at)); tags++) at += 4;
  if (at + 2 >= have) return false;
  const uint16_t type = get16be(frame + at);
  *nh = at + 2;
  const uint8_t version = frame[*nh] >> 4;
  return (type == kTypeIp4 && version == 4) || (type == kTypeIp6 && version == 6);
}

bool parse_ip(const uint8_t* frame, size_t have, size_t nh, IpLayer* out) {
  if (nh >= have) return false;
  switch (frame[nh] >> 4) {
    case 4:
      return parse_ip4(frame, have, nh, out);
    case 6:
      return parse_ip6(frame, have, nh, out);
    default:
      return false;
  }
}

uint32_t pseudo_sum(const uint8_t* frame, const IpLayer& ip, size_t length) {
  const size_t size = ip.version == 4 ? 4 : 16;
  const uint32_t fixed = ip.protocol + static_cast<uint32_t>(length >> 16) + static_cast<uint32_t>(length & 0xffff);
  return csum_add(frame + ip.dst, size, csum_add(frame + ip.src, size, fixed));
}

}  // namespace ts
