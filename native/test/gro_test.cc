#include "../gro.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "../segment.h"
#include "super_frame.h"

using namespace ts;
using ts_test::Bytes;
using ts_test::Random;
using ts_test::Shape;

namespace {

constexpr int32_t kPorts[] = {4789, 8472};
constexpr TunnelPorts kTunnels = {kPorts, 2};

struct Packet {
  Bytes bytes;
  VnetFacts facts;
};

Packet plain(Bytes bytes) { return {std::move(bytes), VnetFacts{}}; }

// What a receiver does: each frame into the group that takes it, or a place of its own.
std::vector<Packet> merge(const std::vector<Packet>& in) {
  Gro gro(kTunnels);
  std::vector<std::unique_ptr<Bytes>> places;
  std::vector<Packet> out;
  for (const Packet& packet : in) {
    auto place = std::make_unique<Bytes>(packet.bytes);
    const int group = gro.find(place->data(), place->size(), packet.facts);
    if (group != Gro::kNone) {
      Bytes& grown = *places[static_cast<size_t>(gro.tag(group))];
      grown.resize(gro.grown(group));
      gro.move(group, grown.data());
      gro.append(group, place->data());
      continue;
    }
    gro.open(static_cast<int>(places.size()), place->data(), place->size());
    places.push_back(std::move(place));
    out.push_back({{}, packet.facts});
  }
  for (size_t i = 0; i < gro.count(); i++) {
    const int group = static_cast<int>(i);
    if (gro.merged(group)) gro.finish(group, &out[static_cast<size_t>(gro.tag(group))].facts);
  }
  for (size_t i = 0; i < out.size(); i++) out[i].bytes = *places[i];
  return out;
}

// As on a wire.
std::vector<Bytes> cut(const std::vector<Packet>& packets) {
  std::vector<Bytes> out;
  for (const Packet& packet : packets) {
    Cutter cutter;
    const bool begun = cutter.begin(packet.bytes.data(), packet.bytes.size(), packet.facts);
    CHECK(begun);
    if (!begun) continue;
    for (WireFrame w; cutter.next(&w);) {
      out.emplace_back();
      for (int p = 0; p < w.count; p++)
        out.back().insert(out.back().end(), w.parts[p].at, w.parts[p].at + w.parts[p].len);
    }
  }
  return out;
}

std::vector<Packet> pieces(const Shape& shape) {
  std::vector<Packet> out;
  for (Bytes& frame : cut({{build(shape), facts_of(shape)}})) out.push_back(plain(std::move(frame)));
  return out;
}

Shape shape_of(bool tcp, int version, size_t payload, size_t unit) {
  Shape s;
  s.tcp = tcp;
  s.ip.version = version;
  s.payload = payload;
  s.gso_size = unit;
  return s;
}

void put_ip4_checksum(Bytes* frame, size_t nh) {
  (*frame)[nh + 10] = (*frame)[nh + 11] = 0;
  const uint16_t sum = static_cast<uint16_t>(~ts_test::slow_fold(ts_test::slow_sum(frame->data() + nh, 20)));
  (*frame)[nh + 10] = static_cast<uint8_t>(sum >> 8);
  (*frame)[nh + 11] = static_cast<uint8_t>(sum);
}

// Identifications that say nothing, made equal (RFC 6864).
Bytes atomic(Bytes frame, size_t nh) {
  if (frame.size() < nh + 20 || frame[nh] != 0x45 || (frame[nh + 6] & 0x40) == 0) return frame;
  frame[nh + 4] = frame[nh + 5] = 0;
  put_ip4_checksum(&frame, nh);
  return frame;
}

void merges_to(const std::vector<Packet>& in, size_t frames) {
  const std::vector<Packet> out = merge(in);
  CHECK_EQ(out.size(), frames);
  std::vector<Bytes> before;
  for (const Packet& packet : in) {
    const std::vector<Bytes> wire = cut({packet});
    before.insert(before.end(), wire.begin(), wire.end());
  }
  CHECK(cut(out) == before);
}

}  // namespace

TEST(gro_makes_the_super_frame_that_the_packets_were_cut_from) {
  for (const bool tcp : {true, false})
    for (const int version : {4, 6})
      for (int vlans = 0; vlans <= 2; vlans++)
        for (const size_t options : {0, 12}) {
          Shape s = shape_of(tcp, version, 18 * 20 + 5, 18);
          s.vlans = vlans;
          s.tcp_options = options;
          const std::vector<Packet> in = pieces(s), out = merge(in);
          merges_to(in, 1);
          CHECK_EQ(out[0].bytes.size(), build(s).size());
          const VnetFacts wanted = facts_of(s), &got = out[0].facts;
          CHECK_EQ(got.flags, wanted.flags);
          CHECK_EQ(got.gso_type, wanted.gso_type);
          CHECK_EQ(got.gso_size, wanted.gso_size);
          CHECK_EQ(got.csum_start, wanted.csum_start);
          CHECK_EQ(got.csum_off, wanted.csum_off);
          CHECK_EQ(got.hdr_len, s.headers());
        }
}

TEST(gro_makes_super_frames_of_tunnelled_packets) {
  for (const bool tcp : {true, false})
    for (const int outer : {4, 6})
      for (const int version : {4, 6})
        for (const bool csum : {true, false}) {
          Shape s = shape_of(tcp, version, 1400 * 20 + 5, 1400);
          s.tunnel = true;
          s.tunnel_csum = csum;
          s.outer.version = outer;
          s.inner_vlans = 1;
          const std::vector<Packet> in = pieces(s), out = merge(in);
          merges_to(in, 1);
          CHECK_EQ(out[0].facts.gso_type, facts_of(s).gso_type);
          CHECK_EQ(out[0].facts.flags, facts_of(s).flags);
          CHECK_EQ(out[0].facts.outer_th, s.outer_th());
          CHECK_EQ(out[0].facts.inner_nh, s.nh());
        }
}

TEST(gro_keeps_to_the_largest_packet_and_to_64_of_udp) {
  merges_to(pieces(shape_of(true, 4, 1448 * 45, 1448)), 1);
  std::vector<Packet> many;
  for (uint32_t i = 0; i < 60; i++) {
    Shape s = shape_of(true, 4, 1448, 1448);
    s.seq = 0xffffe000 + i * 1448;
    s.ip.id = static_cast<uint16_t>(i);
    many.push_back(pieces(s)[0]);
  }
  // 65,535 bytes of IP hold 45 segments.
  merges_to(many, 2);
  merges_to(pieces(shape_of(false, 4, 18 * 64, 18)), 1);
  merges_to(pieces(shape_of(false, 4, 18 * 65, 18)), 2);
}

TEST(gro_ends_with_a_smaller_packet_and_never_takes_a_larger_one) {
  std::vector<Packet> in;
  uint16_t id = 0;
  for (const size_t payload : {100, 100, 50, 100, 120, 100}) {
    Shape s = shape_of(false, 4, payload, 2000);
    s.ip.id = id++;
    in.push_back(plain(cut({{build(s), facts_of(s)}})[0]));
  }
  // 100 100 50 | 100 | 120 100.
  merges_to(in, 3);
}

TEST(gro_ends_with_psh) {
  std::vector<Packet> in = pieces(shape_of(true, 4, 1000, 100));
  std::vector<Packet> pushed = in;
  for (const size_t at : {3, 9}) {
    // PSH, and the checksum less what the flag adds.
    pushed[at].bytes[14 + 20 + 13] |= 8;
    uint32_t sum = static_cast<uint32_t>(pushed[at].bytes[50] << 8 | pushed[at].bytes[51]);
    sum = static_cast<uint16_t>(~sum) + 8u;
    sum = static_cast<uint16_t>(~((sum >> 16) + sum));
    pushed[at].bytes[50] = static_cast<uint8_t>(sum >> 8);
    pushed[at].bytes[51] = static_cast<uint8_t>(sum);
  }
  merges_to(pushed, 2);
}

TEST(gro_leaves_alone_what_differs) {
  struct Case {
    const char* what;
    size_t at;
    uint8_t flip;
    bool ip;
  };
  // Every field of Ethernet, IPv4 and TCP that must be equal.
  const Case cases[] = {
      {"destination", 0, 4, false},
      {"source", 6, 4, false},
      {"tos", 15, 4, true},
      {"ECN", 15, 3, true},
      {"DF", 20, 0x40, true},
      {"ttl", 22, 1, true},
      {"acknowledgement", 45, 1, false},
      {"URG", 47, 0x20, false},
      {"ECE", 47, 0x40, false},
      {"CWR", 47, 0x80, false},
      {"FIN", 47, 1, false},
      {"SYN", 47, 2, false},
      {"RST", 47, 4, false},
      {"no ACK", 47, 0x10, false},
      {"window", 48, 1, false},
      {"urgent pointer", 53, 1, false},
      {"an option", 57, 1, false},
      {"NS", 46, 1, false},
      {"sequence", 41, 1, false},
      {"source port", 35, 1, false},
      {"source address", 29, 1, true},
  };
  for (const Case& c : cases) {
    Shape s = shape_of(true, 4, 600, 200);
    s.tcp_options = 12;
    std::vector<Packet> in = pieces(s);
    in[1].bytes[c.at] ^= c.flip;
    if (c.ip) put_ip4_checksum(&in[1].bytes, 14);
    // Its checksum is still to be made, so that it is not that which keeps it apart.
    in[1].facts.flags = kNeedsCsum;
    in[1].facts.csum_start = 34;
    in[1].facts.csum_off = 16;
    const std::vector<Packet> out = merge(in);
    CHECK(out.size() == 3);
    if (out.size() != 3) fprintf(stderr, "  %s: %zu frames\n", c.what, out.size());
  }
}

TEST(gro_takes_identifications_that_go_on_or_say_nothing) {
  std::vector<Packet> in = pieces(shape_of(false, 4, 90, 30));
  for (Packet& packet : in) {
    packet.bytes[18] = packet.bytes[19] = 0;
    put_ip4_checksum(&packet.bytes, 14);
  }
  CHECK_EQ(merge(in).size(), 1);
  for (Packet& packet : in) {
    packet.bytes[20] = 0;
    put_ip4_checksum(&packet.bytes, 14);
  }
  merges_to(in, 3);
  for (size_t i = 0; i < 3; i++) {
    in[i].bytes[19] = static_cast<uint8_t>(i);
    put_ip4_checksum(&in[i].bytes, 14);
  }
  merges_to(in, 1);
}

TEST(gro_verifies_checksums) {
  for (const bool tcp : {true, false})
    for (const bool tunnel : {true, false}) {
      Shape s = shape_of(tcp, 4, 600, 200);
      s.tunnel = tunnel;
      s.tunnel_csum = true;
      for (const size_t wrong : {s.headers() + 10, s.th() + s.field(), s.nh() + 10}) {
        std::vector<Packet> in = pieces(s);
        in[1].bytes[wrong] ^= 1;
        merges_to(in, 3);
        // Somebody else has looked at the transport checksum; of a tunnel's packet that is the outer one.
        in[1].facts.flags = kDataValid;
        if (!tunnel && wrong != s.nh() + 10) CHECK_EQ(merge(in).size(), 1);
        if (tunnel) CHECK_EQ(merge(in).size(), 3);
      }
      if (!tunnel) continue;
      std::vector<Packet> in = pieces(s);
      in[1].bytes[s.outer_th() + 6] ^= 1;
      CHECK_EQ(merge(in).size(), 3);
      in[1].bytes[s.outer_th() + 6] = in[1].bytes[s.outer_th() + 7] = 0;
      // No checksum among packets that have one.
      CHECK_EQ(merge(in).size(), 3);
    }
}

TEST(gro_takes_partial_checksums) {
  for (const bool tcp : {true, false}) {
    Shape s = shape_of(tcp, 4, 600, 200);
    std::vector<Packet> in = pieces(s);
    for (Packet& packet : in) {
      packet.facts.flags = kNeedsCsum;
      packet.facts.csum_start = static_cast<uint16_t>(s.th());
      packet.facts.csum_off = static_cast<uint16_t>(s.field());
      packet.bytes[s.th() + s.field()] ^= 0xff;
    }
    CHECK_EQ(merge(in).size(), 1);
    in[1].facts.csum_start++;
    CHECK_EQ(merge(in).size(), 3);
  }
  Shape s = shape_of(false, 4, 600, 200);
  std::vector<Packet> in = pieces(s);
  in[0].bytes[40] = in[0].bytes[41] = in[1].bytes[40] = in[1].bytes[41] = 0;
  // UDP without a checksum would get one.
  merges_to(in, 3);
}

TEST(gro_never_lets_a_packet_pass_an_earlier_one_of_its_flow) {
  const Shape s = shape_of(true, 4, 800, 100);
  std::vector<Packet> in = pieces(s);
  // A bare acknowledgement in between ends the super-frame.
  Shape ack = s;
  ack.payload = 0;
  in.insert(in.begin() + 4, plain(build(ack)));
  merges_to(in, 3);
  // So does a fragment, of which nobody knows the flow.
  in = pieces(s);
  Packet fragment = in[0];
  fragment.bytes[20] = 0x20;
  put_ip4_checksum(&fragment.bytes, 14);
  in.insert(in.begin() + 4, fragment);
  merges_to(in, 3);
  // And a super-frame of the kernel's.
  in = pieces(s);
  in.insert(in.begin() + 4, {build(s), facts_of(s)});
  merges_to(in, 3);
}

TEST(gro_keeps_flows_apart) {
  Random random(11);
  for (int round = 0; round < 50; round++) {
    const uint32_t flows = 1 + random.below(100);
    std::vector<std::vector<Packet>> from;
    for (uint32_t f = 0; f < flows; f++) {
      Shape s = shape_of(random.one_in(2), random.one_in(2) ? 4 : 6, 20 + random.below(400), 20);
      s.tunnel = random.one_in(2);
      std::vector<Packet> packets = pieces(s);
      for (Packet& packet : packets) {
        // Another source port, for which the checksum's field makes up.
        const size_t th = s.th(), field = th + s.field();
        const auto word = [&](size_t at) {
          return static_cast<uint32_t>(packet.bytes[at] << 8 | packet.bytes[at + 1]);
        };
        const uint32_t was = word(th), now = 1000 + f;
        uint32_t sum = static_cast<uint16_t>(~word(field)) + static_cast<uint16_t>(~was) + now;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = static_cast<uint16_t>(~((sum & 0xffff) + (sum >> 16)));
        packet.bytes[th] = static_cast<uint8_t>(now >> 8);
        packet.bytes[th + 1] = static_cast<uint8_t>(now);
        packet.bytes[field] = static_cast<uint8_t>(sum >> 8);
        packet.bytes[field + 1] = static_cast<uint8_t>(sum);
      }
      from.push_back(packets);
    }
    std::vector<Packet> in;
    std::map<Bytes, std::pair<uint32_t, size_t>> known;
    std::vector<size_t> next(flows, 0);
    while (in.size() < 256) {
      const uint32_t f = random.below(flows);
      if (next[f] == from[f].size()) {
        if (random.one_in(50)) break;
        continue;
      }
      known[from[f][next[f]].bytes] = {f, next[f]};
      in.push_back(from[f][next[f]++]);
    }
    const std::vector<Packet> merged = merge(in);
    const std::vector<Bytes> out = cut(merged);
    CHECK_EQ(out.size(), in.size());
    std::vector<size_t> seen(flows, 0);
    for (const Bytes& frame : out) {
      const auto it = known.find(frame);
      CHECK(it != known.end());
      if (it == known.end()) continue;
      CHECK_EQ(it->second.second, seen[it->second.first]++);
    }
  }
}

TEST(fuzz_gro_gives_back_the_packets_that_it_took) {
  Random random(12);
  const char* more = getenv("TAPSWITCH_FUZZ_FACTOR");
  const int rounds = 3000 * (more != nullptr ? std::max(1, atoi(more)) : 1);
  size_t taken = 0;
  for (int round = 0; round < rounds; round++) {
    std::vector<Packet> in;
    for (uint32_t flow = 0; flow < 3; flow++) {
      Shape s = shape_of(random.one_in(2), random.one_in(2) ? 4 : 6, random.below(600), 10 + random.below(200));
      s.vlans = static_cast<int>(random.below(3));
      s.tunnel = random.one_in(2);
      s.tunnel_csum = random.one_in(2);
      s.outer.version = random.one_in(2) ? 4 : 6;
      s.tcp_options = random.below(3) * 4;
      s.ip.extra = random.one_in(8) ? 8 : 0;
      s.ip.id = static_cast<uint16_t>(random.next());
      const std::vector<Packet> some = pieces(s);
      in.insert(in.end(), some.begin(), some.end());
    }
    for (Packet& packet : in) {
      if (!random.one_in(4)) continue;
      if (random.one_in(3)) {
        packet.bytes.resize(random.below(static_cast<uint32_t>(packet.bytes.size()) + 1));
      } else {
        const uint32_t where = random.below(static_cast<uint32_t>(std::min<size_t>(packet.bytes.size(), 120)));
        packet.bytes[where] = static_cast<uint8_t>(random.next() >> 30);
      }
      if (random.one_in(4)) packet.facts.flags = kDataValid;
    }
    in.erase(std::remove_if(in.begin(), in.end(), [](const Packet& p) { return p.bytes.size() < 14; }), in.end());
    const std::vector<Packet> merged = merge(in);
    taken += in.size() - merged.size();
    std::vector<Bytes> out = cut(merged), before;
    for (const Packet& packet : in) before.push_back(packet.bytes);
    // All of the outer and inner identifications that may stand in these shapes.
    const auto normal = [](std::vector<Bytes>* frames) {
      for (Bytes& frame : *frames) {
        for (const size_t vlans : {0, 4, 8}) frame = atomic(frame, 14 + vlans);
        for (const size_t outer : {20, 40})
          for (const size_t vlans : {0, 4, 8}) frame = atomic(frame, 14 + vlans + outer + 16 + 14);
        // A checksum that was wrong and vouched for is right now; it is not what is compared here.
      }
      std::sort(frames->begin(), frames->end());
    };
    bool vouched = false;
    for (const Packet& packet : in) vouched = vouched || packet.facts.flags != 0;
    if (vouched) {
      CHECK_EQ(out.size(), before.size());
      continue;
    }
    normal(&out);
    normal(&before);
    CHECK(out == before);
  }
  CHECK(taken > 5000);
}
