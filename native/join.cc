#include "join.h"

#include <cstring>

#include "checksum.h"
#include "segment.h"

namespace ts {
namespace {

constexpr size_t kIp6Header = 40;
constexpr uint16_t kUdpCsumOff = 6;

bool same(const uint8_t* a, const uint8_t* b, size_t from, size_t to) {
  return memcmp(a + from, b + from, to - from) == 0;
}

}  // namespace

bool Joiner::begin(const SlotFrame& frame) {
  size_t nh;
  if (gso_base(frame.facts.gso_type) != kGsoNone || !find_network(frame.bytes, frame.len, &nh)) return false;
  if (!parse_ip(frame.bytes, frame.len, nh, &ip_) || ip_.protocol != kUdp) return false;
  if (ip_.version == 6 && ip_.th != nh + kIp6Header) return false;
  outer_ = ip_.th + kUdpHeader;
  if (outer_ > sizeof header_ || frame.len <= outer_ || frame.len - outer_ > kLongest) return false;
  if (!ports_.has(get16be(frame.bytes + ip_.th + 2))) return false;
  if (!is_plain(frame.bytes, frame.len)) return false;
  first_ = frame;
  units_ = 0;
  closed_ = false;
  return true;
}

// That the frame ends where its headers say, that its IP header is as it was sent, and that it has an outer checksum.
bool Joiner::is_plain(const uint8_t* frame, size_t len) const {
  const uint8_t* ip = frame + ip_.nh;
  const size_t datagram = len - ip_.th;
  const bool whole = ip_.version == 4
                         ? get16be(ip + 2) == len - ip_.nh && csum_fold(csum_add(ip, ip_.th - ip_.nh, 0)) == 0xffff
                         : get16be(ip + 4) == datagram;
  return whole && get16be(frame + ip_.th + 4) == datagram && get16be(frame + ip_.th + kUdpCsumOff) != 0;
}

// All but lengths, checksums, and an identification that goes on by one or says nothing.
bool Joiner::has_same_headers(const uint8_t* frame) const {
  const uint8_t* head = first_.bytes;
  const size_t nh = ip_.nh, th = ip_.th;
  if (!same(head, frame, th, th + 4)) return false;
  if (ip_.version == 6) return same(head, frame, 0, nh + 4) && same(head, frame, nh + 6, th);
  if (!same(head, frame, 0, nh + 2) || !same(head, frame, nh + 6, nh + 10) || !same(head, frame, nh + 12, th))
    return false;
  if ((frame[nh + 6] & 0x40) != 0) return true;
  return static_cast<uint16_t>(get16be(head + nh + 4) + units_) == get16be(frame + nh + 4);
}

bool Joiner::add(const SlotFrame& frame) {
  if (closed_ || units_ == kUnits || gso_base(frame.facts.gso_type) != kGsoNone) return false;
  if (frame.len > first_.len || frame.len <= outer_) return false;
  // The first one's checksums are of no interest unless there is a second.
  if (units_ == 0 && !take(first_)) {
    closed_ = true;
    return false;
  }
  if (!has_same_headers(frame.bytes) || !is_plain(frame.bytes, frame.len) || !take(frame)) return false;
  closed_ = frame.len < first_.len;
  return true;
}

bool Joiner::take(const SlotFrame& frame) {
  Unit& unit = unit_[units_];
  unit.frame = frame.bytes;
  unit.len = frame.len;
  unit.field = 0;
  const VnetFacts& facts = frame.facts;
  const bool needs = (facts.flags & kNeedsCsum) != 0;
  if (!needs || facts.csum_start != ip_.th || facts.csum_off != kUdpCsumOff) {
    const size_t length = frame.len - ip_.th;
    uint32_t sum = csum_add(frame.bytes + ip_.th, length, pseudo_sum(frame.bytes, ip_, length));
    if (needs) {
      const size_t field = size_t{facts.csum_start} + facts.csum_off;
      // Sums are of words from the transport header on.
      if (facts.csum_start < outer_ || (field - ip_.th) % 2 != 0) return false;
      uint8_t before[2];
      put16be(before, static_cast<uint16_t>(~get16be(frame.bytes + field)));
      put16be(unit.csum, completed_checksum(frame.bytes, frame.len, facts));
      unit.field = field;
      sum = csum_add(unit.csum, 2, csum_add(before, 2, sum));
    }
    if (csum_fold(sum) != 0xffff) return false;
  }
  units_++;
  return true;
}

void Joiner::finish(PackedFrame* out) {
  memcpy(header_, first_.bytes, outer_);
  out->parts[0] = {header_, outer_};
  out->count = 1;
  out->len = outer_;
  for (int i = 0; i < units_; i++) {
    const Unit& unit = unit_[i];
    size_t from = outer_;
    if (unit.field != 0) {
      out->parts[out->count++] = {unit.frame + from, unit.field - from};
      out->parts[out->count++] = {unit.csum, 2};
      from = unit.field + 2;
    }
    out->parts[out->count++] = {unit.frame + from, unit.len - from};
    out->len += unit.len - outer_;
  }
  put_outer_lengths(header_, ip_, out->len);
  out->facts = {};
  out->facts.flags = kNeedsCsum;
  out->facts.gso_type = kGsoUdpL4;
  out->facts.gso_size = static_cast<uint16_t>(first_.len - outer_);
  out->facts.hdr_len = static_cast<uint16_t>(outer_);
  out->facts.csum_start = static_cast<uint16_t>(ip_.th);
  out->facts.csum_off = kUdpCsumOff;
}

}  // namespace ts
