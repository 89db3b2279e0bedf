#include "segment.h"

#include <algorithm>
#include <cstring>

#include "checksum.h"

namespace ts {
namespace {

constexpr size_t kEthernet = 14;
constexpr size_t kMaxIp = 65535;
constexpr size_t kIp6Header = 40;
constexpr size_t kTcpCsumOff = 16, kUdpCsumOff = 6;
constexpr uint8_t kFin = 1, kPsh = 8, kCwr = 0x80;

bool matches(uint8_t gso, const IpLayer& ip) {
  switch (gso) {
    case kGsoTcp4:
      return ip.version == 4 && ip.protocol == kTcp;
    case kGsoTcp6:
      return ip.version == 6 && ip.protocol == kTcp;
    case kGsoUdpL4:
      return ip.protocol == kUdp;
    default:
      return false;
  }
}

}  // namespace

// The field holds the sum of the pseudo-header, so it is summed along with what it covers.
uint16_t completed_checksum(const uint8_t* frame, size_t len, const VnetFacts& facts) {
  const uint32_t sum = csum_add(frame + facts.csum_start, len - facts.csum_start, 0);
  return csum_finish(sum, facts.csum_off == kUdpCsumOff);
}

bool complete_checksum(uint8_t* frame, size_t len, const VnetFacts& facts) {
  if ((facts.flags & kNeedsCsum) == 0) return true;
  const size_t field = size_t{facts.csum_start} + facts.csum_off;
  if (field + 2 > len) return false;
  put16be(frame + field, completed_checksum(frame, len, facts));
  return true;
}

bool Cutter::begin(const uint8_t* frame, size_t len, const VnetFacts& facts) {
  finished_ = true;
  if (len < kEthernet || !vnet_plausible(facts, len)) return false;
  frame_ = frame;
  len_ = len;
  cut_ = gso_base(facts.gso_type) != kGsoNone;
  if (cut_) {
    have_ = std::min(len, kHeaderMax);
    memcpy(header_, frame, have_);
  }
  finished_ = !(cut_ ? begin_cut(facts) : begin_completion(facts));
  return !finished_;
}

// The whole frame in one, with the checksum, if any, in a slice of its own: `header_` holds but that, `done_` tells
// where it belongs.
bool Cutter::begin_completion(const VnetFacts& facts) {
  header_len_ = 0;
  done_ = len_;
  if ((facts.flags & kNeedsCsum) == 0) return true;
  put16be(header_, completed_checksum(frame_, len_, facts));
  header_len_ = 2;
  done_ = size_t{facts.csum_start} + facts.csum_off;
  return true;
}

// Finds the outer headers of a tunnel, and the inner network header.
bool Cutter::begin_tunnel(const VnetFacts& facts, size_t* inner) {
  const uint8_t version = (facts.gso_type & kGsoTunnel4) != 0 ? 4 : 6;
  if (outer_.version != version || outer_.protocol != kUdp || outer_.th != facts.outer_th) return false;
  // The outer checksum is made from the inner one (see fix_tunnel), which must begin on one of its words.
  if (facts.inner_nh >= have_ || (facts.inner_nh - outer_.th) % 2 != 0) return false;
  outer_csum_ = (facts.flags & kTunnelCsum) != 0 || get16be(header_ + outer_.th + kUdpCsumOff) != 0;
  *inner = facts.inner_nh;
  return true;
}

bool Cutter::begin_cut(const VnetFacts& facts) {
  size_t nh;
  if (!find_network(header_, have_, &nh)) return false;
  tunnel_ = (facts.gso_type & kGsoTunnel) != 0;
  if (tunnel_) {
    if (!parse_ip(header_, have_, nh, &outer_) || !begin_tunnel(facts, &nh)) return false;
  }
  if (!parse_ip(header_, have_, nh, &ip_) || !matches(gso_base(facts.gso_type), ip_)) return false;

  const bool tcp = ip_.protocol == kTcp;
  if ((facts.flags & kNeedsCsum) != 0 &&
      (facts.csum_start != ip_.th || facts.csum_off != (tcp ? kTcpCsumOff : kUdpCsumOff)))
    return false;
  if (ip_.th + (tcp ? kTcpHeader : kUdpHeader) > have_) return false;
  const size_t transport = tcp ? (header_[ip_.th + 12] >> 4) * size_t{4} : kUdpHeader;
  header_len_ = ip_.th + transport;
  if (transport < (tcp ? kTcpHeader : kUdpHeader) || header_len_ > have_) return false;

  const size_t payload = len_ - header_len_;
  gso_size_ = facts.gso_size;
  done_ = 0;
  if (payload / gso_size_ >= kMaxPieces) return false;
  // Lengths are 16 bits wide, from the outermost network header on.
  if (header_len_ - (tunnel_ ? outer_.nh : ip_.nh) + std::min(payload, gso_size_) > kMaxIp) return false;
  if (tcp) {
    seq_ = get32be(header_ + ip_.th + 4);
    tcp_flags_ = header_[ip_.th + 13];
  }
  return true;
}

bool Cutter::next(WireFrame* out) {
  if (finished_) return false;
  if (cut_) return next_piece(out);
  finished_ = true;
  const size_t tail = done_ + header_len_;
  out->parts[0] = {frame_, done_};
  out->parts[1] = {header_, header_len_};
  out->parts[2] = {frame_ + tail, len_ - tail};
  out->count = header_len_ == 0 ? 1 : tail == len_ ? 2 : 3;
  out->len = len_;
  return true;
}

bool Cutter::next_piece(WireFrame* out) {
  const uint8_t* payload = frame_ + header_len_ + done_;
  const size_t left = len_ - header_len_ - done_;
  const size_t piece = std::min(left, gso_size_);
  // The first piece finds the identification of the super-frame, each later one that of its predecessor.
  const bool first = done_ == 0, last = piece == left;
  if (!first) {
    if (ip_.version == 4) put16be(header_ + ip_.nh + 4, static_cast<uint16_t>(get16be(header_ + ip_.nh + 4) + 1));
    if (tunnel_ && outer_.version == 4)
      put16be(header_ + outer_.nh + 4, static_cast<uint16_t>(get16be(header_ + outer_.nh + 4) + 1));
  }
  fix_ip(ip_, header_len_ - ip_.nh + piece);
  const uint32_t pseudo = fix_transport(payload, piece, last);
  if (tunnel_) fix_tunnel(piece, pseudo);

  done_ += piece;
  finished_ = last;
  out->parts[0] = {header_, header_len_};
  out->parts[1] = {payload, piece};
  out->count = piece == 0 ? 1 : 2;
  out->len = header_len_ + piece;
  return true;
}

void Cutter::fix_ip(const IpLayer& ip, size_t length) {
  uint8_t* h = header_ + ip.nh;
  if (ip.version == 6) {
    put16be(h + 4, static_cast<uint16_t>(length - kIp6Header));
    return;
  }
  put16be(h + 2, static_cast<uint16_t>(length));
  put16be(h + 10, 0);
  put16be(h + 10, csum_finish(csum_add(h, ip.th - ip.nh, 0), false));
}

// Returns the sum of the pseudo-header.
uint32_t Cutter::fix_transport(const uint8_t* payload, size_t piece, bool last) {
  uint8_t* h = header_ + ip_.th;
  const size_t transport = header_len_ - ip_.th;
  const bool tcp = ip_.protocol == kTcp;
  if (tcp) {
    put32be(h + 4, seq_ + static_cast<uint32_t>(done_));
    // FIN and PSH speak of the end of the data (RFC 9293), CWR of one event that must be told once (RFC 3168, 6.1.2).
    h[13] = static_cast<uint8_t>(tcp_flags_ & ~(last ? 0 : kFin | kPsh) & ~(done_ == 0 ? 0 : kCwr));
  } else {
    put16be(h + 4, static_cast<uint16_t>(transport + piece));
  }
  uint8_t* field = h + (tcp ? kTcpCsumOff : kUdpCsumOff);
  put16be(field, 0);
  const uint32_t pseudo = pseudo_sum(header_, ip_, transport + piece);
  put16be(field, csum_finish(csum_add(payload, piece, csum_add(h, transport, pseudo)), !tcp));
  return pseudo;
}

void Cutter::fix_tunnel(size_t piece, uint32_t inner_pseudo) {
  uint8_t* h = header_ + outer_.th;
  const size_t length = header_len_ - outer_.th + piece;
  fix_ip(outer_, header_len_ - outer_.nh + piece);
  put16be(h + 4, static_cast<uint16_t>(length));
  uint8_t* field = h + kUdpCsumOff;
  put16be(field, 0);
  if (!outer_csum_) return;
  // All that its own checksum covers sums up to the complement of the inner pseudo-header, whatever the payload is: no
  // need to read it twice.
  const uint32_t inner = static_cast<uint16_t>(~csum_fold(inner_pseudo));
  put16be(field, csum_finish(csum_add(h, ip_.th - outer_.th, pseudo_sum(header_, outer_, length) + inner), true));
}

}  // namespace ts
