#include "checksum.h"

#include <cstring>

namespace ts {
namespace {

// Two 64-bit lanes: what every x86-64 and arm64 has in one register.
typedef uint64_t Lanes __attribute__((vector_size(16)));

Lanes load(const uint8_t* p) {
  Lanes out;
  memcpy(&out, p, sizeof out);
  return out;
}

// Sums of 32-bit halves: 64-bit lanes cannot overflow before 2^32 of them, so no carry has to be looked at in the loop.
Lanes halves(Lanes v) { return (v & 0xffffffffu) + (v >> 32); }

constexpr size_t kBlock = 64;

}  // namespace

uint16_t csum_fold(uint32_t sum) {
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(sum + (sum >> 16));
}

uint32_t csum_add(const uint8_t* bytes, size_t len, uint32_t initial) {
  // Words are added as this machine reads them; RFC 1071 section 2(B): swapping the result is the same as swapping each
  // word.
  uint64_t sum = 0;
  if (len >= kBlock) {
    Lanes a = {0, 0}, b = {0, 0};
    for (; len >= kBlock; bytes += kBlock, len -= kBlock) {
      a += halves(load(bytes)) + halves(load(bytes + 16));
      b += halves(load(bytes + 32)) + halves(load(bytes + 48));
    }
    a += b;
    sum = halves(a)[0] + halves(a)[1];
  }
  for (; len >= 4; bytes += 4, len -= 4) {
    uint32_t word;
    memcpy(&word, bytes, 4);
    sum += word;
  }
  if (len > 0) {
    uint32_t word = 0;
    memcpy(&word, bytes, len);
    sum += word;
  }
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  uint64_t words = csum_fold(static_cast<uint32_t>(sum));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  words = __builtin_bswap16(static_cast<uint16_t>(words));
#endif
  words += initial;
  return static_cast<uint32_t>(words + (words >> 32));
}

uint16_t csum_finish(uint32_t sum, bool zero_is_none) {
  const uint16_t value = static_cast<uint16_t>(~csum_fold(sum));
  return value == 0 && zero_is_none ? 0xffff : value;
}

}  // namespace ts
