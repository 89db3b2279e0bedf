// Takes a super-frame apart that a sender has packed of VXLAN packets: units of one size behind one outer UDP header (UDP segmentation, UDP_L4). Each
// unit becomes the packet that it would be on a wire; its outer checksum, which covers it as a whole, is still to be made and needs no verifying, for
// so was the super-frame's. Pure: no Node, no system calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layers.h"
#include "tunnel_ports.h"
#include "vnet.h"

namespace ts {

class Unpacker {
 public:
  // The most units that are taken apart: the kernel's UDP_MAX_SEGMENTS.
  static constexpr size_t kMostUnits = 128;

  // False when the frame is no super-frame of UDP to one of the ports, or contradicts itself. It must stay as it is until the last `next`.
  bool begin(const uint8_t* frame, size_t len, const VnetFacts& facts, const TunnelPorts& ports);
  // Bytes of the next packet, 0 after the last.
  size_t length() const { return done_ == len_ ? 0 : headers_ + unit(); }
  // Writes the next packet to `out`, or leaves it out if that is null.
  void next(uint8_t* out, VnetFacts* facts);

 private:
  size_t unit() const { return len_ - done_ < size_ ? len_ - done_ : size_; }

  const uint8_t* frame_;
  size_t len_, headers_, size_, done_, index_;
  IpLayer ip_;
};

}  // namespace ts
