#include "vnet.h"

#include <cstring>

#include "layers.h"

namespace ts {
namespace {

uint16_t get16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }

void put16(uint8_t* p, uint16_t value) {
  p[0] = static_cast<uint8_t>(value);
  p[1] = static_cast<uint8_t>(value >> 8);
}

}  // namespace

bool vnet_plausible(const VnetFacts& facts, size_t frame_len) {
  const bool needs_csum = (facts.flags & kNeedsCsum) != 0;
  if (needs_csum && size_t{facts.csum_start} + facts.csum_off + 2 > frame_len) return false;

  const uint8_t base = gso_base(facts.gso_type);
  const uint8_t tunnel = facts.gso_type & kGsoTunnel;
  switch (base) {
    case kGsoNone:
      return tunnel == 0;
    case kGsoTcp4:
    case kGsoTcp6:
    case kGsoUdpL4:
    case kGsoUfo:
      break;
    default:
      return false;
  }
  if (facts.gso_size == 0) return false;
  if (tunnel == 0) return true;
  // Linux carries inner UDP fragments in no tunnel, and insists on the inner checksum's place to find the inner
  // transport header.
  if (tunnel == kGsoTunnel || base == kGsoUfo || !needs_csum) return false;
  return facts.outer_th + kUdpHeader <= facts.inner_nh && facts.inner_nh < facts.csum_start;
}

bool parse_vnet(const uint8_t* hdr, int hdrlen, size_t frame_len, VnetFacts* out) {
  out->flags = hdr[0];
  out->gso_type = hdr[1];
  out->hdr_len = get16(hdr + 2);
  out->gso_size = get16(hdr + 4);
  out->csum_start = get16(hdr + 6);
  out->csum_off = get16(hdr + 8);
  const bool extended = hdrlen >= kVnetMax;
  out->outer_th = extended ? get16(hdr + 20) : 0;
  out->inner_nh = extended ? get16(hdr + 22) : 0;
  // A hint for the reader's allocation alone: a wrong one is no reason to lose the frame.
  if (out->hdr_len > frame_len) out->hdr_len = static_cast<uint16_t>(frame_len);
  return vnet_plausible(*out, frame_len);
}

void emit_vnet(uint8_t* hdr, int hdrlen, const VnetFacts& facts) {
  memset(hdr, 0, static_cast<size_t>(hdrlen));
  hdr[0] = facts.flags;
  hdr[1] = facts.gso_type;
  put16(hdr + 2, facts.hdr_len);
  put16(hdr + 4, facts.gso_size);
  put16(hdr + 6, facts.csum_start);
  put16(hdr + 8, facts.csum_off);
  if (hdrlen >= kVnetMax) {
    put16(hdr + 20, facts.outer_th);
    put16(hdr + 22, facts.inner_nh);
  }
}

}  // namespace ts
