// Turns a frame that relies on offloads into what goes over a wire: a super-frame into segments, a partial checksum
// into a complete one. The payload is never copied: every wire frame is a few slices, of a private copy of the headers
// and of the super-frame itself.
//
// Cut: TCP over IPv4 and IPv6, UDP (UDP_L4), through up to two VLAN tags, IPv4 options and IPv6 extension headers; the
// same inside of a UDP tunnel (VXLAN, Geneve) over IPv4 or IPv6. Refused as malformed: UFO (Linux neither sends nor
// offers it since 4.14), fragments, headers longer than Cutter::kHeaderMax, more than Cutter::kMaxPieces pieces,
// headers that contradict the virtio-net facts.
//
// Pure: no Node, no system calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layers.h"
#include "vnet.h"

namespace ts {

struct Slice {
  const uint8_t* at;
  size_t len;
};

/// One frame as on a wire: its slices in order. Valid until the Cutter that made it is called again.
struct WireFrame {
  static constexpr int kParts = 3;
  Slice parts[kParts];
  int count;
  size_t len;
};

/// Whether a frame with these facts needs a Cutter before a device without any offload can send it.
inline bool needs_cutter(const VnetFacts& facts) {
  return (facts.flags & kNeedsCsum) != 0 || gso_base(facts.gso_type) != kGsoNone;
}

/// What the field of a partial checksum, which must lie in the frame, gets when it is completed.
uint16_t completed_checksum(const uint8_t* frame, size_t len, const VnetFacts& facts);

/// Completes a partial checksum in the frame itself. False, and nothing done, if the facts lie outside of the frame.
bool complete_checksum(uint8_t* frame, size_t len, const VnetFacts& facts);

class Cutter {
 public:
  /// Two Ethernet headers with tags, two IP headers with options, tunnel options and a full TCP header fit amply.
  static constexpr size_t kHeaderMax = 512;
  /// The most that Linux makes: 64 KiB in its least TCP segments of 8 bytes (TCP_MIN_GSO_SIZE).
  static constexpr size_t kMaxPieces = 8192;

  /// Starts on a frame, which must stay unchanged until the last next(). False: it cannot be cut or completed. Headers
  /// are judged by the private copy alone, so that a frame that changes meanwhile gives wrong frames at worst.
  bool begin(const uint8_t* frame, size_t len, const VnetFacts& facts);

  /// The next wire frame; false after the last.
  bool next(WireFrame* out);

 private:
  bool begin_completion(const VnetFacts& facts);
  bool begin_cut(const VnetFacts& facts);
  bool begin_tunnel(const VnetFacts& facts, size_t* inner);
  bool next_piece(WireFrame* out);
  uint32_t fix_transport(const uint8_t* payload, size_t piece, bool last);
  void fix_ip(const IpLayer& ip, size_t length);
  void fix_tunnel(size_t piece, uint32_t inner_pseudo);

  const uint8_t* frame_;
  size_t len_, have_;
  uint8_t header_[kHeaderMax];
  bool cut_, tunnel_, outer_csum_, finished_;
  IpLayer ip_, outer_;
  size_t header_len_, gso_size_, done_;
  uint32_t seq_;
  uint8_t tcp_flags_;
};

}  // namespace ts
