// Packets of one flow that follow each other become one super-frame, of TCP or UDP, for one write. Up to kSlots flows are open at a time; Flush, at the end of a
// batch, writes them all, so that nothing waits.
#pragma once
#include <memory>

#include "packet.h"
#include "tap.h"

namespace bench {

class Coalescer {
 public:
  explicit Coalescer(const Tap& out) : out_(out) {}

  // `partial`: the transport checksum is still to be completed; a complete one is verified, and a packet whose is wrong is dropped.
  void Add(const uint8_t* frame, size_t length, bool partial) {
    Layers layers;
    if (!Parse(frame, length, &layers)) {
      Flush();
      WriteFrame(out_, VnetHeader{}, frame, length);
      return;
    }
    length = Get16(frame + 16) + kEthernet;
    Slot& slot = SlotOf(frame, layers);
    if (!partial && !Verified(frame, length, layers)) return;
    if (Fits(slot, frame, length, layers)) {
      Append(&slot, frame, length, layers);
      return;
    }
    Write(&slot);
    Open(&slot, frame, length, layers, partial);
  }

  // A frame that stays as it is, behind those of its flow.
  void Pass(const VnetHeader& header, const uint8_t* frame, size_t length) {
    Layers layers;
    if (Parse(frame, length, &layers))
      Write(&SlotOf(frame, layers));
    else
      Flush();
    WriteFrame(out_, header, frame, length);
  }

  void Flush() {
    for (size_t i = 0; i < open_; i++) Write(order_[i]);
    open_ = 0;
  }

 private:
  static constexpr size_t kSlots = 256;
  static constexpr size_t kMostUdp = 64;
  static constexpr size_t kMost = 65500;

  struct Slot {
    std::unique_ptr<uint8_t[]> bytes;
    size_t length;
    size_t packets;
    // Payload of each packet but the last.
    size_t unit;
    uint32_t next;
    Layers layers;
    bool partial;
    bool closed;
  };

  Slot& SlotOf(const uint8_t* frame, const Layers& layers) {
    const uint32_t ports = Get32(frame + layers.transport);
    const uint32_t hash = (Get32(frame + 26) ^ Get32(frame + 30) * 31 ^ ports ^ ports >> 16) * 0x9e3779b1U;
    return slots_[hash >> 24];
  }

  static bool Verified(const uint8_t* frame, size_t length, const Layers& layers) {
    if (!layers.tcp && Get16(frame + layers.transport + 6) == 0) return true;
    const size_t transport = length - layers.transport;
    return Sum(frame + layers.transport, transport, PseudoSum(frame, transport)) == 0xffff;
  }

  // UDP without a checksum stays alone: segmentation would give it one.
  static bool MayGrow(const uint8_t* frame, size_t length, const Layers& layers, bool partial) {
    if (length == layers.payload) return false;
    const uint8_t* transport = frame + layers.transport;
    return layers.tcp ? (transport[13] & ~0x08) == 0x10 : partial || Get16(transport + 6) != 0;
  }

  static bool Fits(const Slot& slot, const uint8_t* frame, size_t length, const Layers& layers) {
    if (slot.packets == 0 || slot.closed || slot.layers.tcp != layers.tcp || slot.layers.payload != layers.payload)
      return false;
    const size_t payload = length - layers.payload;
    if (payload == 0 || payload > slot.unit || slot.length + payload > kMost) return false;
    const uint8_t* head = slot.bytes.get();
    const uint8_t* a = head + layers.transport;
    const uint8_t* b = frame + layers.transport;
    // Addresses and ports; type of service; flags, time to live and protocol.
    if (memcmp(head, frame, kEthernet + 2) != 0 || memcmp(head + 20, frame + 20, 4) != 0 ||
        memcmp(head + 26, frame + 26, 8) != 0 || memcmp(a, b, 4) != 0)
      return false;
    if (!layers.tcp) return slot.packets < kMostUdp && Get16(b + 6) != 0;
    return Get32(b + 4) == slot.next && (b[13] & ~0x08) == 0x10 && memcmp(a + 8, b + 8, 4) == 0 &&
           memcmp(a + 14, b + 14, 2) == 0 && memcmp(a + 20, b + 20, layers.payload - layers.transport - 20) == 0;
  }

  static void Append(Slot* slot, const uint8_t* frame, size_t length, const Layers& layers) {
    const size_t payload = length - layers.payload;
    memcpy(slot->bytes.get() + slot->length, frame + layers.payload, payload);
    slot->length += payload;
    slot->packets++;
    slot->next += static_cast<uint32_t>(payload);
    if (payload < slot->unit) slot->closed = true;
    if (layers.tcp && (frame[layers.transport + 13] & 8) != 0) {
      slot->bytes[layers.transport + 13] |= 8;
      slot->closed = true;
    }
  }

  void Open(Slot* slot, const uint8_t* frame, size_t length, const Layers& layers, bool partial) {
    if (!slot->bytes) slot->bytes = std::make_unique<uint8_t[]>(kFrame);
    memcpy(slot->bytes.get(), frame, length);
    slot->length = length;
    slot->packets = 1;
    slot->unit = length - layers.payload;
    slot->next = layers.tcp ? Get32(frame + layers.transport + 4) + static_cast<uint32_t>(slot->unit) : 0;
    slot->layers = layers;
    slot->partial = partial;
    slot->closed = !MayGrow(frame, length, layers, partial) || (layers.tcp && (frame[layers.transport + 13] & 8) != 0);
    // A slot may stand here twice; it is empty the second time.
    if (open_ == kOrder) {
      for (size_t i = 0; i < open_; i++)
        if (order_[i] != slot) Write(order_[i]);
      open_ = 0;
    }
    order_[open_++] = slot;
  }

  void Write(Slot* slot) {
    if (slot->packets == 0) return;
    uint8_t* frame = slot->bytes.get();
    const Layers& layers = slot->layers;
    VnetHeader header{};
    if (slot->packets > 1) {
      CloseIpv4(frame, slot->length);
      if (!layers.tcp) Put16(frame + layers.transport + 4, slot->length - layers.transport);
      header.gso_type = layers.tcp ? kGsoTcp4 : kGsoUdp;
      header.header_length = static_cast<uint16_t>(layers.payload);
      header.gso_size = static_cast<uint16_t>(slot->unit);
    }
    if (slot->packets > 1 || slot->partial) {
      header.flags = kNeedsChecksum;
      header.csum_start = static_cast<uint16_t>(layers.transport);
      header.csum_offset = static_cast<uint16_t>(layers.ChecksumOffset());
      PutSum(frame + layers.transport + layers.ChecksumOffset(), PseudoSum(frame, slot->length - layers.transport));
    } else {
      header.flags = kDataValid;
    }
    WriteFrame(out_, header, frame, slot->length);
    slot->packets = 0;
  }

  static constexpr size_t kOrder = 1024;
  const Tap& out_;
  Slot slots_[kSlots] = {};
  Slot* order_[kOrder] = {};
  size_t open_ = 0;
};

}  // namespace bench
