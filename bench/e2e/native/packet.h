// What the splices that coalesce and cut need of Ethernet, IPv4, TCP and UDP. Multi-byte fields are in network order, sums in the order of memory.
#pragma once
#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bench {

constexpr size_t kEthernet = 14;

inline uint16_t Get16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t Get32(const uint8_t* p) { return static_cast<uint32_t>(Get16(p)) << 16 | Get16(p + 2); }
inline void Put16(uint8_t* p, size_t value) {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}
inline void Put32(uint8_t* p, uint32_t value) {
  Put16(p, value >> 16);
  Put16(p + 2, value & 0xffff);
}
inline void PutSum(uint8_t* p, uint16_t sum) { memcpy(p, &sum, sizeof sum); }

inline uint16_t Fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// RFC 1071, not complemented. The loop over 32-bit words is what the compiler makes vectors of.
inline uint16_t Sum(const uint8_t* p, size_t length, uint64_t sum = 0) {
  const size_t words = length / 4;
  for (size_t i = 0; i < words; i++) {
    uint32_t word;
    memcpy(&word, p + 4 * i, 4);
    sum += word;
  }
  p += 4 * words;
  length -= 4 * words;
  if (length >= 2) {
    uint16_t half;
    memcpy(&half, p, 2);
    sum += half;
    p += 2;
    length -= 2;
  }
  if (length != 0) sum += *p;
  return Fold(sum);
}

// Where the layers of an unfragmented IPv4 packet with TCP or UDP stand in its frame.
struct Layers {
  size_t transport;
  size_t payload;
  bool tcp;

  size_t ChecksumOffset() const { return tcp ? 16 : 6; }
};

// False when the frame is anything else.
inline bool Parse(const uint8_t* frame, size_t length, Layers* layers) {
  if (length < kEthernet + 28 || Get16(frame + 12) != 0x0800 || frame[14] >> 4 != 4) return false;
  if ((Get16(frame + 20) & 0x3fff) != 0 || (frame[23] != IPPROTO_TCP && frame[23] != IPPROTO_UDP)) return false;
  layers->tcp = frame[23] == IPPROTO_TCP;
  layers->transport = kEthernet + static_cast<size_t>(frame[14] & 15) * 4;
  if (length < layers->transport + (layers->tcp ? 20 : 8)) return false;
  layers->payload = layers->transport + (layers->tcp ? static_cast<size_t>(frame[layers->transport + 12] >> 4) * 4 : 8);
  return layers->payload <= length && Get16(frame + 16) + kEthernet >= layers->payload &&
         Get16(frame + 16) + kEthernet <= length;
}

inline uint16_t PseudoSum(const uint8_t* frame, size_t transport_length) {
  return Sum(frame + 26, 8, static_cast<uint64_t>(htons(frame[23])) + htons(static_cast<uint16_t>(transport_length)));
}

inline uint16_t Complement(uint16_t sum) { return static_cast<uint16_t>(~sum); }

// Length and header checksum of the IPv4 packet that ends at `length`.
inline void CloseIpv4(uint8_t* frame, size_t length) {
  Put16(frame + 16, length - kEthernet);
  Put16(frame + 24, 0);
  PutSum(frame + 24, Complement(Sum(frame + 14, static_cast<size_t>(frame[14] & 15) * 4)));
}

}  // namespace bench
