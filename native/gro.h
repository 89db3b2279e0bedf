// Generic receive offload: packets of one flow that follow each other in a batch become one super-frame, so that what comes after (look-up,
// encapsulation, the write) is paid once for all of them. Cutter (segment.h) is the inverse: cut again, a super-frame gives the very packets it was
// made of, up to the identification of IPv4 packets that must not be fragmented, which says nothing (RFC 6864 section 4.1).
//
// Merged: TCP and UDP over IPv4 and IPv6, behind up to two VLAN tags; the same inside of VXLAN over IPv4 or IPv6, into what a device with UDP tunnel
// segmentation would deliver. Headers must be equal but for lengths, checksums, TCP's sequence (which must go on) and PSH (which ends a super-frame),
// and the identification (which goes on by one, or DF is set). A complete checksum is verified before it is given up. Never merged: fragments, IPv4
// options, IPv6 extension headers, TCP flags other than ACK and PSH, UDP without a checksum, padding behind the packet, what is a super-frame already.
//
// Order is kept within a flow, not between flows. Pure: no Node, no system calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tunnel_ports.h"
#include "vnet.h"

namespace ts {

// Where the headers of a packet that may be merged stand, in bytes from the frame's first byte. `outer_*` are 0 without a tunnel.
struct GroHeaders {
  uint16_t outer_nh, outer_th, nh, th, payload;
  uint8_t version, outer_version;
  bool tcp;
};

class Gro {
 public:
  // Super-frames that can be open at a time, and the most packets of UDP in one (the kernel's UDP_MAX_SEGMENTS was 64 for long).
  static constexpr size_t kGroups = 256;
  static constexpr size_t kMostUdp = 64;
  static constexpr int kNone = -1;

  explicit Gro(const TunnelPorts& ports) : ports_(ports) {}

  // Judges a frame, which stays where it is. Returns the group that takes it next (call append), or kNone: it goes on by itself, and opens a group if
  // `open` is called for it.
  int find(const uint8_t* frame, size_t len, const VnetFacts& facts);

  // The frame of the last `find` stands at `frame` for good; `tag` is the caller's. Does nothing for one that cannot be merged.
  void open(int tag, uint8_t* frame, size_t len);

  // Bytes of a group's frame once the frame of the last `find` is in it.
  size_t grown(int group) const { return groups_[group].len + pending_len_ - pending_.payload; }
  int tag(int group) const { return groups_[group].tag; }
  const uint8_t* bytes(int group) const { return groups_[group].frame; }
  size_t length(int group) const { return groups_[group].len; }
  // The group's frame has been moved.
  void move(int group, uint8_t* frame) { groups_[group].frame = frame; }
  // Nothing more goes into the group: there is no room.
  void close(int group) { forget(group); }
  // Puts the payload of the last `find`'s frame behind the group's, for which there must be room.
  void append(int group, const uint8_t* frame);

  // Groups opened so far; those of one packet are no super-frames.
  size_t count() const { return count_; }
  bool merged(int group) const { return groups_[group].packets > 1; }
  // Completes the headers of a merged group, and says what is true of it.
  void finish(int group, VnetFacts* facts);

 private:
  struct Group {
    uint8_t* frame;
    size_t len;
    GroHeaders at;
    uint32_t hash, next;
    uint16_t unit, packets;
    int tag;
    bool outer_csum;
  };
  static constexpr size_t kBuckets = 1024;
  static constexpr size_t kProbes = 4;

  bool mergeable(const uint8_t* frame, const VnetFacts& facts);
  bool verified(const uint8_t* frame, const VnetFacts& facts);
  bool fits(const Group& group, const uint8_t* frame) const;
  void forget(int group);
  void forget_all();
  void forget_flow(uint32_t hash);

  const TunnelPorts ports_;
  Group groups_[kGroups];
  size_t count_ = 0;
  int16_t buckets_[kBuckets];
  bool fresh_ = true;

  // Of the last `find`.
  GroHeaders pending_;
  size_t pending_len_;
  uint32_t pending_hash_;
  bool pending_may_, pending_last_, pending_outer_csum_;
};

}  // namespace ts
