// The numbers that TypeScript and C++ share: slot metadata (src/packet/slot.ts), results of batches (src/native/binding.ts).
// `layout()` exports them by name; test/unit/native compares both sides.
#pragma once

namespace ts {

// clang-format off
#define TS_LAYOUT(X)                                                                                       \
  X(M_BASE, 0) X(M_SIZE, 1) X(M_OWNER, 2) X(M_OFF, 3) X(M_LEN, 4) X(M_PORT, 5) X(M_VFLAGS, 6)              \
  X(M_GSO_TYPE, 7) X(M_GSO_SIZE, 8) X(M_HDR_LEN, 9) X(M_CSUM_START, 10) X(M_CSUM_OFF, 11)                  \
  X(M_OUTER_TH, 12) X(M_INNER_NH, 13) X(M_FIRST_PIPE, 14) X(META_WORDS, 40)                                \
  X(MAX_TUNNEL_PORTS, 63) X(HEADROOM, 192) X(SMALL_SIZE, 2048) X(BIG_SIZE, 66560)                                                  \
  X(VNET_F_NEEDS_CSUM, 1) X(VNET_F_DATA_VALID, 2) X(VNET_F_TUNNEL_CSUM, 8)                                 \
  X(GSO_NONE, 0) X(GSO_TCPV4, 1) X(GSO_UDP, 3) X(GSO_TCPV6, 4) X(GSO_UDP_L4, 5)                            \
  X(GSO_UDP_TUNNEL_IPV4, 0x20) X(GSO_UDP_TUNNEL_IPV6, 0x40) X(GSO_ECN, 0x80)                               \
  X(RX_SMALL_USED, 0) X(RX_BIG_USED, 1) X(RX_OVERSIZE, 2) X(RX_NO_SLOT, 3) X(RX_RUNT, 4) X(RX_ERRNO, 5)    \
  X(RX_BAD_VNET, 6) X(RX_RESULT_WORDS, 8) X(RX_SPARE, 128)                                                                  \
  X(TX_WRITES, 0) X(TX_FULL, 1) X(TX_MALFORMED, 2) X(TX_ERROR, 3) X(TX_ERRNO, 4) X(TX_RESULT_WORDS, 8)     \
  X(KIND_TAP, 0) X(KIND_PACKET, 1)
// clang-format on

enum Layout : int {
#define X(name, value) name = value,
  TS_LAYOUT(X)
#undef X
};

static_assert(SMALL_SIZE > HEADROOM + 1522, "a small slot holds one untagged or tagged MTU frame");
static_assert(BIG_SIZE >= HEADROOM + 14 + 8 + 65535, "a big slot holds any super-frame");

}  // namespace ts
