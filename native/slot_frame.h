// The frame that a slot's metadata describes. Metadata is shared memory: each word is read once, and nothing outside of
// the arena is ever pointed at.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layout.h"
#include "vnet.h"

namespace ts {

struct SlotFrame {
  uint8_t* bytes;
  size_t len;
  VnetFacts facts;
};

/// `m`: the slot's META_WORDS. False when the frame lies outside of the arena, or a fact does not fit its field.
inline bool read_slot(uint8_t* arena, size_t arena_len, const int32_t* m, SlotFrame* out) {
  const int32_t off = m[M_OFF], len = m[M_LEN];
  if (off < 0 || len < 0 || static_cast<size_t>(off) + static_cast<size_t>(len) > arena_len) return false;
  uint32_t seen = 0;
  const auto fact = [&](int word) {
    const uint32_t value = static_cast<uint32_t>(m[word]);
    seen |= value;
    return static_cast<uint16_t>(value);
  };
  const uint16_t flags = fact(M_VFLAGS), type = fact(M_GSO_TYPE);
  if (seen > 0xff) return false;
  out->bytes = arena + off;
  out->len = static_cast<size_t>(len);
  out->facts.flags = static_cast<uint8_t>(flags);
  out->facts.gso_type = static_cast<uint8_t>(type);
  out->facts.gso_size = fact(M_GSO_SIZE);
  out->facts.hdr_len = fact(M_HDR_LEN);
  out->facts.csum_start = fact(M_CSUM_START);
  out->facts.csum_off = fact(M_CSUM_OFF);
  out->facts.outer_th = fact(M_OUTER_TH);
  out->facts.inner_nh = fact(M_INNER_NH);
  return seen <= 0xffff;
}

}  // namespace ts
