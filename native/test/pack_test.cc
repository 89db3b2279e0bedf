#include "../pack.h"

#include <cstring>

#include "../unpack.h"
#include "super_frame.h"

using namespace ts;
using ts_test::Bytes;
using ts_test::Random;
using ts_test::Shape;

namespace {

constexpr int32_t kPorts[] = {4789};
constexpr TunnelPorts kTunnels = {kPorts, 1};

std::vector<Bytes> cut(const Bytes& super, const VnetFacts& facts) {
  std::vector<Bytes> out;
  Cutter cutter;
  CHECK(cutter.begin(super.data(), super.size(), facts));
  for (WireFrame wire; cutter.next(&wire);) {
    out.emplace_back();
    for (int i = 0; i < wire.count; i++)
      out.back().insert(out.back().end(), wire.parts[i].at, wire.parts[i].at + wire.parts[i].len);
  }
  return out;
}

// What packed super-frames are on a wire.
std::vector<Bytes> packed(const Bytes& super, const VnetFacts& facts, int* writes) {
  std::vector<Bytes> out;
  Packer packer;
  *writes = 0;
  CHECK(packer.begin(super.data(), super.size(), facts));
  for (PackedFrame frame; packer.next(&frame); ++*writes) {
    Bytes bytes;
    for (int i = 0; i < frame.count; i++)
      bytes.insert(bytes.end(), frame.parts[i].at, frame.parts[i].at + frame.parts[i].len);
    CHECK_EQ(bytes.size(), frame.len);
    Unpacker unpacker;
    if (!unpacker.begin(bytes.data(), bytes.size(), frame.facts, kTunnels)) {
      // A single unit.
      CHECK_EQ(frame.facts.gso_type, kGsoNone);
      CHECK(complete_checksum(bytes.data(), bytes.size(), frame.facts));
      out.push_back(bytes);
      continue;
    }
    while (unpacker.length() > 0) {
      out.emplace_back(unpacker.length());
      VnetFacts unit;
      unpacker.next(out.back().data(), &unit);
      CHECK(complete_checksum(out.back().data(), out.back().size(), unit));
    }
  }
  return out;
}

Shape tunnelled(size_t payload, size_t size) {
  Shape s;
  s.tunnel = s.tunnel_csum = true;
  s.payload = payload;
  s.gso_size = size;
  return s;
}

}  // namespace

TEST(pack_makes_the_packets_that_the_cutter_makes) {
  for (const bool tcp : {true, false})
    for (const int outer : {4, 6})
      for (const int version : {4, 6})
        for (const size_t payload : {10, 1400, 2800, 14001, 64000}) {
          Shape s = tunnelled(payload, 1400);
          s.tcp = tcp;
          s.outer.version = outer;
          s.ip.version = version;
          s.inner_vlans = 1;
          const Bytes super = build(s);
          int writes;
          CHECK(packed(super, facts_of(s), &writes) == cut(super, facts_of(s)));
          CHECK_EQ(writes, payload > 60000 ? 2 : 1);
        }
}

TEST(pack_puts_64_units_into_one) {
  Shape s = tunnelled(100 * 129, 100);
  const Bytes super = build(s);
  int writes;
  CHECK(packed(super, facts_of(s), &writes) == cut(super, facts_of(s)));
  CHECK_EQ(writes, 3);
}

TEST(pack_leaves_alone_what_is_in_no_tunnel_or_wants_no_checksum) {
  Packer packer;
  Shape s = tunnelled(3000, 1000);
  s.tunnel_csum = false;
  Bytes super = build(s);
  CHECK(!packer.begin(super.data(), super.size(), facts_of(s)));
  s.tunnel = false;
  super = build(s);
  CHECK(!packer.begin(super.data(), super.size(), facts_of(s)));
}

TEST(fuzz_pack_stays_within_bounds) {
  Random random(21);
  for (int i = 0; i < 3000; i++) {
    Shape s = tunnelled(random.below(3000), 8 + random.below(500));
    s.tcp = random.one_in(2);
    s.outer.version = random.one_in(2) ? 4 : 6;
    s.outer.extra = random.below(3) * 8;
    s.ip.extra = random.below(3) * 8;
    s.tcp_options = random.below(11) * 4;
    Bytes super = build(s);
    VnetFacts facts = facts_of(s);
    if (random.one_in(2)) super[random.below(static_cast<uint32_t>(s.headers()))] = static_cast<uint8_t>(random.next());
    if (random.one_in(3)) super.resize(random.below(static_cast<uint32_t>(super.size()) + 1));
    Packer packer;
    if (!packer.begin(super.data(), super.size(), facts)) continue;
    size_t sum = 0;
    for (PackedFrame frame; packer.next(&frame);)
      for (int k = 0; k < frame.count; k++)
        for (size_t b = 0; b < frame.parts[k].len; b++) sum += frame.parts[k].at[b];
    CHECK(sum < SIZE_MAX);
  }
}
