// A TAP whose kernel side lives in a namespace, opened with virtio-net headers and the best offloads that the kernel takes.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bench {

// struct virtio_net_hdr_v1_hash_tunnel, little endian (linux/virtio_net.h, 6.17): 10 bytes of struct virtio_net_hdr, then what tunnels need.
struct [[gnu::packed]] VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_length;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
  uint16_t buffers;
  uint32_t hash;
  uint16_t hash_report;
  uint16_t padding;
  uint16_t outer_transport;
  uint16_t inner_network;
};
static_assert(sizeof(VnetHeader) == 24);

constexpr uint8_t kNeedsChecksum = 1;
constexpr uint8_t kDataValid = 2;
constexpr uint8_t kGsoTcp4 = 1;
constexpr uint8_t kGsoUdp = 5;
constexpr uint8_t kGsoTunnel4 = 0x20;
constexpr uint8_t kGsoTunnel6 = 0x40;
constexpr uint8_t kGsoEcn = 0x80;

constexpr size_t kHeadroom = 128;
constexpr size_t kFrame = 65536 + 256;

struct Tap {
  int fd;
  // Bytes of VnetHeader that stand before each frame.
  size_t header;
  // Takes and gives frames with tunnel segmentation.
  bool tunnel;
};

[[noreturn]] void Die(const char* what);

// `tunnel`: ask for UDP tunnel segmentation, which kernels before 6.17 refuse. `queue`: one of several queues of the link, of which each call adds one.
Tap OpenTap(const char* netns, const char* link, bool tunnel, bool queue = false);

// Length of the frame at `frame`, or 0 when there is none.
size_t ReadFrame(const Tap& tap, VnetHeader* header, uint8_t* frame);

// A full queue loses the frame, as a switch would.
void WriteFrame(const Tap& tap, const VnetHeader& header, const uint8_t* frame, size_t length);

}  // namespace bench
