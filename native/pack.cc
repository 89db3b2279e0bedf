#include "pack.h"

#include <cstring>

#include "checksum.h"
#include "layers.h"

namespace ts {
namespace {

constexpr size_t kMaxIp = 65535;
constexpr size_t kIp6Header = 40;
constexpr uint16_t kUdpCsumOff = 6;

}  // namespace

void put_outer_lengths(uint8_t* header, const IpLayer& ip, size_t len) {
  uint8_t* h = header + ip.nh;
  if (ip.version == 6) {
    put16be(h + 4, static_cast<uint16_t>(len - ip.nh - kIp6Header));
  } else {
    put16be(h + 2, static_cast<uint16_t>(len - ip.nh));
    put16be(h + 10, 0);
    put16be(h + 10, csum_finish(csum_add(h, ip.th - ip.nh, 0), false));
  }
  const size_t udp = len - ip.th;
  put16be(header + ip.th + 4, static_cast<uint16_t>(udp));
  put16be(header + ip.th + kUdpCsumOff, csum_fold(pseudo_sum(header, ip, udp)));
}

bool Packer::begin(const uint8_t* frame, size_t len, const VnetFacts& facts) {
  has_piece_ = false;
  if ((facts.gso_type & kGsoTunnel) == 0 || (facts.flags & kTunnelCsum) == 0) return false;
  if (!find_network(frame, len, &outer_nh_)) return false;
  outer_th_ = facts.outer_th;
  const size_t outer = outer_th_ + kUdpHeader;
  if (outer > sizeof outer_ || size_t{facts.csum_start} + 60 > outer + kUnitHeader) return false;
  return cutter_.begin(frame, len, facts) && pull();
}

bool Packer::pull() {
  has_piece_ = cutter_.next(&piece_);
  return has_piece_;
}

bool Packer::next(PackedFrame* out) {
  if (!has_piece_) return false;
  const size_t outer = outer_th_ + kUdpHeader;
  memcpy(outer_, piece_.parts[0].at, outer);
  out->parts[0] = {outer_, outer};
  out->count = 1;
  out->len = outer;
  const size_t size = piece_.len - outer;
  int units = 0;
  // All pieces but the last have one size.
  for (bool more = true; more && units < PackedFrame::kUnits && out->len + size - outer_nh_ <= kMaxIp; units++) {
    const size_t header = piece_.parts[0].len - outer;
    memcpy(headers_[units], piece_.parts[0].at + outer, header);
    out->parts[out->count++] = {headers_[units], header};
    if (piece_.count > 1) out->parts[out->count++] = piece_.parts[1];
    out->len += piece_.len - outer;
    more = pull();
  }

  IpLayer ip;
  if (!parse_ip(outer_, outer, outer_nh_, &ip) || ip.th != outer_th_) return false;
  put_outer_lengths(outer_, ip, out->len);
  out->facts = {};
  out->facts.flags = kNeedsCsum;
  out->facts.csum_start = static_cast<uint16_t>(outer_th_);
  out->facts.csum_off = kUdpCsumOff;
  if (units == 1) return true;
  out->facts.gso_type = kGsoUdpL4;
  out->facts.gso_size = static_cast<uint16_t>(size);
  out->facts.hdr_len = static_cast<uint16_t>(outer);
  return true;
}

}  // namespace ts
