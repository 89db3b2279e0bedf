// Bounded fuzzing: the address and undefined-behaviour sanitizers are the judges. Each frame lies in an allocation of
// exactly its size.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "../segment.h"
#include "../slot_frame.h"
#include "super_frame.h"

using namespace ts;
using ts_test::Bytes;
using ts_test::Random;
using ts_test::Shape;

static int rounds(int normal) {
  const char* more = getenv("TAPSWITCH_FUZZ_FACTOR");
  return more != nullptr ? normal * std::max(1, atoi(more)) : normal;
}

static Shape random_shape(Random& random, size_t most) {
  Shape s;
  s.vlans = static_cast<int>(random.below(3));
  s.tcp = random.one_in(2);
  s.ip.version = random.one_in(2) ? 6 : 4;
  s.ip.extra = random.below(6) * 8;
  s.ip.id = static_cast<uint16_t>(random.next());
  s.tunnel = random.one_in(3);
  s.inner_vlans = static_cast<int>(random.below(3));
  s.tunnel_csum = random.one_in(2);
  s.outer.version = random.one_in(2) ? 6 : 4;
  s.outer.extra = random.below(6) * 8;
  s.tcp_options = random.below(11) * 4;
  s.tcp_flags = static_cast<uint8_t>(random.next());
  s.seq = static_cast<uint32_t>(random.next());
  s.payload = random.below(static_cast<uint32_t>(most));
  s.gso_size = 8 + random.below(3000);
  s.fill = static_cast<uint8_t>(random.next());
  return s;
}

// Reads every byte of every piece; how many pieces, -1 if refused.
static int drain(const uint8_t* frame, size_t len, const VnetFacts& facts) {
  Cutter cutter;
  if (!cutter.begin(frame, len, facts)) return -1;
  size_t pieces = 0;
  uint32_t sum = 0;
  for (WireFrame wire; cutter.next(&wire); pieces++) {
    size_t total = 0;
    for (int i = 0; i < wire.count; i++) {
      for (size_t k = 0; k < wire.parts[i].len; k++) sum += wire.parts[i].at[k];
      total += wire.parts[i].len;
    }
    CHECK_EQ(total, wire.len);
    CHECK(wire.len <= len);
  }
  CHECK(pieces >= 1 && pieces <= Cutter::kMaxPieces);
  // Uses the sum, so that no read is optimised away.
  CHECK(sum < 0xffffffff);
  return static_cast<int>(pieces);
}

TEST(fuzz_well_formed_super_frames_are_cut_right) {
  Random random(2);
  for (int i = 0; i < rounds(600); i++) {
    const Shape s = random_shape(random, i % 20 == 0 ? 60000 : 6000);
    const Bytes super = build(s);
    std::vector<Bytes> wire;
    Cutter cutter;
    CHECK(cutter.begin(super.data(), super.size(), facts_of(s)));
    for (WireFrame w; cutter.next(&w);) {
      wire.emplace_back();
      for (int p = 0; p < w.count; p++)
        wire.back().insert(wire.back().end(), w.parts[p].at, w.parts[p].at + w.parts[p].len);
    }
    check_wire(s, super, wire);
  }
}

TEST(fuzz_damaged_frames_and_facts_stay_within_bounds) {
  Random random(3);
  int accepted = 0;
  for (int i = 0; i < rounds(60000); i++) {
    const Shape s = random_shape(random, 400);
    Bytes super = build(s);
    VnetFacts facts = facts_of(s);
    for (uint32_t hits = random.below(4); hits > 0; hits--) {
      const uint32_t where = random.one_in(4) ? random.below(static_cast<uint32_t>(super.size()))
                                              : random.below(static_cast<uint32_t>(s.headers()));
      super[where] = static_cast<uint8_t>(random.next() >> 30);
    }
    if (random.one_in(2)) super.resize(random.below(static_cast<uint32_t>(super.size()) + 1));
    if (random.one_in(2)) {
      uint8_t raw[24];
      emit_vnet(raw, 24, facts);
      raw[random.below(24)] = static_cast<uint8_t>(random.next() >> 30);
      parse_vnet(raw, 24, super.size(), &facts);
    }
    std::unique_ptr<uint8_t[]> exact(new uint8_t[super.size()]);
    if (!super.empty()) memcpy(exact.get(), super.data(), super.size());
    accepted += drain(exact.get(), super.size(), facts) > 0;
    complete_checksum(exact.get(), super.size(), facts);
  }
  CHECK(accepted > 1000);
}

TEST(fuzz_noise_stays_within_bounds) {
  Random random(4);
  for (int i = 0; i < rounds(60000); i++) {
    const size_t len = random.below(200);
    std::unique_ptr<uint8_t[]> noise(new uint8_t[len]);
    for (size_t k = 0; k < len; k++) noise[k] = static_cast<uint8_t>(random.next() >> 30);
    VnetFacts facts;
    uint8_t* raw = reinterpret_cast<uint8_t*>(&facts);
    for (size_t k = 0; k < sizeof facts; k++) raw[k] = static_cast<uint8_t>(random.next() >> 30);
    if (random.one_in(2)) facts.csum_start %= 200;
    if (random.one_in(2)) facts.csum_off %= 64;
    drain(noise.get(), len, facts);
    complete_checksum(noise.get(), len, facts);
  }
}

TEST(fuzz_slot_metadata_never_points_outside_of_the_arena) {
  Random random(5);
  constexpr size_t kArena = 4096;
  std::unique_ptr<uint8_t[]> arena(new uint8_t[kArena]());
  int accepted = 0;
  for (int i = 0; i < rounds(200000); i++) {
    int32_t m[META_WORDS] = {};
    for (int word = M_OFF; word < M_FIRST_PIPE; word++) {
      const uint32_t kind = random.below(10);
      m[word] = kind == 0   ? static_cast<int32_t>(random.next())
                : kind == 2 ? -static_cast<int32_t>(random.below(200))
                : kind == 1 ? (random.one_in(2) ? INT32_MAX : INT32_MIN)
                            : static_cast<int32_t>(random.below(word < M_VFLAGS ? 2100 : 64));
    }
    SlotFrame frame;
    if (!read_slot(arena.get(), kArena, m, &frame)) continue;
    accepted++;
    CHECK(frame.bytes >= arena.get() && frame.bytes + frame.len <= arena.get() + kArena);
    CHECK_EQ(frame.facts.csum_start, m[M_CSUM_START]);
    drain(frame.bytes, frame.len, frame.facts);
  }
  CHECK(accepted > 1000);
}
