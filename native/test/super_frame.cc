#include "super_frame.h"

#include <algorithm>
#include <cstring>

namespace ts_test {
namespace {

void push16(Bytes& b, size_t value) {
  b.push_back(static_cast<uint8_t>(value >> 8));
  b.push_back(static_cast<uint8_t>(value));
}

size_t at16(const Bytes& b, size_t off) { return static_cast<size_t>(b.at(off) << 8 | b.at(off + 1)); }
size_t at32(const Bytes& b, size_t off) { return at16(b, off) << 16 | at16(b, off + 2); }

void push_ip(Bytes& b, const IpShape& ip, uint8_t protocol, size_t behind, uint8_t host) {
  if (ip.version == 4) {
    b.push_back(static_cast<uint8_t>(0x40 | ip.size() / 4));
    b.push_back(0);
    push16(b, ip.size() + behind);
    push16(b, ip.id);
    push16(b, 0x4000);
    b.push_back(64);
    b.push_back(protocol);
    push16(b, 0);
    for (uint8_t side = 1; side <= 2; side++) b.insert(b.end(), {10, host, 0, side});
    b.insert(b.end(), ip.extra, 1);
    return;
  }
  b.insert(b.end(), {0x60, 0, 0, 0});
  push16(b, ip.extra + behind);
  b.push_back(ip.extra > 0 ? 60 : protocol);
  b.push_back(64);
  for (uint8_t side = 1; side <= 2; side++) {
    b.insert(b.end(), {0xfd, 0, 0, host});
    b.insert(b.end(), 11, 0);
    b.push_back(side);
  }
  if (ip.extra == 0) return;
  b.push_back(protocol);
  b.push_back(static_cast<uint8_t>(ip.extra / 8 - 1));
  b.push_back(1);  // PadN over the rest
  b.push_back(static_cast<uint8_t>(ip.extra - 4));
  b.insert(b.end(), ip.extra - 4, 0);
}

void push_ethernet(Bytes& b, int vlans, int version) {
  b.insert(b.end(), {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2});
  for (int i = 0; i < vlans; i++) {
    push16(b, i == 0 && vlans == 2 ? 0x88a8 : 0x8100);
    push16(b, static_cast<size_t>(100 + i));
  }
  push16(b, version == 4 ? 0x0800 : 0x86dd);
}

uint64_t pseudo(const Bytes& b, const IpShape& ip, size_t nh, uint8_t protocol, size_t length) {
  const size_t addresses = ip.version == 4 ? 8 : 32;
  return slow_sum(&b[nh + (ip.version == 4 ? 12 : 8)], addresses) + protocol + length;
}

void check_ip(const Bytes& b, const IpShape& ip, size_t nh, size_t index) {
  if (ip.version == 6) {
    CHECK_EQ(at16(b, nh + 4), b.size() - nh - 40);
    return;
  }
  CHECK_EQ(at16(b, nh + 2), b.size() - nh);
  CHECK_EQ(at16(b, nh + 4), static_cast<uint16_t>(ip.id + index));
  CHECK_EQ(slow_fold(slow_sum(&b[nh], ip.size())), 0xffff);
}

void check_sum(const Bytes& b, const IpShape& ip, size_t nh, uint8_t protocol) {
  const size_t th = nh + ip.size(), length = b.size() - th;
  CHECK_EQ(slow_fold(pseudo(b, ip, nh, protocol, length) + slow_sum(&b[th], length)), 0xffff);
}

}  // namespace

uint32_t slow_sum(const uint8_t* p, size_t len) {
  uint32_t sum = 0;
  for (size_t i = 0; i < len; i++) sum += i % 2 == 0 ? static_cast<uint32_t>(p[i]) << 8 : p[i];
  return sum;
}

uint16_t slow_fold(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

Bytes build(const Shape& s) {
  Bytes b;
  const uint8_t protocol = s.tcp ? 6 : 17;
  const size_t transport = s.headers() - s.th() + s.payload;
  push_ethernet(b, s.vlans, s.tunnel ? s.outer.version : s.ip.version);
  if (s.tunnel) {
    const size_t behind = s.headers() + s.payload - s.outer_th();
    push_ip(b, s.outer, 17, behind, 9);
    push16(b, 50000);
    push16(b, 4789);
    push16(b, behind);
    push16(b, 0);
    b.insert(b.end(), {8, 0, 0, 0, 0, 0, 100, 0});
    push_ethernet(b, s.inner_vlans, s.ip.version);
  }
  push_ip(b, s.ip, protocol, transport, 1);
  push16(b, 40000);
  push16(b, 5201);
  if (s.tcp) {
    push16(b, s.seq >> 16);
    push16(b, s.seq);
    b.insert(b.end(), {0, 0, 0, 1});
    b.push_back(static_cast<uint8_t>((20 + s.tcp_options) / 4 << 4));
    b.push_back(s.tcp_flags);
    push16(b, 512);
    push16(b, 0);
    push16(b, 0);
    b.insert(b.end(), s.tcp_options, 1);
  } else {
    push16(b, transport);
    push16(b, 0);
  }
  for (size_t i = 0; i < s.payload; i++) b.push_back(static_cast<uint8_t>(i * s.fill + (i >> 8)));
  const size_t field = s.th() + s.field();
  const uint16_t partial = slow_fold(pseudo(b, s.ip, s.nh(), protocol, transport));
  b[field] = static_cast<uint8_t>(partial >> 8);
  b[field + 1] = static_cast<uint8_t>(partial);
  return b;
}

ts::VnetFacts facts_of(const Shape& s) {
  ts::VnetFacts f{};
  f.flags = ts::kNeedsCsum;
  f.gso_type = !s.tcp ? ts::kGsoUdpL4 : s.ip.version == 4 ? ts::kGsoTcp4 : ts::kGsoTcp6;
  f.hdr_len = static_cast<uint16_t>(s.headers());
  f.gso_size = static_cast<uint16_t>(s.gso_size);
  f.csum_start = static_cast<uint16_t>(s.th());
  f.csum_off = static_cast<uint16_t>(s.field());
  if (!s.tunnel) return f;
  f.gso_type |= s.outer.version == 4 ? ts::kGsoTunnel4 : ts::kGsoTunnel6;
  if (s.tunnel_csum) f.flags |= ts::kTunnelCsum;
  f.outer_th = static_cast<uint16_t>(s.outer_th());
  f.inner_nh = static_cast<uint16_t>(s.nh());
  return f;
}

void check_wire(const Shape& s, const Bytes& super, const std::vector<Bytes>& wire) {
  CHECK_EQ(wire.size(), std::max<size_t>(1, (s.payload + s.gso_size - 1) / s.gso_size));
  size_t done = 0;
  for (size_t i = 0; i < wire.size(); i++) {
    const Bytes& b = wire[i];
    const size_t piece = std::min(s.gso_size, s.payload - done);
    CHECK_EQ(b.size(), s.headers() + piece);
    if (b.size() != s.headers() + piece) return;
    CHECK(memcmp(b.data(), super.data(), s.outer_nh()) == 0);
    CHECK(memcmp(b.data() + s.headers(), super.data() + s.headers() + done, piece) == 0);
    if (s.tunnel) {
      check_ip(b, s.outer, s.outer_nh(), i);
      CHECK_EQ(at16(b, s.outer_th() + 4), b.size() - s.outer_th());
      if (s.tunnel_csum)
        check_sum(b, s.outer, s.outer_nh(), 17);
      else
        CHECK_EQ(at16(b, s.outer_th() + 6), 0);
    }
    check_ip(b, s.ip, s.nh(), i);
    check_sum(b, s.ip, s.nh(), s.tcp ? 6 : 17);
    if (s.tcp) {
      CHECK_EQ(at32(b, s.th() + 4), static_cast<uint32_t>(s.seq + done));
      uint8_t flags = s.tcp_flags;
      if (i + 1 < wire.size()) flags &= static_cast<uint8_t>(~0x09);
      if (i > 0) flags &= static_cast<uint8_t>(~0x80);
      CHECK_EQ(b[s.th() + 13], flags);
    } else {
      CHECK_EQ(at16(b, s.th() + 4), b.size() - s.th());
      CHECK(at16(b, s.th() + 6) != 0);
    }
    done += piece;
  }
  CHECK_EQ(done, s.payload);
}

}  // namespace ts_test
