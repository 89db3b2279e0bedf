// The virtio-net header in front of a frame (virtio 1.2, 5.1.6; struct virtio_net_hdr_v1_hash_tunnel), little-endian.
//
//   0 flags   1 gso_type   2 hdr_len   4 gso_size   6 csum_start   8 csum_offset      10 bytes
//  10 num_buffers                                                                     12 bytes
//  12 hash_value  16 hash_report  18 padding  20 outer_th_offset  22 inner_nh_offset  24 bytes
//
// Pure: no Node, no system calls.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ts {

constexpr uint8_t kNeedsCsum = 1;
constexpr uint8_t kDataValid = 2;
/// The outer UDP header of a tunnel super-frame carries a checksum.
constexpr uint8_t kTunnelCsum = 8;

constexpr uint8_t kGsoNone = 0;
constexpr uint8_t kGsoTcp4 = 1;
constexpr uint8_t kGsoUfo = 3;
constexpr uint8_t kGsoTcp6 = 4;
constexpr uint8_t kGsoUdpL4 = 5;
constexpr uint8_t kGsoTunnel4 = 0x20;
constexpr uint8_t kGsoTunnel6 = 0x40;
constexpr uint8_t kGsoTunnel = kGsoTunnel4 | kGsoTunnel6;
constexpr uint8_t kGsoEcn = 0x80;

constexpr int kVnetMax = 24;

/// What the header says; offsets in bytes from the frame's first byte (csum_off: from csum_start).
struct VnetFacts {
  uint8_t flags, gso_type;
  uint16_t hdr_len, gso_size, csum_start, csum_off;
  uint16_t outer_th, inner_nh;
};

/// The type of segmentation without its flags: one of kGsoNone, kGsoTcp4, kGsoUfo, kGsoTcp6, kGsoUdpL4 when valid.
constexpr uint8_t gso_base(uint8_t gso_type) { return gso_type & ~(kGsoTunnel | kGsoEcn); }

/// Whether the facts can be true of a frame of `frame_len` bytes; what the headers say is not looked at.
bool vnet_plausible(const VnetFacts& facts, size_t frame_len);

/// Reads the header of `hdrlen` (10, 12 or 24) bytes. False when it makes no sense for a frame of `frame_len` bytes:
/// checksum outside of the frame, unknown type, no segment size, tunnel offsets out of order. `out` is set in any case,
/// hdr_len at most frame_len.
bool parse_vnet(const uint8_t* hdr, int hdrlen, size_t frame_len, VnetFacts* out);

/// Writes all `hdrlen` (10, 12 or 24) bytes of the header.
void emit_vnet(uint8_t* hdr, int hdrlen, const VnetFacts& facts);

}  // namespace ts
