// Puts the segments of a tunnelled super-frame into outer UDP super-frames, for a device that segments UDP but knows no tunnels (Linux 6.2 to 6.16): units of one size, each a VXLAN
// header and a complete inner frame, behind one outer header. On the wire they are the packets that Cutter would make, so the outer checksum must be wanted: segmentation makes
// one. Unpacker (unpack.h) is the inverse. Pure: no Node, no system calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layers.h"
#include "segment.h"
#include "vnet.h"

namespace ts {

/// One super-frame to be written: its slices in order, valid until the Packer is called again, and its facts.
struct PackedFrame {
  static constexpr int kUnits = 64;
  /// The outer header, and of each unit its headers and its payload.
  static constexpr int kParts = 1 + 2 * kUnits;
  Slice parts[kParts];
  int count;
  size_t len;
  VnetFacts facts;
};

/// Lengths of a UDP packet with the outer header at `header`, in all `len` bytes, the checksum of its IP header, and the pseudo-header's sum in place of its own.
void put_outer_lengths(uint8_t* header, const IpLayer& ip, size_t len);

class Packer {
 public:
  /// On a tunnelled super-frame with an outer checksum, which must stay unchanged until the last next(). False: it cannot be packed.
  bool begin(const uint8_t* frame, size_t len, const VnetFacts& facts);
  /// The next super-frame; false after the last. One of a single unit is no super-frame but a packet with a partial checksum.
  bool next(PackedFrame* out);

 private:
  static constexpr size_t kUnitHeader = 256;

  bool pull();

  Cutter cutter_;
  WireFrame piece_;
  bool has_piece_ = false;
  size_t outer_nh_ = 0, outer_th_ = 0;
  uint8_t outer_[Cutter::kHeaderMax];
  uint8_t headers_[PackedFrame::kUnits][kUnitHeader];
};

}  // namespace ts
