#include "../checksum.h"

#include "super_frame.h"

using namespace ts;
using ts_test::Bytes;

TEST(checksum_of_the_rfc_example) {
  // RFC 1071 section 3.
  const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  CHECK_EQ(csum_fold(csum_add(bytes, sizeof bytes, 0)), 0xddf2);
}

TEST(checksum_agrees_with_the_slow_one_at_every_length_and_alignment) {
  ts_test::Random random(1);
  Bytes bytes(400);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.next() >> 40);
  for (size_t off = 0; off < 17; off++) {
    for (size_t len = 0; len + off <= bytes.size(); len++) {
      const uint32_t initial = random.below(0x20000);
      const uint16_t slow = ts_test::slow_fold(uint64_t{ts_test::slow_sum(&bytes[off], len)} + initial);
      const uint16_t fast = csum_fold(csum_add(&bytes[off], len, initial));
      CHECK_EQ(fast, slow);
    }
  }
}

TEST(checksum_keeps_every_carry) {
  const Bytes ones(65536, 0xff);
  CHECK_EQ(csum_fold(csum_add(ones.data(), ones.size(), 0)), 0xffff);
  CHECK_EQ(csum_fold(csum_add(ones.data(), ones.size(), 0xffffffff)), 0xffff);
  const uint8_t two[] = {0, 2};
  CHECK_EQ(csum_fold(csum_add(two, 2, 0xffffffff)), 2);
}

TEST(checksum_reads_nothing_of_an_empty_range) { CHECK_EQ(csum_add(nullptr, 0, 77), 77); }

TEST(checksum_zero_is_sent_as_ffff_by_udp_alone) {
  CHECK_EQ(csum_finish(0xffff, true), 0xffff);
  CHECK_EQ(csum_finish(0xffff, false), 0);
  CHECK_EQ(csum_finish(0x1234, true), 0xedcb);
}
