// The Internet checksum (RFC 1071). Sums are numbers of 16-bit big-endian words, as they are read in a header.
// Pure: no Node, no system calls.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ts {

/// Adds `len` bytes to `initial`, modulo 2^32 - 1, which a later fold cannot tell from the full sum. An odd last byte
/// counts as if a zero byte followed: only the last call of a chain may have an odd length.
uint32_t csum_add(const uint8_t* bytes, size_t len, uint32_t initial);

/// The sum in 16 bits, not complemented.
uint16_t csum_fold(uint32_t sum);

/// What a header's field gets for a finished sum. `zero_is_none`: UDP, where 0 says that there is no checksum (RFC 768)
/// and 0xffff, its equal, is sent instead.
uint16_t csum_finish(uint32_t sum, bool zero_is_none);

}  // namespace ts
