#include "../join.h"

#include <cstring>

#include "../checksum.h"
#include "../unpack.h"
#include "super_frame.h"

using namespace ts;
using ts_test::Bytes;
using ts_test::Random;
using ts_test::Shape;

namespace {

constexpr int32_t kPorts[] = {4789};
constexpr TunnelPorts kTunnels = {kPorts, 1};

// Which checksum of a packet is still to be made.
enum class Partial { kNone, kInner, kOuter };

struct Packet {
  Bytes wire, bytes;
  VnetFacts facts = {};
  SlotFrame frame() { return {bytes.data(), bytes.size(), facts}; }
};

Shape tunnelled(bool tcp, int outer, int inner, size_t payload, size_t size) {
  Shape s;
  s.tunnel = s.tunnel_csum = true;
  s.tcp = tcp;
  s.outer.version = outer;
  s.ip.version = inner;
  s.payload = payload;
  s.gso_size = size;
  return s;
}

void make_partial(Packet* packet, size_t nh, size_t field) {
  IpLayer ip;
  CHECK(parse_ip(packet->bytes.data(), packet->bytes.size(), nh, &ip));
  put16be(packet->bytes.data() + ip.th + field,
          csum_fold(pseudo_sum(packet->bytes.data(), ip, packet->bytes.size() - ip.th)));
  packet->facts.flags = kNeedsCsum;
  packet->facts.csum_start = static_cast<uint16_t>(ip.th);
  packet->facts.csum_off = static_cast<uint16_t>(field);
}

// The packets of one flow that a super-frame stands for.
std::vector<Packet> packets(const Shape& s, Partial partial) {
  const Bytes super = build(s);
  std::vector<Packet> out;
  Cutter cutter;
  CHECK(cutter.begin(super.data(), super.size(), facts_of(s)));
  for (WireFrame wire; cutter.next(&wire);) {
    Packet packet;
    for (int i = 0; i < wire.count; i++)
      packet.wire.insert(packet.wire.end(), wire.parts[i].at, wire.parts[i].at + wire.parts[i].len);
    packet.bytes = packet.wire;
    if (partial == Partial::kInner) make_partial(&packet, s.nh(), s.field());
    if (partial == Partial::kOuter) make_partial(&packet, s.outer_nh(), 6);
    out.push_back(packet);
  }
  return out;
}

// The outer IPv4 header is as its sender made it.
void sum_header(Packet* packet, const Shape& s) {
  uint8_t* ip = packet->bytes.data() + s.outer_nh();
  put16be(ip + 10, 0);
  put16be(ip + 10, csum_finish(csum_add(ip, 20, 0), false));
}

// How many from `at` on are joined; `wire`, if there is one, gets what they are on a wire.
size_t join(std::vector<Packet>* all, size_t at, std::vector<Bytes>* wire) {
  Joiner joiner(kTunnels);
  if (!joiner.begin((*all)[at].frame())) return 0;
  size_t n = 1;
  while (at + n < all->size() && joiner.add((*all)[at + n].frame())) n++;
  if (n == 1 || wire == nullptr) return n;
  PackedFrame packed;
  joiner.finish(&packed);
  Bytes bytes;
  for (int i = 0; i < packed.count; i++)
    bytes.insert(bytes.end(), packed.parts[i].at, packed.parts[i].at + packed.parts[i].len);
  CHECK_EQ(bytes.size(), packed.len);
  Unpacker unpacker;
  CHECK(unpacker.begin(bytes.data(), bytes.size(), packed.facts, kTunnels));
  while (unpacker.length() > 0) {
    wire->emplace_back(unpacker.length());
    VnetFacts unit;
    unpacker.next(wire->back().data(), &unit);
    CHECK(complete_checksum(wire->back().data(), wire->back().size(), unit));
  }
  return n;
}

}  // namespace

TEST(join_makes_a_super_frame_that_is_the_packets) {
  for (const Partial partial : {Partial::kNone, Partial::kInner, Partial::kOuter})
    for (const bool tcp : {true, false})
      for (const int outer : {4, 6})
        for (const int inner : {4, 6}) {
          std::vector<Packet> all = packets(tunnelled(tcp, outer, inner, 5 * 40 + 7, 40), partial);
          const std::vector<Packet> before = all;
          std::vector<Bytes> wire;
          CHECK_EQ(join(&all, 0, &wire), 6);
          CHECK_EQ(wire.size(), 6);
          for (size_t i = 0; i < wire.size(); i++) {
            CHECK(wire[i] == all[i].wire);
            CHECK(all[i].bytes == before[i].bytes);
          }
        }
}

TEST(join_takes_at_most_16) {
  std::vector<Packet> all = packets(tunnelled(true, 6, 4, 40 * 20, 40), Partial::kInner);
  std::vector<Bytes> wire;
  CHECK_EQ(join(&all, 0, &wire), 16);
  CHECK(wire[15] == all[15].wire);
}

TEST(join_ends_with_a_shorter_one_and_before_a_longer_one) {
  std::vector<Packet> all = packets(tunnelled(true, 6, 4, 40 * 3, 40), Partial::kNone);
  std::vector<Packet> shorter = packets(tunnelled(true, 6, 4, 30 * 2, 30), Partial::kNone);
  all.insert(all.begin() + 2, shorter.begin(), shorter.end());
  CHECK_EQ(join(&all, 0, nullptr), 3);
  CHECK_EQ(join(&all, 3, nullptr), 1);
}

TEST(join_leaves_alone_what_is_of_another_flow_or_wrong) {
  const std::vector<Packet> good = packets(tunnelled(true, 4, 4, 40 * 3, 40), Partial::kNone);
  const Shape s = tunnelled(true, 4, 4, 0, 40);
  // Destination MAC, time to live, source address, source port, and a byte of the payload, which the checksum does not know of.
  for (const size_t at : {size_t{0}, s.outer_nh() + 8, s.outer_nh() + 15, s.outer_th(), s.headers() + 3}) {
    std::vector<Packet> all = good;
    all[1].bytes[at] ^= 1;
    sum_header(&all[1], s);
    CHECK_EQ(join(&all, 0, nullptr), 1);
  }
  std::vector<Packet> wrong = good;
  wrong[1].bytes[s.outer_nh() + 10] ^= 1;
  CHECK_EQ(join(&wrong, 0, nullptr), 1);
  // An identification counts unless the packet may not be fragmented.
  for (const bool fragmentable : {true, false}) {
    std::vector<Packet> all = good;
    for (Packet& packet : all) {
      uint8_t* ip = packet.bytes.data() + s.outer_nh();
      if (&packet == &all[1]) ip[5] ^= 8;
      ip[6] = fragmentable ? 0 : 0x40;
      sum_header(&packet, s);
    }
    CHECK_EQ(join(&all, 0, nullptr), fragmentable ? 1 : 3);
  }
  // A first one that is wrong is joined by none.
  std::vector<Packet> all = good;
  all[0].bytes[s.headers() + 3] ^= 1;
  CHECK_EQ(join(&all, 0, nullptr), 1);
  CHECK_EQ(join(&all, 1, nullptr), 2);
}

TEST(join_leaves_alone_what_is_of_no_tunnel) {
  std::vector<Packet> all = packets(tunnelled(true, 6, 4, 40 * 3, 40), Partial::kNone);
  constexpr int32_t other[] = {4790};
  Joiner joiner({other, 1});
  CHECK(!joiner.begin(all[0].frame()));
}

TEST(join_leaves_alone_what_has_no_checksum_is_long_or_a_super_frame) {
  Shape s = tunnelled(true, 4, 4, 40 * 3, 40);
  s.tunnel_csum = false;
  std::vector<Packet> all = packets(s, Partial::kNone);
  CHECK_EQ(join(&all, 0, nullptr), 0);
  all = packets(tunnelled(true, 4, 4, 300 * 3, 300), Partial::kNone);
  CHECK_EQ(join(&all, 0, nullptr), 0);
  s = tunnelled(true, 4, 4, 80, 40);
  Packet super;
  super.bytes = build(s);
  super.facts = facts_of(s);
  Joiner joiner(kTunnels);
  CHECK(!joiner.begin(super.frame()));
}

TEST(fuzz_join_stays_within_bounds) {
  Random random(22);
  size_t joined = 0;
  for (int i = 0; i < 3000; i++) {
    Shape s = tunnelled(random.one_in(2), random.one_in(2) ? 4 : 6, random.one_in(2) ? 4 : 6, 40 + random.below(400),
                        20 + random.below(60));
    s.vlans = static_cast<int>(random.below(3));
    s.outer.extra = random.one_in(4) ? 8 : 0;
    std::vector<Packet> all = packets(s, static_cast<Partial>(random.below(3)));
    for (Packet& packet : all) {
      if (random.one_in(4))
        packet.bytes[random.below(static_cast<uint32_t>(packet.bytes.size()))] = static_cast<uint8_t>(random.next());
      if (random.one_in(8)) packet.bytes.resize(1 + random.below(static_cast<uint32_t>(packet.bytes.size())));
      if (random.one_in(8)) packet.facts.csum_start = static_cast<uint16_t>(random.below(200));
      packet.bytes.shrink_to_fit();
      if (!vnet_plausible(packet.facts, packet.bytes.size())) packet.facts = {};
    }
    std::vector<Bytes> wire;
    for (size_t at = 0; at < all.size();) {
      const size_t n = join(&all, at, &wire);
      joined += n > 1;
      at += n > 1 ? n : 1;
    }
  }
  CHECK(joined > 1000);
}
