#include "unpack.h"

#include <cstring>

#include "checksum.h"

namespace ts {
namespace {

constexpr size_t kIp6Header = 40;
constexpr uint16_t kUdpCsumOff = 6;

}  // namespace

bool Unpacker::begin(const uint8_t* frame, size_t len, const VnetFacts& facts, const TunnelPorts& ports) {
  if (facts.gso_type != kGsoUdpL4 || !vnet_plausible(facts, len)) return false;
  size_t nh;
  if (!find_network(frame, len, &nh) || !parse_ip(frame, len, nh, &ip_)) return false;
  if (ip_.protocol != kUdp || ip_.th + kUdpHeader >= len || !ports.has(get16be(frame + ip_.th + 2))) return false;
  if ((facts.flags & kNeedsCsum) == 0 || facts.csum_start != ip_.th || facts.csum_off != kUdpCsumOff) return false;
  frame_ = frame;
  len_ = len;
  headers_ = done_ = ip_.th + kUdpHeader;
  size_ = facts.gso_size;
  index_ = 0;
  return (len - headers_ + size_ - 1) / size_ <= kMostUnits;
}

void Unpacker::next(uint8_t* out, VnetFacts* facts) {
  const size_t piece = unit(), total = headers_ + piece;
  const uint8_t* payload = frame_ + done_;
  done_ += piece;
  const size_t index = index_++;
  if (out == nullptr) return;
  memcpy(out, frame_, headers_);
  memcpy(out + headers_, payload, piece);
  uint8_t* ip = out + ip_.nh;
  if (ip_.version == 4) {
    put16be(ip + 2, static_cast<uint16_t>(total - ip_.nh));
    put16be(ip + 4, static_cast<uint16_t>(get16be(ip + 4) + index));
    put16be(ip + 10, 0);
    put16be(ip + 10, csum_finish(csum_add(ip, ip_.th - ip_.nh, 0), false));
  } else {
    put16be(ip + 4, static_cast<uint16_t>(total - ip_.nh - kIp6Header));
  }
  uint8_t* udp = out + ip_.th;
  put16be(udp + 4, static_cast<uint16_t>(total - ip_.th));
  put16be(udp + kUdpCsumOff, csum_fold(pseudo_sum(out, ip_, total - ip_.th)));
  *facts = {};
  facts->flags = kNeedsCsum;
  facts->csum_start = static_cast<uint16_t>(ip_.th);
  facts->csum_off = kUdpCsumOff;
}

}  // namespace ts
