#include "../segment.h"

#include <cstring>

#include "super_frame.h"

using namespace ts;
using ts_test::Bytes;
using ts_test::Shape;

static std::vector<Bytes> cut(const Bytes& super, const VnetFacts& facts, bool* ok) {
  std::vector<Bytes> out;
  Cutter cutter;
  *ok = cutter.begin(super.data(), super.size(), facts);
  for (WireFrame wire; *ok && cutter.next(&wire);) {
    Bytes frame;
    for (int i = 0; i < wire.count; i++)
      frame.insert(frame.end(), wire.parts[i].at, wire.parts[i].at + wire.parts[i].len);
    CHECK_EQ(frame.size(), wire.len);
    out.push_back(frame);
  }
  return out;
}

static void cuts(const Shape& shape) {
  const Bytes super = build(shape);
  const Bytes before = super;
  bool ok;
  const std::vector<Bytes> wire = cut(super, facts_of(shape), &ok);
  CHECK(ok);
  CHECK(super == before);
  if (ok) check_wire(shape, super, wire);
}

static bool refuses(const Shape& shape, void (*spoil)(const Shape&, Bytes*, VnetFacts*)) {
  Bytes super = build(shape);
  VnetFacts facts = facts_of(shape);
  spoil(shape, &super, &facts);
  bool ok;
  cut(super, facts, &ok);
  return !ok;
}

static Shape tcp4(size_t payload) {
  Shape s;
  s.payload = payload;
  s.tcp_options = 12;
  return s;
}

TEST(segment_cuts_tcp_over_both_ip_versions) {
  for (const int version : {4, 6}) {
    for (const size_t payload : {0, 1, 1447, 1448, 1449, 2896, 10001, 65000}) {
      Shape s = tcp4(payload);
      s.ip.version = version;
      cuts(s);
    }
  }
}

TEST(segment_tells_flags_to_one_piece_only) {
  Shape s = tcp4(5000);
  s.tcp_flags = 0x80 | 0x40 | 0x10 | 0x08 | 0x01;
  cuts(s);
  s.payload = 100;
  cuts(s);
}

TEST(segment_wraps_sequence_and_identification) {
  Shape s = tcp4(30000);
  s.seq = 0xffffff00;
  s.ip.id = 0xfffe;
  cuts(s);
}

TEST(segment_passes_vlan_tags_options_and_extension_headers) {
  for (int vlans = 0; vlans <= 2; vlans++) {
    for (const size_t extra : {0, 8, 24, 40}) {
      for (const int version : {4, 6}) {
        Shape s = tcp4(4000);
        s.vlans = vlans;
        s.ip.version = version;
        s.ip.extra = extra;
        cuts(s);
        s.tcp = false;
        cuts(s);
      }
    }
  }
}

TEST(segment_cuts_udp_and_never_sends_a_zero_checksum) {
  Shape s;
  s.tcp = false;
  s.gso_size = 1200;
  for (const int version : {4, 6}) {
    s.ip.version = version;
    for (const size_t payload : {1, 1200, 1201, 60000}) {
      s.payload = payload;
      cuts(s);
    }
  }
  // One payload word runs through all values: one of them makes the sum come out as zero.
  s.payload = 2;
  s.ip.version = 4;
  Bytes super = build(s);
  int mangled = 0;
  for (int word = 0; word < 65536; word++) {
    super[s.headers()] = static_cast<uint8_t>(word >> 8);
    super[s.headers() + 1] = static_cast<uint8_t>(word);
    bool ok;
    const std::vector<Bytes> wire = cut(super, facts_of(s), &ok);
    const int sum = wire.at(0)[s.th() + 6] << 8 | wire.at(0)[s.th() + 7];
    CHECK(sum != 0);
    mangled += sum == 0xffff;
  }
  CHECK_EQ(mangled, 1);
}

TEST(segment_cuts_inside_of_tunnels) {
  for (const int outer : {4, 6}) {
    for (const int inner : {4, 6}) {
      for (const bool csum : {false, true}) {
        for (const bool tcp : {false, true}) {
          Shape s = tcp4(5001);
          s.tunnel = true;
          s.tunnel_csum = csum;
          s.tcp = tcp;
          s.outer.version = outer;
          s.outer.id = 0xffff;
          s.ip.version = inner;
          s.gso_size = 1399;
          for (s.vlans = 0; s.vlans <= 2; s.vlans++) {
            for (s.inner_vlans = 0; s.inner_vlans <= 2; s.inner_vlans++) cuts(s);
          }
        }
      }
    }
  }
}

TEST(segment_sums_for_the_final_destination_behind_a_routing_header) {
  Shape s = tcp4(3000);
  s.ip.version = 6;
  s.ip.extra = 24;
  Bytes super = build(s);
  uint8_t* routing = &super[s.nh() + 40];
  super[s.nh() + 6] = 43;
  routing[2] = 4;  // segment routing, one segment left
  routing[3] = 1;
  routing[4] = 0;
  memset(routing + 5, 0, 3);
  const uint8_t last[16] = {0xfd, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
  memcpy(routing + 8, last, 16);
  bool ok;
  const std::vector<Bytes> wire = cut(super, facts_of(s), &ok);
  CHECK(ok);
  for (Bytes frame : wire) {
    const size_t length = frame.size() - s.th();
    memcpy(&frame[s.nh() + 24], last, 16);
    const uint64_t sum =
        ts_test::slow_sum(&frame[s.nh() + 8], 32) + 6 + length + ts_test::slow_sum(&frame[s.th()], length);
    CHECK_EQ(ts_test::slow_fold(sum), 0xffff);
  }
}

TEST(segment_counts_an_authentication_header_in_words_of_four) {
  Shape s = tcp4(3000);
  s.ip.version = 6;
  s.ip.extra = 24;
  Bytes super = build(s);
  super[s.nh() + 6] = 51;
  super[s.nh() + 41] = 4;
  bool ok;
  const std::vector<Bytes> wire = cut(super, facts_of(s), &ok);
  CHECK(ok);
  check_wire(s, super, wire);
}

TEST(segment_takes_headers_up_to_its_limit) {
  Shape s = tcp4(3000);
  s.ip.version = 6;
  for (s.ip.extra = 400; s.headers() <= Cutter::kHeaderMax; s.ip.extra += 8) cuts(s);
  CHECK(refuses(s, [](const Shape&, Bytes*, VnetFacts*) {}));
}

TEST(segment_completes_udp_without_a_zero_checksum) {
  Shape s;
  s.tcp = false;
  s.payload = 2;
  Bytes partial = build(s);
  VnetFacts facts = facts_of(s);
  facts.gso_type = kGsoNone;
  int mangled = 0;
  for (int word = 0; word < 65536; word++) {
    Bytes frame = partial;
    frame[s.headers()] = static_cast<uint8_t>(word >> 8);
    frame[s.headers() + 1] = static_cast<uint8_t>(word);
    CHECK(complete_checksum(frame.data(), frame.size(), facts));
    const int sum = frame[s.th() + 6] << 8 | frame[s.th() + 7];
    CHECK(sum != 0);
    mangled += sum == 0xffff;
  }
  CHECK_EQ(mangled, 1);
}

TEST(segment_completes_a_partial_checksum) {
  for (const bool tcp : {true, false}) {
    for (const int version : {4, 6}) {
      Shape s = tcp4(333);
      s.tcp = tcp;
      s.ip.version = version;
      s.gso_size = 65000;
      const Bytes partial = build(s);
      VnetFacts facts = facts_of(s);
      facts.gso_type = kGsoNone;
      facts.gso_size = 0;
      bool ok;
      const std::vector<Bytes> wire = cut(partial, facts, &ok);
      CHECK(ok);
      CHECK_EQ(wire.size(), 1);
      Bytes in_place = partial;
      CHECK(complete_checksum(in_place.data(), in_place.size(), facts));
      CHECK(in_place == wire.at(0));
      // The builder leaves the IPv4 header's own checksum to the cutter, which does not touch it here.
      const size_t length = in_place.size() - s.th(), addresses = version == 4 ? 8 : 32;
      const uint64_t sum = ts_test::slow_sum(&in_place[s.nh() + (version == 4 ? 12 : 8)], addresses) + (tcp ? 6 : 17) +
                           length + ts_test::slow_sum(&in_place[s.th()], length);
      CHECK_EQ(ts_test::slow_fold(sum), 0xffff);
    }
  }
}

TEST(segment_leaves_a_complete_frame_alone) {
  const Bytes frame = build(tcp4(100));
  bool ok;
  const std::vector<Bytes> wire = cut(frame, VnetFacts{}, &ok);
  CHECK(ok);
  CHECK_EQ(wire.size(), 1);
  CHECK(wire.at(0) == frame);
}

TEST(segment_refuses_what_it_would_get_wrong) {
  const Shape s = tcp4(3000);
  Shape udp = s, six = s, tunnel = s;
  udp.tcp = false;
  six.ip.version = 6;
  six.ip.extra = 8;
  tunnel.tunnel = true;
  CHECK(refuses(udp, [](const Shape&, Bytes*, VnetFacts* f) { f->gso_type = kGsoUfo; }));
  CHECK(refuses(s, [](const Shape& h, Bytes* b, VnetFacts*) { (*b)[h.nh() + 6] = 0x20; }));
  CHECK(refuses(s, [](const Shape& h, Bytes* b, VnetFacts*) { (*b)[h.nh() + 7] = 1; }));
  CHECK(refuses(six, [](const Shape& h, Bytes* b, VnetFacts*) { (*b)[h.nh() + 6] = 44; }));
  CHECK(refuses(s, [](const Shape&, Bytes*, VnetFacts* f) { f->gso_type = kGsoTcp6; }));
  CHECK(refuses(s, [](const Shape&, Bytes*, VnetFacts* f) { f->gso_type = kGsoUdpL4; }));
  CHECK(refuses(s, [](const Shape&, Bytes*, VnetFacts* f) { f->csum_start += 2; }));
  CHECK(refuses(s, [](const Shape&, Bytes*, VnetFacts* f) { f->csum_off = 6; }));
  CHECK(refuses(s, [](const Shape& h, Bytes* b, VnetFacts*) { (*b)[h.th() + 12] = 0x40; }));
  CHECK(refuses(s, [](const Shape& h, Bytes* b, VnetFacts*) { b->resize(h.headers() - 1); }));
  CHECK(refuses(s, [](const Shape& h, Bytes* b, VnetFacts*) { (*b)[h.nh()] = 0x44; }));
  CHECK(refuses(s, [](const Shape&, Bytes* b, VnetFacts*) { (*b)[13] = 6; }));
  CHECK(refuses(tunnel, [](const Shape&, Bytes*, VnetFacts* f) { f->outer_th += 2; }));
  CHECK(refuses(tunnel, [](const Shape&, Bytes*, VnetFacts* f) { f->inner_nh -= 1; }));
  CHECK(refuses(tunnel, [](const Shape&, Bytes*, VnetFacts* f) { f->gso_type ^= kGsoTunnel; }));
}

TEST(segment_refuses_more_pieces_than_linux_makes) {
  Shape s = tcp4(60000);
  s.gso_size = 8;
  cuts(s);
  s.gso_size = 7;
  CHECK(refuses(s, [](const Shape&, Bytes*, VnetFacts*) {}));
}
