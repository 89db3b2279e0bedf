// Batch transmit: frames from slots to a descriptor. Called by workers in their loop; allocates nothing, leaves the
// slots unchanged.
#include "batch_tx.h"

#include <linux/if_tun.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "checksum.h"
#include "context.h"
#include "join.h"
#include "layout.h"
#include "pack.h"
#include "segment.h"
#include "slot_frame.h"
#include "vnet.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef TUN_F_UDP_TUNNEL_GSO
#define TUN_F_UDP_TUNNEL_GSO 0x080
#define TUN_F_UDP_TUNNEL_GSO_CSUM 0x100
#endif

namespace ts {
namespace {

constexpr size_t kEthernet = 14;
constexpr size_t kMaxIp = 65535;

struct Device {
  int fd, kind, header;
  uint32_t offloads;
};

// Version of the IP header that carries the inner (or only) transport header; 0 when there is none to be seen.
int ip_version(const SlotFrame& frame) {
  size_t nh = frame.facts.inner_nh;
  if ((frame.facts.gso_type & kGsoTunnel) == 0 && !find_network(frame.bytes, frame.len, &nh)) return 0;
  return nh < frame.len ? frame.bytes[nh] >> 4 : 0;
}

// Whether the device takes the frame as it is, with its facts in the virtio-net header.
bool device_takes(const Device& device, const SlotFrame& frame) {
  const VnetFacts& facts = frame.facts;
  if (!needs_cutter(facts)) return true;
  if (device.header == 0) return false;
  uint32_t needs = 0;
  if ((facts.flags & kNeedsCsum) != 0) {
    needs |= TUN_F_CSUM;
  } else if ((facts.flags & kDataValid) == 0) {
    // A super-frame whose checksum is neither to be made nor vouched for: only we make it right.
    return false;
  }
  if ((facts.gso_type & kGsoEcn) != 0) needs |= TUN_F_TSO_ECN;
  switch (gso_base(facts.gso_type)) {
    case kGsoTcp4:
      needs |= TUN_F_TSO4;
      break;
    case kGsoTcp6:
      needs |= TUN_F_TSO6;
      break;
    case kGsoUdpL4:
      needs |= ip_version(frame) == 6 ? TUN_F_USO6 : TUN_F_USO4;
      break;
    case kGsoUfo:
      return false;
  }
  if ((facts.gso_type & kGsoTunnel) != 0) {
    // Encapsulated, a super-frame may have outgrown the length field of the outer IP header, by which a receiver would cut it.
    if (device.header < kVnetMax || frame.len - kEthernet > kMaxIp) return false;
    needs |= TUN_F_UDP_TUNNEL_GSO;
    if ((facts.flags & kTunnelCsum) != 0) needs |= TUN_F_UDP_TUNNEL_GSO_CSUM;
  }
  return (needs & ~device.offloads) == 0;
}

// errno of one frame's write, or 0.
int write_frame(const Device& device, iovec* parts, int count) {
  for (;;) {
    ssize_t n;
    if (device.kind == KIND_PACKET) {
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = static_cast<size_t>(count);
      n = sendmsg(device.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
      n = writev(device.fd, parts, count);
    }
    if (n >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

void count_error(int error, int32_t* result) {
  if (error == EAGAIN || error == ENOBUFS) {
    result[TX_FULL]++;
  } else {
    result[TX_ERROR]++;
    result[TX_ERRNO] = error;
  }
}

void send_whole(const Device& device, const SlotFrame& frame, int32_t* result) {
  uint8_t header[kVnetMax];
  iovec parts[2];
  int count = 0;
  if (device.header > 0) {
    VnetFacts facts = frame.facts;
    // The kernel refuses a hint that is longer than the frame.
    facts.hdr_len = static_cast<uint16_t>(std::min<size_t>(facts.hdr_len, frame.len));
    emit_vnet(header, device.header, facts);
    parts[count++] = {header, static_cast<size_t>(device.header)};
  }
  parts[count++] = {frame.bytes, frame.len};
  const int error = write_frame(device, parts, count);
  if (error != 0)
    count_error(error, result);
  else
    result[TX_WRITES]++;
}

void send_cut(const Device& device, const SlotFrame& frame, Cutter* cutter, int32_t* result) {
  if (!cutter->begin(frame.bytes, frame.len, frame.facts)) {
    result[TX_MALFORMED]++;
    return;
  }
  uint8_t plain[kVnetMax] = {};
  iovec parts[1 + WireFrame::kParts];
  parts[0] = {plain, static_cast<size_t>(device.header)};
  for (WireFrame wire; cutter->next(&wire);) {
    for (int i = 0; i < wire.count; i++) parts[1 + i] = {const_cast<uint8_t*>(wire.parts[i].at), wire.parts[i].len};
    const int skip = device.header == 0 ? 1 : 0;
    const int error = write_frame(device, parts + skip, 1 + wire.count - skip);
    if (error != 0) {
      count_error(error, result);
      return;
    }
    result[TX_WRITES]++;
  }
}

bool device_segments_udp(const Device& device, uint8_t version) {
  const uint32_t needs = TUN_F_CSUM | (version == 4 ? TUN_F_USO4 : TUN_F_USO6);
  return device.header > 0 && (needs & ~device.offloads) == 0;
}

// Whether the device takes the frame's segments packed into outer UDP super-frames.
bool device_takes_packed(const Device& device, const SlotFrame& frame) {
  const VnetFacts& facts = frame.facts;
  if ((facts.gso_type & kGsoTunnel) == 0 || (facts.flags & kTunnelCsum) == 0) return false;
  return device_segments_udp(device, (facts.gso_type & kGsoTunnel4) != 0 ? 4 : 6);
}

// errno of the write, or 0.
int write_packed(const Device& device, const PackedFrame& packed) {
  uint8_t header[kVnetMax];
  iovec parts[1 + PackedFrame::kParts];
  emit_vnet(header, device.header, packed.facts);
  parts[0] = {header, static_cast<size_t>(device.header)};
  for (int i = 0; i < packed.count; i++) parts[1 + i] = {const_cast<uint8_t*>(packed.parts[i].at), packed.parts[i].len};
  return write_frame(device, parts, 1 + packed.count);
}

// False, and nothing sent, if the frame cannot be packed.
bool send_packed(const Device& device, const SlotFrame& frame, Packer* packer, int32_t* result) {
  if (!packer->begin(frame.bytes, frame.len, frame.facts)) return false;
  for (PackedFrame packed; packer->next(&packed);) {
    const int error = write_packed(device, packed);
    if (error != 0) {
      count_error(error, result);
      return true;
    }
    result[TX_WRITES]++;
  }
  return true;
}

// Sends the frame along with those behind it that can be joined to it; `next(i, &frame)` reads the i-th. Returns how many these are: with none, nothing is sent.
template <typename Next>
int32_t send_joined(const Device& device, const SlotFrame& frame, const Next& next, Joiner* joiner, int32_t* result) {
  if (!joiner->begin(frame) || !device_segments_udp(device, joiner->version())) return 0;
  int32_t more = 0;
  for (SlotFrame other; next(more + 1, &other) && joiner->add(other);) more++;
  if (more == 0) return 0;
  PackedFrame packed;
  joiner->finish(&packed);
  const int error = write_packed(device, packed);
  if (error == 0) result[TX_WRITES]++;
  for (int32_t i = 0; error != 0 && i <= more; i++) count_error(error, result);
  return more;
}

// A slot's metadata, or null with a RangeError.
int32_t* slot_meta(Args* args, int32_t* meta, size_t words, int32_t slot) {
  if (!args->ok()) return nullptr;
  if (slot >= 0 && static_cast<size_t>(slot) < words / META_WORDS) return meta + static_cast<size_t>(slot) * META_WORDS;
  args->Range("slot " + std::to_string(slot) + ": 0 to " + std::to_string(words / META_WORDS) + " exclusive expected");
  return nullptr;
}

}  // namespace

namespace {

constexpr char kTxContext[] = "a context of txOpen";

struct TxContext : Context {
  TxContext() : Context(kTxContext) {}
  Device device;
  uint8_t* bytes;
  int32_t *meta, *result;
  const int32_t *slots, *tunnels;
  size_t length, words, slots_length, tunnels_length;
};

}  // namespace

napi_value TxOpen(napi_env env, napi_callback_info info) {
  Args args(env, info, 9);
  auto context = std::make_unique<TxContext>();
  TxContext& c = *context;
  c.device = {args.Int(0), args.Int(1), args.Int(2), static_cast<uint32_t>(args.Int(3))};
  size_t result_length;
  c.bytes = args.Bytes(4, &c.length);
  c.meta = args.Ints(5, &c.words);
  c.slots = args.Ints(6, &c.slots_length);
  c.result = args.Ints(7, &result_length, TX_RESULT_WORDS);
  c.tunnels = args.Ints(8, &c.tunnels_length, 1);
  const int header = c.device.header;
  if (header != 0 && header != 10 && header != 12 && header != 24) args.Range("vnetHdr: 0, 10, 12 or 24 expected");
  if (!args.ok()) return nullptr;
  return MakeContext(env, std::move(context), {args.at(4), args.at(5), args.at(6), args.at(7), args.at(8)});
}

napi_value TxBatch(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  const TxContext* const context = static_cast<TxContext*>(GetContext(&args, 0, kTxContext));
  const int32_t from = args.Int(1), n = args.Int(2);
  if (!args.ok()) return nullptr;
  const TxContext& c = *context;
  const Device& device = c.device;
  uint8_t* const bytes = c.bytes;
  int32_t *const meta = c.meta, *const result = c.result;
  const int32_t* const slots = c.slots;
  const size_t length = c.length;
  if (from < 0 || n < 0 || static_cast<size_t>(from) + static_cast<size_t>(n) > c.slots_length)
    args.Range("from, n: a part of slots expected");
  for (int32_t i = 0; args.ok() && i < n; i++) slot_meta(&args, meta, c.words, slots[from + i]);
  if (!args.ok()) return nullptr;
  memset(result, 0, TX_RESULT_WORDS * sizeof *result);

  Cutter cutter;
  Packer packer;
  const TunnelPorts tunnels = listed_ports(c.tunnels, c.tunnels_length);
  Joiner joiner(tunnels);
  const bool joins = tunnels.count > 0 && (device_segments_udp(device, 4) || device_segments_udp(device, 6));
  const auto read = [&](int32_t i, SlotFrame* frame) {
    const int32_t* m = meta + static_cast<size_t>(slots[from + i]) * META_WORDS;
    return read_slot(bytes, length, m, frame) && frame->len >= kEthernet && vnet_plausible(frame->facts, frame->len);
  };
  for (int32_t i = 0; i < n; i++) {
    SlotFrame frame;
    if (!read(i, &frame)) {
      result[TX_MALFORMED]++;
      continue;
    }
    const auto next = [&](int32_t k, SlotFrame* other) { return i + k < n && read(i + k, other); };
    const int32_t joined = joins && i + 1 < n ? send_joined(device, frame, next, &joiner, result) : 0;
    if (joined > 0) {
      i += joined;
    } else if (device_takes(device, frame)) {
      send_whole(device, frame, result);
    } else if (!device_takes_packed(device, frame) || !send_packed(device, frame, &packer, result)) {
      send_cut(device, frame, &cutter, result);
    }
  }
  return MakeUndefined(env);
}

napi_value Checksum(napi_env env, napi_callback_info info) {
  Args args(env, info, 4);
  size_t length;
  const uint8_t* bytes = args.Bytes(0, &length);
  const int32_t off = args.Int(1), len = args.Int(2), initial = args.Int(3);
  if (off < 0 || len < 0 || static_cast<size_t>(off) + static_cast<size_t>(len) > length)
    args.Range("off, len: a part of bytes expected");
  if (!args.ok()) return nullptr;
  const uint32_t sum = csum_add(bytes + off, static_cast<size_t>(len), static_cast<uint32_t>(initial));
  return MakeInt(env, csum_fold(sum));
}

napi_value CompleteChecksum(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  size_t length, words;
  uint8_t* bytes = args.Bytes(0, &length);
  int32_t* meta = args.Ints(1, &words);
  int32_t* m = slot_meta(&args, meta, words, args.Int(2));
  if (m == nullptr) return nullptr;
  SlotFrame frame;
  const bool valid = read_slot(bytes, length, m, &frame) && complete_checksum(frame.bytes, frame.len, frame.facts);
  if (valid) m[M_VFLAGS] &= ~VNET_F_NEEDS_CSUM;
  napi_value out = nullptr;
  napi_get_boolean(env, valid, &out);
  return out;
}

napi_value Segment(napi_env env, napi_callback_info info) {
  Args args(env, info, 5);
  size_t length, words, room, most;
  uint8_t* bytes = args.Bytes(0, &length);
  int32_t* meta = args.Ints(1, &words);
  const int32_t* m = slot_meta(&args, meta, words, args.Int(2));
  uint8_t* out = args.Bytes(3, &room);
  int32_t* lens = args.Ints(4, &most);
  if (!args.ok()) return nullptr;
  SlotFrame frame;
  Cutter cutter;
  if (!read_slot(bytes, length, m, &frame) || !cutter.begin(frame.bytes, frame.len, frame.facts))
    return MakeInt(env, -1);
  size_t count = 0, used = 0;
  for (WireFrame wire; cutter.next(&wire);) {
    if (count == most || wire.len > room - used) return MakeInt(env, -1);
    for (int i = 0; i < wire.count; i++) {
      memcpy(out + used, wire.parts[i].at, wire.parts[i].len);
      used += wire.parts[i].len;
    }
    lens[count++] = static_cast<int32_t>(wire.len);
  }
  return MakeInt(env, static_cast<int32_t>(count));
}

}  // namespace ts
