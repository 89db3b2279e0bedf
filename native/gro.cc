#include "gro.h"

#include <cstring>

#include "checksum.h"
#include "layers.h"

namespace ts {
namespace {

constexpr size_t kEthernet = 14;
constexpr size_t kIp4 = 20, kIp6 = 40;
constexpr size_t kVxlan = 8;
constexpr size_t kMaxIp = 65535;
// Linux refuses to cut TCP into less (TCP_MIN_GSO_SIZE).
constexpr size_t kLeastTcpUnit = 8;
constexpr uint8_t kPsh = 8, kAck = 0x10;
constexpr uint8_t kVni = 8;

uint32_t mix(uint32_t hash, uint32_t word) {
  hash = (hash ^ word) * 0x9e3779b1u;
  return hash ^ hash >> 15;
}

uint32_t word(const uint8_t* p) {
  uint32_t value;
  memcpy(&value, p, sizeof value);
  return value;
}

// One IP header without options whose packet ends where the frame ends.
struct Ip {
  uint8_t version, protocol;
  size_t nh, th;
  bool plain;
};

// False when the frame is no IP at `nh`, or only so much of it that its flow is not known.
bool read_ip(const uint8_t* frame, size_t len, size_t nh, Ip* out) {
  if (nh + kIp4 > len) return false;
  const uint8_t* ip = frame + nh;
  out->nh = nh;
  out->version = ip[0] >> 4;
  if (out->version == 4) {
    if (ip[0] != 0x45 || (get16be(ip + 6) & 0x3fff) != 0) return false;
    out->protocol = ip[9];
    out->th = nh + kIp4;
    out->plain = nh + get16be(ip + 2) == len && csum_fold(csum_add(ip, kIp4, 0)) == 0xffff;
    return true;
  }
  if (out->version != 6 || nh + kIp6 > len) return false;
  out->protocol = ip[6];
  out->th = nh + kIp6;
  out->plain = out->th + get16be(ip + 4) == len;
  return out->protocol == kTcp || out->protocol == kUdp || out->protocol == 58;
}

uint32_t hash_flow(const uint8_t* frame, const Ip& ip, uint32_t hash) {
  const size_t first = ip.version == 4 ? 12 : 8, words = ip.version == 4 ? 2 : 8;
  for (size_t i = 0; i < words; i++) hash = mix(hash, word(frame + ip.nh + first + 4 * i));
  return mix(mix(hash, ip.protocol), word(frame + ip.th));
}

uint32_t pseudo(const uint8_t* frame, size_t nh, uint8_t version, uint8_t protocol, size_t length) {
  const IpLayer ip = {version, protocol, nh, 0, nh + (version == 4 ? 12u : 8u), nh + (version == 4 ? 16u : 24u)};
  return pseudo_sum(frame, ip, length);
}

bool same(const uint8_t* a, const uint8_t* b, size_t from, size_t to) {
  return memcmp(a + from, b + from, to - from) == 0;
}

// Headers up to the transport header, but for length, identification and checksum. `packets`: how many the super-frame has so far.
bool same_ip(const uint8_t* head, const uint8_t* frame, size_t from, size_t nh, uint8_t version, size_t th,
             uint16_t packets) {
  if (version == 6) return same(head, frame, from, nh + 4) && same(head, frame, nh + 6, th);
  if (!same(head, frame, from, nh + 2) || !same(head, frame, nh + 6, nh + 10) || !same(head, frame, nh + 12, th))
    return false;
  if ((frame[nh + 6] & 0x40) != 0) return true;
  return static_cast<uint16_t>(get16be(head + nh + 4) + packets) == get16be(frame + nh + 4);
}

void fix_ip(uint8_t* frame, size_t nh, uint8_t version, size_t len) {
  uint8_t* ip = frame + nh;
  if (version == 6) {
    put16be(ip + 4, static_cast<uint16_t>(len - nh - kIp6));
    return;
  }
  put16be(ip + 2, static_cast<uint16_t>(len - nh));
  put16be(ip + 10, 0);
  put16be(ip + 10, csum_finish(csum_add(ip, kIp4, 0), false));
}

}  // namespace

int Gro::find(const uint8_t* frame, size_t len, const VnetFacts& facts) {
  pending_may_ = false;
  pending_len_ = len;
  size_t nh;
  if (!find_network(frame, len, &nh)) return kNone;
  Ip ip;
  if (!read_ip(frame, len, nh, &ip)) {
    forget_all();
    return kNone;
  }
  if ((ip.protocol != kTcp && ip.protocol != kUdp) || ip.th + kUdpHeader > len) return kNone;
  GroHeaders& at = pending_;
  at.outer_nh = at.outer_th = 0;
  at.outer_version = 0;
  uint32_t hash = hash_flow(frame, ip, 1);
  if (ip.protocol == kUdp && ports_.has(get16be(frame + ip.th + 2))) {
    const Ip outer = ip;
    const size_t vxlan = ip.th + kUdpHeader, inner = vxlan + kVxlan;
    if (!ip.plain || inner + kEthernet > len || get16be(frame + ip.th + 4) != len - ip.th) {
      forget_all();
      return kNone;
    }
    if (frame[vxlan] != kVni || !find_network(frame + inner, len - inner, &nh)) return kNone;
    if (!read_ip(frame, len, inner + nh, &ip)) {
      forget_all();
      return kNone;
    }
    if ((ip.protocol != kTcp && ip.protocol != kUdp) || ip.th + kUdpHeader > len) return kNone;
    hash = hash_flow(frame, ip, mix(hash, word(frame + vxlan + 4)));
    at.outer_nh = static_cast<uint16_t>(outer.nh);
    at.outer_th = static_cast<uint16_t>(outer.th);
    at.outer_version = outer.version;
  }
  at.version = ip.version;
  at.nh = static_cast<uint16_t>(ip.nh);
  at.th = static_cast<uint16_t>(ip.th);
  at.tcp = ip.protocol == kTcp;
  pending_hash_ = hash;
  pending_may_ = ip.plain && mergeable(frame, facts) && verified(frame, facts);
  if (!pending_may_) {
    forget_flow(hash);
    return kNone;
  }
  if (fresh_) return kNone;
  for (size_t i = 0; i < kProbes; i++) {
    const int16_t group = buckets_[(hash + i) % kBuckets];
    if (group < 0 || groups_[group].hash != hash) continue;
    if (fits(groups_[group], frame)) return group;
    forget(group);
  }
  return kNone;
}

// By its transport header; finds where the payload begins.
bool Gro::mergeable(const uint8_t* frame, const VnetFacts& facts) {
  if (gso_base(facts.gso_type) != kGsoNone) return false;
  GroHeaders& at = pending_;
  const uint8_t* transport = frame + at.th;
  if (!at.tcp) {
    at.payload = static_cast<uint16_t>(at.th + kUdpHeader);
    pending_last_ = false;
    return at.payload < pending_len_ && get16be(transport + 4) == pending_len_ - at.th && get16be(transport + 6) != 0;
  }
  if (at.th + kTcpHeader > pending_len_ || transport[12] < 0x50) return false;
  at.payload = static_cast<uint16_t>(at.th + (transport[12] >> 4) * size_t{4});
  pending_last_ = (transport[13] & kPsh) != 0;
  return at.payload < pending_len_ && (transport[13] & ~kPsh) == kAck && get16be(transport + 18) == 0;
}

// Its checksums are right, or still to be made, or vouched for.
bool Gro::verified(const uint8_t* frame, const VnetFacts& facts) {
  const GroHeaders& at = pending_;
  const bool tunnelled = at.outer_th != 0, needs = (facts.flags & kNeedsCsum) != 0;
  const bool partial = needs && facts.csum_start == at.th && facts.csum_off == (at.tcp ? 16 : 6);
  const bool outer_partial = needs && tunnelled && facts.csum_start == at.outer_th && facts.csum_off == 6;
  if (needs && !partial && !outer_partial) return false;
  const bool vouched = (facts.flags & kDataValid) != 0;
  const size_t rest = pending_len_ - at.th;
  const uint32_t sum = pseudo(frame, at.nh, at.version, at.tcp ? kTcp : kUdp, rest);
  if (!partial && (tunnelled || !vouched) && csum_fold(csum_add(frame + at.th, rest, sum)) != 0xffff) return false;
  pending_outer_csum_ = outer_partial;
  if (!tunnelled) return true;
  // Cut again, the outer checksum is made from the inner one, which must begin on one of its words.
  const size_t before = at.th - size_t{at.outer_th};
  if (before % 2 != 0) return false;
  if (outer_partial || get16be(frame + at.outer_th + 6) == 0) return true;
  pending_outer_csum_ = true;
  if (vouched) return true;
  // All that the inner checksum covers sums up to the complement of its pseudo-header.
  const uint32_t inner = static_cast<uint16_t>(~csum_fold(sum));
  const uint32_t outer = pseudo(frame, at.outer_nh, at.outer_version, kUdp, pending_len_ - at.outer_th);
  return csum_fold(csum_add(frame + at.outer_th, before, outer + inner)) == 0xffff;
}

bool Gro::fits(const Group& group, const uint8_t* frame) const {
  const GroHeaders& at = group.at;
  if (at.payload != pending_.payload || at.th != pending_.th || at.tcp != pending_.tcp || at.nh != pending_.nh ||
      at.outer_th != pending_.outer_th || group.outer_csum != pending_outer_csum_)
    return false;
  const size_t payload = pending_len_ - at.payload;
  const size_t outermost = at.outer_th != 0 ? at.outer_nh : at.nh;
  if (payload > group.unit || group.len + payload - outermost > kMaxIp) return false;
  const uint8_t* head = group.frame;
  size_t from = 0;
  if (at.outer_th != 0) {
    if (!same_ip(head, frame, 0, at.outer_nh, at.outer_version, at.outer_th, group.packets)) return false;
    if (!same(head, frame, at.outer_th, at.outer_th + size_t{4})) return false;
    from = at.outer_th + kUdpHeader;
  }
  if (!same_ip(head, frame, from, at.nh, at.version, at.th, group.packets)) return false;
  if (!same(head, frame, at.th, at.th + size_t{4})) return false;
  if (!at.tcp) return group.packets < kMostUdp;
  // Acknowledgement and header length; window; urgent pointer and options.
  return get32be(frame + at.th + 4) == group.next && same(head, frame, at.th + size_t{8}, at.th + size_t{13}) &&
         same(head, frame, at.th + size_t{14}, at.th + size_t{16}) && same(head, frame, at.th + size_t{18}, at.payload);
}

void Gro::open(int tag, uint8_t* frame, size_t len) {
  if (!pending_may_ || count_ == kGroups) return;
  // PSH ends a super-frame.
  if (pending_last_ || (pending_.tcp && len - pending_.payload < kLeastTcpUnit)) return;
  if (fresh_) {
    memset(buckets_, 0xff, sizeof buckets_);
    fresh_ = false;
  }
  Group& group = groups_[count_];
  group.frame = frame;
  group.len = len;
  group.at = pending_;
  group.hash = pending_hash_;
  group.unit = static_cast<uint16_t>(len - pending_.payload);
  group.packets = 1;
  group.next = pending_.tcp ? get32be(frame + pending_.th + 4) + group.unit : 0;
  group.tag = tag;
  group.outer_csum = pending_outer_csum_;
  size_t place = pending_hash_ % kBuckets;
  for (size_t i = 0; i < kProbes; i++) {
    if (buckets_[(pending_hash_ + i) % kBuckets] >= 0) continue;
    place = (pending_hash_ + i) % kBuckets;
    break;
  }
  buckets_[place] = static_cast<int16_t>(count_++);
}

void Gro::append(int index, const uint8_t* frame) {
  Group& group = groups_[index];
  const size_t payload = pending_len_ - pending_.payload;
  memcpy(group.frame + group.len, frame + pending_.payload, payload);
  group.len += payload;
  group.packets++;
  group.next += static_cast<uint32_t>(payload);
  if (pending_last_) group.frame[group.at.th + 13] |= kPsh;
  if (pending_last_ || payload < group.unit) forget(index);
}

void Gro::finish(int index, VnetFacts* facts) {
  const Group& group = groups_[index];
  const GroHeaders& at = group.at;
  uint8_t* frame = group.frame;
  *facts = {};
  facts->flags = kNeedsCsum;
  facts->gso_type = !at.tcp ? kGsoUdpL4 : at.version == 4 ? kGsoTcp4 : kGsoTcp6;
  facts->gso_size = group.unit;
  facts->hdr_len = at.payload;
  facts->csum_start = at.th;
  facts->csum_off = at.tcp ? 16 : 6;
  fix_ip(frame, at.nh, at.version, group.len);
  const size_t rest = group.len - at.th;
  if (!at.tcp) put16be(frame + at.th + 4, static_cast<uint16_t>(rest));
  const uint8_t protocol = at.tcp ? kTcp : kUdp;
  put16be(frame + at.th + facts->csum_off, csum_fold(pseudo(frame, at.nh, at.version, protocol, rest)));
  if (at.outer_th == 0) return;
  const size_t outer = group.len - at.outer_th;
  fix_ip(frame, at.outer_nh, at.outer_version, group.len);
  put16be(frame + at.outer_th + 4, static_cast<uint16_t>(outer));
  facts->gso_type |= at.outer_version == 4 ? kGsoTunnel4 : kGsoTunnel6;
  facts->outer_th = at.outer_th;
  facts->inner_nh = at.nh;
  if (!group.outer_csum) return;
  facts->flags |= kTunnelCsum;
  put16be(frame + at.outer_th + 6, csum_fold(pseudo(frame, at.outer_nh, at.outer_version, kUdp, outer)));
}

void Gro::forget(int group) {
  for (size_t i = 0; i < kProbes; i++) {
    int16_t& bucket = buckets_[(groups_[group].hash + i) % kBuckets];
    if (bucket == group) bucket = -1;
  }
}

void Gro::forget_all() {
  if (!fresh_) memset(buckets_, 0xff, sizeof buckets_);
}

void Gro::forget_flow(uint32_t hash) {
  if (fresh_) return;
  for (size_t i = 0; i < kProbes; i++) {
    int16_t& bucket = buckets_[(hash + i) % kBuckets];
    if (bucket >= 0 && groups_[bucket].hash == hash) bucket = -1;
  }
}

}  // namespace ts
