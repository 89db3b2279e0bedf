// Batch receive: frames from a descriptor into slots. Called by workers in their loop; allocates nothing.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "context.h"
#include "functions.h"
#include "gro.h"
#include "layout.h"
#include "napi.h"
#include "unpack.h"
#include "vnet.h"

namespace ts {
namespace {

constexpr size_t kSmallRoom = SMALL_SIZE - HEADROOM;
constexpr size_t kBigRoom = BIG_SIZE - HEADROOM;
constexpr size_t kEthernet = 14;
constexpr int kMaxHeader = 24;
// Reads for each place in `out`: super-frames of that many packets, on average, fill a batch. The more are read, the more find one of their flow.
constexpr int32_t kReadsPerFrame = 8;
// A batch of super-frames ends here, so that they are written while they are still in the second-level cache.
constexpr size_t kMostBytes = 512 * 1024;
static_assert(RX_SPARE >= Unpacker::kMostUnits);
static_assert(HEADROOM >= kMaxHeader);

// The arena, and the metadata of its slots.
struct Memory {
  uint8_t* bytes;
  size_t length;
  int32_t* meta;
  size_t slots;

  int32_t* Meta(int32_t slot) const { return meta + static_cast<size_t>(slot) * META_WORDS; }
  // Where frames begin in a slot, or null if the slot or its constants are not what they must be.
  uint8_t* Room(int32_t slot, int32_t size) const {
    if (slot < 0 || static_cast<size_t>(slot) >= slots) return nullptr;
    const int32_t* m = Meta(slot);
    if (m[M_SIZE] != size || m[M_BASE] < 0 || static_cast<size_t>(m[M_BASE]) + size > length) return nullptr;
    return bytes + m[M_BASE] + HEADROOM;
  }
};

// Free slots of one class, last in first out.
class Stack {
 public:
  Stack(const Memory& memory, int32_t* slots, int32_t free, int32_t size)
      : memory_(memory), slots_(slots), all_(free), free_(free), size_(size) {}

  bool empty() const { return free_ <= 0; }
  int32_t top() const { return slots_[free_ - 1]; }
  // Null when the slot on top lies outside of the arena.
  uint8_t* room() const { return memory_.Room(top(), size_); }
  int32_t Take() { return slots_[--free_]; }
  void Give(int32_t slot) { slots_[free_++] = slot; }
  int32_t used() const { return all_ - free_; }

 private:
  const Memory& memory_;
  int32_t* slots_;
  const int32_t all_;
  int32_t free_;
  const int32_t size_;
};

// One datagram: how much of it found room, or -1 with errno. `tag` gets tpid << 16 | tci of a VLAN tag that the kernel took out of the frame; `skip` tells that our
// own host sent the frame.
ssize_t ReceivePacket(int fd, void* to, size_t room, uint32_t* tag, bool* skip) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
  sockaddr_ll from{};
  iovec vector{to, room};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
  if (n < 0) return n;
  *skip = from.sll_pkttype == PACKET_OUTGOING;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata aux;
    memcpy(&aux, CMSG_DATA(c), sizeof aux);
    if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0) continue;
    const uint32_t tpid = (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? aux.tp_vlan_tpid : 0x8100u;
    *tag = tpid << 16 | aux.tp_vlan_tci;
  }
  return n;
}

void StoreFacts(int32_t* m, const VnetFacts& facts, int32_t shift) {
  m[M_VFLAGS] = facts.flags;
  m[M_GSO_TYPE] = facts.gso_type;
  m[M_GSO_SIZE] = facts.gso_size;
  m[M_HDR_LEN] = facts.hdr_len != 0 ? facts.hdr_len + shift : 0;
  m[M_CSUM_START] = (facts.flags & VNET_F_NEEDS_CSUM) != 0 ? facts.csum_start + shift : 0;
  m[M_CSUM_OFF] = facts.csum_off;
  m[M_OUTER_TH] = facts.outer_th != 0 ? facts.outer_th + shift : 0;
  m[M_INNER_NH] = facts.inner_nh != 0 ? facts.inner_nh + shift : 0;
}

// The frames of one batch, and the super-frames that grow of them.
class Batch {
 public:
  Batch(const Memory& memory, Stack* small, Stack* big, const TunnelPorts& ports, int32_t port, int32_t* out,
        int32_t* result)
      : memory_(memory),
        small_(small),
        big_(big),
        gro_(ports),
        ports_(ports),
        port_(port),
        out_(out),
        result_(result) {}

  int32_t frames() const { return frames_; }

  // A frame that stands in the slot on top of `stack`, from that one's beginning; it moves to a small one if it can. `tag`: a VLAN tag to put into it, or 0. Where it is then.
  uint8_t* Deliver(Stack* stack, uint8_t* at, size_t len, const VnetFacts& facts, uint32_t tag) {
    uint8_t* const small_at = stack == big_ && len <= kSmallRoom && !small_->empty() ? small_->room() : nullptr;
    if (small_at != nullptr) {
      memcpy(small_at, at, len);
      at = small_at;
      stack = small_;
    }
    const int32_t slot = stack->Take();
    int32_t* const m = memory_.Meta(slot);
    m[M_OFF] = m[M_BASE] + HEADROOM;
    m[M_LEN] = static_cast<int32_t>(len);
    m[M_PORT] = port_;
    StoreFacts(m, facts, tag != 0 ? 4 : 0);
    memset(m + M_FIRST_PIPE, 0, (META_WORDS - M_FIRST_PIPE) * sizeof *m);
    if (tag != 0) {
      // The addresses move into the headroom: cheaper than moving the payload.
      memmove(at - 4, at, 12);
      const uint32_t wire = htonl(tag);
      memcpy(at + 8, &wire, 4);
      m[M_OFF] -= 4;
      m[M_LEN] += 4;
    }
    out_[frames_++] = slot;
    return at;
  }

  // The same of a frame that may become part of a super-frame.
  void Merge(Stack* stack, uint8_t* at, size_t len, const VnetFacts& facts) {
    const int group = gro_.find(at, len, facts);
    if (group != Gro::kNone) {
      // The slot with the frame must not be the one that the super-frame moves to.
      const int32_t slot = stack->Take();
      const bool room = MakeRoom(group);
      if (room) gro_.append(group, at);
      stack->Give(slot);
      if (room) return;
      gro_.close(group);
    }
    const int32_t place = frames_;
    gro_.open(place, Deliver(stack, at, len, facts, 0), len);
  }

  // A super-frame of VXLAN packets that their sender has packed, as if they had come one by one. It stands in the slot on top of `stack`. False: it is none.
  bool Split(Stack* stack, uint8_t* frame, size_t len, const VnetFacts& facts);

  void Finish() {
    for (size_t i = 0; i < gro_.count(); i++) {
      const int group = static_cast<int>(i);
      if (!gro_.merged(group)) continue;
      int32_t* const m = memory_.Meta(out_[gro_.tag(group)]);
      VnetFacts facts;
      gro_.finish(group, &facts);
      m[M_LEN] = static_cast<int32_t>(gro_.length(group));
      StoreFacts(m, facts, 0);
    }
    result_[RX_SMALL_USED] = small_->used();
    result_[RX_BIG_USED] = big_->used();
  }

 private:
  // Moves a super-frame that outgrows its slot to a big one. False when there is none.
  bool MakeRoom(int group) {
    const size_t wanted = gro_.grown(group);
    int32_t* const out = &out_[gro_.tag(group)];
    if (memory_.Meta(*out)[M_SIZE] == BIG_SIZE) return wanted <= kBigRoom;
    if (wanted <= kSmallRoom) return true;
    if (big_->empty() || wanted > kBigRoom) return false;
    uint8_t* const to = big_->room();
    if (to == nullptr) return false;
    const int32_t slot = big_->Take();
    int32_t *const m = memory_.Meta(slot), *const from = memory_.Meta(*out);
    memcpy(to, gro_.bytes(group), gro_.length(group));
    m[M_OFF] = m[M_BASE] + HEADROOM;
    memcpy(m + M_LEN, from + M_LEN, (META_WORDS - M_LEN) * sizeof *m);
    gro_.move(group, to);
    small_->Give(*out);
    *out = slot;
    return true;
  }

  const Memory& memory_;
  Stack *const small_, *const big_;
  Gro gro_;
  const TunnelPorts& ports_;
  const int32_t port_;
  int32_t* const out_;
  int32_t* const result_;
  int32_t frames_ = 0;
};

bool Batch::Split(Stack* stack, uint8_t* frame, size_t len, const VnetFacts& facts) {
  Unpacker unpacker;
  if (!unpacker.begin(frame, len, facts, ports_)) return false;
  const int32_t held = stack->Take();
  for (size_t unit = unpacker.length(); unit > 0; unit = unpacker.length()) {
    Stack* const to = unit <= kSmallRoom && !small_->empty() ? small_ : big_;
    uint8_t* const at = to->empty() || unit > kBigRoom ? nullptr : to->room();
    VnetFacts of_unit;
    unpacker.next(at, &of_unit);
    if (at == nullptr)
      result_[RX_NO_SLOT]++;
    else
      Merge(to, at, unit, of_unit);
  }
  stack->Give(held);
  return true;
}

}  // namespace

namespace {

constexpr char kRxContext[] = "a context of rxOpen";

struct RxContext : Context {
  RxContext() : Context(kRxContext) {}
  int fd, kind, header;
  int32_t port;
  Memory memory;
  int32_t *small, *big, *out, *result;
  const int32_t* tunnels;
  size_t small_length, big_length, out_length, tunnels_length;
};

}  // namespace

napi_value RxOpen(napi_env env, napi_callback_info info) {
  Args args(env, info, 11);
  auto context = std::make_unique<RxContext>();
  RxContext& c = *context;
  c.fd = args.Int(0);
  c.kind = args.Int(1);
  c.header = args.Int(2);
  c.port = args.Int(3);
  size_t meta_words, result_length;
  c.memory.bytes = args.Bytes(4, &c.memory.length);
  c.memory.meta = args.Ints(5, &meta_words);
  c.small = args.Ints(6, &c.small_length);
  c.big = args.Ints(7, &c.big_length);
  c.out = args.Ints(8, &c.out_length, RX_SPARE);
  c.result = args.Ints(9, &result_length, RX_RESULT_WORDS);
  c.tunnels = args.Ints(10, &c.tunnels_length, 1);
  if (args.ok() && (c.header < 0 || c.header > kMaxHeader)) args.Range("vnetHdr: 0 to 24 expected");
  if (!args.ok()) return nullptr;
  c.memory.slots = meta_words / META_WORDS;
  return MakeContext(env, std::move(context),
                     {args.at(4), args.at(5), args.at(6), args.at(7), args.at(8), args.at(9), args.at(10)});
}

napi_value RxBatch(napi_env env, napi_callback_info info) {
  Args args(env, info, 4);
  const RxContext* const context = static_cast<RxContext*>(GetContext(&args, 0, kRxContext));
  const int32_t small_free = args.Int(1), big_free = args.Int(2), max = args.Int(3);
  if (!args.ok()) return nullptr;
  const RxContext& c = *context;
  if (small_free < 0 || static_cast<size_t>(small_free) > c.small_length || big_free < 0 ||
      static_cast<size_t>(big_free) > c.big_length)
    args.Range("smallFree, bigFree: at most as many as the stacks hold expected");
  if (max < 0 || static_cast<size_t>(max) + RX_SPARE > c.out_length)
    args.Range("max: at most " + std::to_string(c.out_length - RX_SPARE) + " expected");
  if (!args.ok()) return nullptr;
  const int fd = c.fd, kind = c.kind, header = c.header;
  const Memory& memory = c.memory;
  int32_t* const result = c.result;
  memset(result, 0, RX_RESULT_WORDS * sizeof *result);

  Stack small(memory, c.small, small_free, SMALL_SIZE), big(memory, c.big, big_free, BIG_SIZE);
  const TunnelPorts ports = listed_ports(c.tunnels, c.tunnels_length);
  Batch batch(memory, &small, &big, ports, c.port, c.out, result);
  const bool merges = kind == KIND_TAP && header > 0;
  // Merged frames take no place in `out`, and drops count too: no flood must hold the loop for ever.
  const int32_t most = merges ? max * kReadsPerFrame : max;
  size_t total = 0;
  for (int32_t tries = 0; tries < most && batch.frames() < max && total < kMostBytes; tries++) {
    const bool has_small = !small.empty(), has_big = !big.empty();
    if (!has_small && !has_big) break;
    uint8_t* const small_at = has_small ? small.room() : nullptr;
    uint8_t* const big_at = has_big ? big.room() : nullptr;
    if ((has_small && small_at == nullptr) || (has_big && big_at == nullptr)) {
      args.Range("a free slot lies outside of the arena");
      return nullptr;
    }
    Stack* const stack = has_big ? &big : &small;
    // The header goes in front of the frame, into the headroom: the kernel fills one piece of memory faster than several.
    uint8_t* const at = has_big ? big_at : small_at;
    uint8_t* const head = at - header;
    const size_t room = has_big ? kBigRoom : kSmallRoom;
    uint32_t tag = 0;
    bool skip = false;
    const ssize_t n =
        kind == KIND_PACKET ? ReceivePacket(fd, head, header + room, &tag, &skip) : read(fd, head, header + room);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) result[RX_ERRNO] = errno;
      break;
    }
    if (n == 0) break;
    if (skip) continue;
    const ssize_t length = n - header;
    if (length < static_cast<ssize_t>(kEthernet)) {
      result[RX_RUNT]++;
      continue;
    }
    const size_t len = static_cast<size_t>(length);
    total += len;
    // What fills the room to the last byte was cut, or may have been.
    if (len == room) {
      result[has_big ? RX_OVERSIZE : RX_NO_SLOT]++;
      continue;
    }
    VnetFacts facts{};
    if (header > 0 && !parse_vnet(head, header, len, &facts)) {
      result[RX_BAD_VNET]++;
      continue;
    }
    if (!merges)
      batch.Deliver(stack, at, len, facts, tag);
    else if (!batch.Split(stack, at, len, facts))
      batch.Merge(stack, at, len, facts);
  }
  batch.Finish();
  return MakeInt(env, batch.frames());
}

}  // namespace ts
