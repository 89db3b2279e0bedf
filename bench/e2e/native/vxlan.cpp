// The limit of VXLAN: a guest's TAP and an uplink's TAP spliced by one thread that puts on one static outer header, and takes any off. Usage:
//   vxlan gso|uso NETNS LINK NETNS UPLINK SOURCE_MAC TARGET_MAC SOURCE_IP TARGET_IP VNI
//   gso  super-frames leave whole with UDP tunnel segmentation (6.17), small packets are packed
//   uso  everything is cut here and packed: units of one size in one outer UDP super-frame
// Both coalesce what they decapsulate. Prints `ready`, or `unsupported` (exit 3); ends by SIGTERM. Inner packets other than IPv4 go one by one.
#include <netinet/in.h>
#include <sys/epoll.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "coalesce.h"
#include "packet.h"
#include "tap.h"

namespace {

using bench::Layers;
using bench::Tap;
using bench::VnetHeader;

constexpr int kBatch = 256;
constexpr size_t kUdp = 8;
constexpr size_t kVxlan = 8;
constexpr size_t kMostUnits = 64;
constexpr size_t kMostPacked = 65400;
constexpr uint16_t kPort = 4789;
constexpr uint16_t kSourcePort = 0xc001;

// Ethernet, IPv4 or IPv6, UDP and VXLAN (RFC 7348) of all packets to the peer.
class Outer {
 public:
  Outer(const char* source_mac, const char* target_mac, const char* source, const char* target, uint32_t vni) {
    Mac(target_mac, bytes_);
    Mac(source_mac, bytes_ + 6);
    v6_ = strchr(source, ':') != nullptr;
    uint8_t* ip = bytes_ + bench::kEthernet;
    bench::Put16(bytes_ + 12, v6_ ? 0x86dd : 0x0800);
    if (v6_) {
      ip[0] = 0x60;
      ip[6] = IPPROTO_UDP;
      ip[7] = 64;
    } else {
      ip[0] = 0x45;
      ip[6] = 0x40;
      ip[8] = 64;
      ip[9] = IPPROTO_UDP;
    }
    const int family = v6_ ? AF_INET6 : AF_INET;
    const size_t size = v6_ ? 16 : 4;
    addresses_ = ip + (v6_ ? 8 : 12);
    if (inet_pton(family, source, addresses_) != 1 || inet_pton(family, target, addresses_ + size) != 1)
      bench::Die("address");
    udp_ = bench::kEthernet + (v6_ ? 40 : 20);
    bench::Put16(bytes_ + udp_, kSourcePort);
    bench::Put16(bytes_ + udp_ + 2, kPort);
    bytes_[udp_ + kUdp] = 0x08;
    bench::Put32(bytes_ + udp_ + kUdp + 4, vni << 8);
  }

  size_t Udp() const { return udp_; }
  size_t Length() const { return udp_ + kUdp + kVxlan; }
  uint8_t TunnelType() const { return v6_ ? bench::kGsoTunnel6 : bench::kGsoTunnel4; }
  const uint8_t* Vxlan() const { return bytes_ + udp_ + kUdp; }

  // Headers of a frame of `length` bytes, all in all. The checksum of UDP stays 0.
  void Write(uint8_t* frame, size_t length) const {
    memcpy(frame, bytes_, Length());
    bench::Put16(frame + udp_ + 4, length - udp_);
    if (v6_)
      bench::Put16(frame + 18, length - udp_);
    else
      bench::CloseIpv4(frame, length);
  }

  // Not complemented, for a checksum that is still to be completed.
  uint16_t PseudoSum(size_t transport_length) const {
    const uint64_t rest = static_cast<uint64_t>(htons(IPPROTO_UDP)) + htons(static_cast<uint16_t>(transport_length));
    return bench::Sum(addresses_, v6_ ? 32 : 8, rest);
  }

  bool IsOurs(const uint8_t* frame, size_t length) const {
    return length > Length() + bench::kEthernet && memcmp(frame + 12, bytes_ + 12, 2) == 0 &&
           frame[bench::kEthernet + (v6_ ? 6 : 9)] == IPPROTO_UDP && bench::Get16(frame + udp_ + 2) == kPort;
  }

 private:
  static void Mac(const char* text, uint8_t* bytes) {
    for (int i = 0; i < 6; i++) bytes[i] = static_cast<uint8_t>(strtoul(text + 3 * i, nullptr, 16));
  }

  uint8_t bytes_[70] = {};
  uint8_t* addresses_;
  size_t udp_;
  bool v6_;
};

// Units (VXLAN header and inner frame) of one size, the last one may be smaller, in one outer UDP super-frame.
class Packer {
 public:
  Packer(const Outer& outer, const Tap& uplink) : outer_(outer), uplink_(uplink), frame_(bench::kFrame) {}

  // Room for an inner frame of `inner` bytes.
  uint8_t* Add(size_t inner) {
    const size_t unit = kVxlan + inner;
    if (units_ > 0 && (closed_ || unit > unit_ || units_ == kMostUnits || length_ + unit > kMostPacked)) Flush();
    if (units_ == 0) {
      length_ = outer_.Udp() + kUdp;
      unit_ = unit;
      closed_ = false;
    }
    uint8_t* place = frame_.data() + length_;
    memcpy(place, outer_.Vxlan(), kVxlan);
    length_ += unit;
    units_++;
    if (unit < unit_) closed_ = true;
    return place + kVxlan;
  }

  void Flush() {
    if (units_ == 0) return;
    VnetHeader header{};
    uint8_t* frame = frame_.data();
    const size_t udp = outer_.Udp();
    outer_.Write(frame, length_);
    if (units_ > 1) {
      header.flags = bench::kNeedsChecksum;
      header.gso_type = bench::kGsoUdp;
      header.header_length = static_cast<uint16_t>(udp + kUdp);
      header.gso_size = static_cast<uint16_t>(unit_);
      header.csum_start = static_cast<uint16_t>(udp);
      header.csum_offset = 6;
      bench::PutSum(frame + udp + 6, outer_.PseudoSum(length_ - udp));
    }
    bench::WriteFrame(uplink_, header, frame, length_);
    units_ = 0;
  }

 private:
  const Outer& outer_;
  const Tap& uplink_;
  std::vector<uint8_t> frame_;
  size_t length_ = 0;
  size_t units_ = 0;
  size_t unit_ = 0;
  bool closed_ = false;
};

void PackOne(Packer* packer, const VnetHeader& header, const uint8_t* frame, size_t length) {
  uint8_t* copy = packer->Add(length);
  memcpy(copy, frame, length);
  if ((header.flags & bench::kNeedsChecksum) == 0) return;
  const uint16_t sum = bench::Complement(bench::Sum(copy + header.csum_start, length - header.csum_start));
  // RFC 768: zero would mean none.
  bench::PutSum(copy + header.csum_start + header.csum_offset, sum == 0 && header.csum_offset == 6 ? 0xffff : sum);
}

// Cuts a super-frame and completes the checksums of its segments.
void PackSegments(Packer* packer, const VnetHeader& header, const uint8_t* frame, size_t length, const Layers& layers) {
  const uint16_t id = bench::Get16(frame + 18);
  const size_t payload = layers.payload;
  size_t done = payload;
  for (size_t i = 0; done < length; i++) {
    const size_t part = length - done < header.gso_size ? length - done : header.gso_size;
    const size_t total = payload + part;
    uint8_t* copy = packer->Add(total);
    memcpy(copy, frame, payload);
    memcpy(copy + payload, frame + done, part);
    bench::Put16(copy + 18, id + i);
    bench::CloseIpv4(copy, total);
    uint8_t* transport = copy + layers.transport;
    if (layers.tcp) {
      bench::Put32(transport + 4, bench::Get32(frame + layers.transport + 4) + static_cast<uint32_t>(done - payload));
      // FIN and PSH belong to the last segment, CWR to the first.
      if (done + part < length) transport[13] &= static_cast<uint8_t>(~0x09);
      if (i > 0) transport[13] &= static_cast<uint8_t>(~0x80);
    } else {
      bench::Put16(transport + 4, total - layers.transport);
    }
    uint8_t* checksum = transport + layers.ChecksumOffset();
    bench::PutSum(checksum, 0);
    const size_t rest = total - layers.transport;
    const uint16_t sum = bench::Complement(bench::Sum(transport, rest, bench::PseudoSum(copy, rest)));
    bench::PutSum(checksum, sum == 0 && !layers.tcp ? 0xffff : sum);
    done += part;
  }
}

class Splice {
 public:
  Splice(const Outer& outer, const Tap& guest, const Tap& uplink)
      : outer_(outer),
        guest_(guest),
        uplink_(uplink),
        buffer_(bench::kFrame),
        packer_(outer, uplink),
        coalescer_(guest) {}

  void Encapsulate() {
    uint8_t* frame = buffer_.data() + bench::kHeadroom;
    VnetHeader header{};
    for (int i = 0; i < kBatch; i++) {
      const size_t length = bench::ReadFrame(guest_, &header, frame);
      if (length == 0) break;
      Layers layers;
      if (header.gso_type == 0)
        PackOne(&packer_, header, frame, length);
      else if (uplink_.tunnel)
        SendWhole(header, frame, length);
      else if (bench::Parse(frame, length, &layers))
        PackSegments(&packer_, header, frame, length, layers);
    }
    packer_.Flush();
  }

  void Decapsulate() {
    uint8_t* frame = buffer_.data() + bench::kHeadroom;
    VnetHeader header{};
    for (int i = 0; i < kBatch; i++) {
      const size_t length = bench::ReadFrame(uplink_, &header, frame);
      if (length == 0) break;
      if (outer_.IsOurs(frame, length)) Receive(header, frame, length);
    }
    coalescer_.Flush();
  }

 private:
  void SendWhole(VnetHeader header, uint8_t* frame, size_t length) {
    packer_.Flush();
    const size_t outer = outer_.Length();
    uint8_t* start = frame - outer;
    outer_.Write(start, length + outer);
    header.gso_type |= outer_.TunnelType();
    header.header_length = static_cast<uint16_t>(header.header_length + outer);
    header.csum_start = static_cast<uint16_t>(header.csum_start + outer);
    header.outer_transport = static_cast<uint16_t>(outer_.Udp());
    header.inner_network = static_cast<uint16_t>(outer + bench::kEthernet);
    bench::WriteFrame(uplink_, header, start, length + outer);
  }

  void Receive(const VnetHeader& header, const uint8_t* frame, size_t length) {
    const size_t outer = outer_.Length();
    const bool open = (header.flags & bench::kNeedsChecksum) != 0;
    const uint8_t type = header.gso_type & static_cast<uint8_t>(~bench::kGsoEcn);
    if ((type & (bench::kGsoTunnel4 | bench::kGsoTunnel6)) != 0) {
      VnetHeader inner{};
      inner.flags = bench::kNeedsChecksum;
      inner.gso_type = header.gso_type & static_cast<uint8_t>(~(bench::kGsoTunnel4 | bench::kGsoTunnel6));
      inner.gso_size = header.gso_size;
      inner.header_length = static_cast<uint16_t>(header.header_length - outer);
      inner.csum_start = static_cast<uint16_t>(header.csum_start - outer);
      inner.csum_offset = header.csum_offset;
      coalescer_.Pass(inner, frame + outer, length - outer);
    } else if (type == bench::kGsoUdp) {
      for (size_t done = outer_.Udp() + kUdp; done < length; done += header.gso_size) {
        const size_t unit = length - done < header.gso_size ? length - done : header.gso_size;
        if (unit > kVxlan + bench::kEthernet) coalescer_.Add(frame + done + kVxlan, unit - kVxlan, false);
      }
    } else {
      // What is still to be completed may be the outer checksum: then the inner one is complete.
      coalescer_.Add(frame + outer, length - outer, open && header.csum_start >= outer);
    }
  }

  const Outer& outer_;
  const Tap& guest_;
  const Tap& uplink_;
  std::vector<uint8_t> buffer_;
  Packer packer_;
  bench::Coalescer coalescer_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 11) {
    fprintf(stderr, "usage: vxlan gso|uso NETNS LINK NETNS UPLINK SOURCE_MAC TARGET_MAC SOURCE_IP TARGET_IP VNI\n");
    return 2;
  }
  const bool gso = strcmp(argv[1], "gso") == 0;
  const Tap guest = bench::OpenTap(argv[2], argv[3], false);
  const Tap uplink = bench::OpenTap(argv[4], argv[5], gso);
  if (gso && !uplink.tunnel) {
    puts("unsupported");
    return 3;
  }
  const Outer outer(argv[6], argv[7], argv[8], argv[9], static_cast<uint32_t>(atoi(argv[10])));
  static Splice splice(outer, guest, uplink);
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  const int descriptors[2] = {guest.fd, uplink.fd};
  for (uint32_t i = 0; i < 2; i++) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = i;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, descriptors[i], &event) != 0) bench::Die("epoll_ctl");
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    epoll_event events[2];
    const int n = epoll_wait(poll, events, 2, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.u32 == 0)
        splice.Encapsulate();
      else
        splice.Decapsulate();
    }
  }
}
