#include "../vnet.h"

#include <cstring>

#include "check.h"

using namespace ts;

TEST(vnet_header_of_24_bytes_survives_a_round_trip) {
  const VnetFacts in = {kNeedsCsum | kTunnelCsum, kGsoTcp6 | kGsoTunnel4 | kGsoEcn, 134, 1400, 114, 16, 34, 64};
  uint8_t header[24];
  emit_vnet(header, 24, in);
  VnetFacts out;
  CHECK(parse_vnet(header, 24, 60000, &out));
  CHECK(memcmp(&in, &out, sizeof in) == 0);
  const uint8_t wanted[24] = {9, 0xa4, 134, 0, 0x78, 5, 114, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 34, 0, 64, 0};
  CHECK(memcmp(header, wanted, sizeof wanted) == 0);
}

TEST(vnet_short_headers_write_no_more_than_their_length) {
  const VnetFacts facts = {kNeedsCsum, kGsoTcp4, 66, 1448, 34, 16, 34, 64};
  for (const int size : {10, 12}) {
    uint8_t header[24];
    memset(header, 0xee, sizeof header);
    emit_vnet(header, size, facts);
    CHECK_EQ(header[size], 0xee);
    VnetFacts out;
    CHECK(parse_vnet(header, size, 3000, &out));
    CHECK_EQ(out.gso_size, 1448);
    CHECK_EQ(out.outer_th, 0);
  }
}

TEST(vnet_checksum_must_lie_within_the_frame) {
  VnetFacts facts = {kNeedsCsum, kGsoNone, 0, 0, 34, 16, 0, 0};
  CHECK(vnet_plausible(facts, 52));
  CHECK(!vnet_plausible(facts, 51));
  facts.csum_start = 0xffff;
  facts.csum_off = 0xffff;
  CHECK(!vnet_plausible(facts, 65535));
  facts.flags = 0;
  CHECK(vnet_plausible(facts, 14));
}

TEST(vnet_types_that_are_unknown_or_without_a_size) {
  for (int type = 0; type < 256; type++) {
    const uint8_t base = type & 0x1f, tunnel = type & 0x60;
    const bool known = base == 1 || base == 4 || base == 5 || (base == 3 && tunnel == 0) || (base == 0 && tunnel == 0);
    VnetFacts facts = {kNeedsCsum, static_cast<uint8_t>(type), 0, 1000, 84, 16, 34, 64};
    CHECK_EQ(vnet_plausible(facts, 200), known && tunnel != 0x60);
    facts.gso_size = 0;
    CHECK_EQ(vnet_plausible(facts, 200), base == 0 && tunnel == 0);
  }
}

TEST(vnet_tunnel_offsets_must_be_in_order) {
  VnetFacts facts = {kNeedsCsum, kGsoTcp4 | kGsoTunnel4, 0, 1000, 84, 16, 34, 64};
  CHECK(vnet_plausible(facts, 200));
  facts.inner_nh = 41;
  CHECK(!vnet_plausible(facts, 200));
  facts.inner_nh = 84;
  CHECK(!vnet_plausible(facts, 200));
  facts.inner_nh = 64;
  facts.flags = 0;
  CHECK(!vnet_plausible(facts, 200));
}

TEST(vnet_tunnel_type_needs_the_long_header) {
  const VnetFacts facts = {kNeedsCsum, kGsoTcp4 | kGsoTunnel4, 0, 1000, 84, 16, 34, 64};
  uint8_t header[24];
  emit_vnet(header, 12, facts);
  VnetFacts out;
  CHECK(!parse_vnet(header, 12, 200, &out));
}

TEST(vnet_length_hint_is_cut_to_the_frame) {
  const VnetFacts facts = {0, kGsoNone, 4000, 0, 0, 0, 0, 0};
  uint8_t header[10];
  emit_vnet(header, 10, facts);
  VnetFacts out;
  CHECK(parse_vnet(header, 10, 60, &out));
  CHECK_EQ(out.hdr_len, 60);
}
