// Joins short VXLAN packets of one flow that are written one after the other, such as TCP's acknowledgements, which nothing merges when they are received, into one outer UDP super-frame for
// a device that segments UDP: units of one size (the last may be shorter) behind one outer header, as Packer (pack.h) makes of a tunnelled super-frame. Segmented, they are the packets that
// were joined, up to the identification of IPv4 packets that must not be fragmented (RFC 6864 section 4.1): a partial checksum inside is completed, the outer one becomes the
// partial one, and a complete one is verified before it is given up. So packets without an outer checksum are not joined. Unpacker (unpack.h) is the inverse.
//
// Pure: no Node, no system calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layers.h"
#include "pack.h"
#include "slot_frame.h"
#include "tunnel_ports.h"

namespace ts {

class Joiner {
 public:
  /// The most packets in one, and the longest that are joined, in bytes behind the outer header: longer ones carry data, and are merged when they are received.
  static constexpr int kUnits = 16;
  static constexpr size_t kLongest = 256;
  static_assert(1 + 3 * kUnits <= PackedFrame::kParts);

  explicit Joiner(const TunnelPorts& ports) : ports_(ports) {}

  /// The first packet, whose facts are plausible (vnet.h) and which must stay as it is until `finish`. False: it is not of a tunnel, or others cannot be joined to it.
  bool begin(const SlotFrame& frame);
  /// Of its outer IP header.
  uint8_t version() const { return ip_.version; }
  /// The packet behind those that there are, likewise. False: it is not joined.
  bool add(const SlotFrame& frame);
  /// All of them, at least two. `out` is valid until the next call.
  void finish(PackedFrame* out);

 private:
  struct Unit {
    const uint8_t* frame;
    size_t len;
    /// Where a checksum is completed, 0 for nowhere, and what it is.
    size_t field;
    uint8_t csum[2];
  };

  bool take(const SlotFrame& frame);
  bool is_plain(const uint8_t* frame, size_t len) const;
  bool has_same_headers(const uint8_t* frame) const;

  const TunnelPorts ports_;
  SlotFrame first_;
  IpLayer ip_;
  size_t outer_;
  bool closed_;
  int units_;
  Unit unit_[kUnits];
  /// Ethernet with two tags, an IP header without extension headers, UDP.
  uint8_t header_[14 + 8 + 60 + kUdpHeader];
};

}  // namespace ts
