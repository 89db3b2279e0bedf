// Batch receive: frames from a descriptor into slots. Called by workers in their loop; allocates nothing.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "functions.h"
#include "layout.h"
#include "napi.h"
#include "vnet.h"

namespace ts {
namespace {

constexpr size_t kSmallRoom = SMALL_SIZE - HEADROOM;
constexpr size_t kBigRoom = BIG_SIZE - HEADROOM;
constexpr size_t kEthernet = 14;
constexpr int kMaxHeader = 24;

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

// One datagram: its length (more than the room given means that it was cut), or -1 with errno. `tag` gets tpid << 16 | tci of a VLAN
// tag that the kernel took out of the frame; `skip` tells that our own host sent the frame.
ssize_t ReceivePacket(int fd, iovec* vectors, int count, uint32_t* tag, bool* skip) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
  sockaddr_ll from{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = vectors;
  message.msg_iovlen = static_cast<size_t>(count);
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
  memset(m + M_FIRST_PIPE, 0, (META_WORDS - M_FIRST_PIPE) * sizeof *m);
}

}  // namespace

napi_value RxBatch(napi_env env, napi_callback_info info) {
  Args args(env, info, 13);
  const int fd = args.Int(0), kind = args.Int(1), header = args.Int(2), port = args.Int(3);
  Memory memory;
  size_t meta_words, small_length, big_length, out_length, result_length;
  memory.bytes = args.Bytes(4, &memory.length);
  memory.meta = args.Ints(5, &meta_words);
  const int32_t small_free = args.Int(7), big_free = args.Int(9), max = args.Int(11);
  const int32_t* small = args.Ints(6, &small_length, small_free > 0 ? static_cast<size_t>(small_free) : 0);
  const int32_t* big = args.Ints(8, &big_length, big_free > 0 ? static_cast<size_t>(big_free) : 0);
  int32_t* out = args.Ints(10, &out_length, max > 0 ? static_cast<size_t>(max) : 0);
  int32_t* result = args.Ints(12, &result_length, RX_RESULT_WORDS);
  if (args.ok() && (header < 0 || header > kMaxHeader)) args.Range("vnetHdr: 0 to 24 expected");
  if (!args.ok()) return nullptr;
  memory.slots = meta_words / META_WORDS;
  memset(result, 0, RX_RESULT_WORDS * sizeof *result);

  int32_t small_used = 0, big_used = 0, frames = 0;
  uint8_t head[kMaxHeader];
  uint8_t spare;
  // Drops count too: a flood of bad frames must not hold the loop for ever.
  for (int32_t tries = 0; tries < max; tries++) {
    const bool has_small = small_used < small_free, has_big = big_used < big_free;
    if (!has_small && !has_big) break;
    const int32_t small_slot = has_small ? small[small_free - 1 - small_used] : -1;
    const int32_t big_slot = has_big ? big[big_free - 1 - big_used] : -1;
    uint8_t* const small_at = has_small ? memory.Room(small_slot, SMALL_SIZE) : nullptr;
    uint8_t* const big_at = has_big ? memory.Room(big_slot, BIG_SIZE) : nullptr;
    if ((has_small && small_at == nullptr) || (has_big && big_at == nullptr)) {
      args.Range("a free slot lies outside of the arena");
      return nullptr;
    }
    iovec vectors[4];
    int count = 0;
    if (header > 0) vectors[count++] = {head, static_cast<size_t>(header)};
    if (has_small) vectors[count++] = {small_at, kSmallRoom};
    const size_t front = has_small ? kSmallRoom : 0;
    if (has_big) vectors[count++] = {big_at + front, kBigRoom - front};
    vectors[count++] = {&spare, 1};

    uint32_t tag = 0;
    bool skip = false;
    const ssize_t n = kind == KIND_PACKET ? ReceivePacket(fd, vectors, count, &tag, &skip) : readv(fd, vectors, count);
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
    const bool use_big = !has_small || len > kSmallRoom;
    if (use_big && !has_big) {
      result[RX_NO_SLOT]++;
      continue;
    }
    if (len > kBigRoom) {
      result[RX_OVERSIZE]++;
      continue;
    }
    VnetFacts facts{};
    if (header > 0 && !parse_vnet(head, header, len, &facts)) {
      result[RX_BAD_VNET]++;
      continue;
    }
    if (use_big && has_small) memcpy(big_at, small_at, kSmallRoom);
    const int32_t slot = use_big ? big_slot : small_slot;
    uint8_t* const at = use_big ? big_at : small_at;
    int32_t* const m = memory.Meta(slot);
    m[M_OFF] = m[M_BASE] + HEADROOM;
    m[M_LEN] = static_cast<int32_t>(len);
    m[M_PORT] = port;
    StoreFacts(m, facts, tag != 0 ? 4 : 0);
    if (tag != 0) {
      // The addresses move into the headroom: cheaper than moving the payload.
      memmove(at - 4, at, 12);
      const uint32_t wire = htonl(tag);
      memcpy(at + 8, &wire, 4);
      m[M_OFF] -= 4;
      m[M_LEN] += 4;
    }
    if (use_big)
      big_used++;
    else
      small_used++;
    out[frames++] = slot;
  }
  result[RX_SMALL_USED] = small_used;
  result[RX_BIG_USED] = big_used;
  return MakeInt(env, frames);
}

}  // namespace ts
