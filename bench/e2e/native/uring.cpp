// The splice by io_uring: reads that stay armed and fill buffers of a ring (6.7), writes submitted in batches, one thread. By system calls, so that no library is
// needed. Usage: uring NETNS LINK NETNS LINK. Prints `ready`, or `unsupported` where the kernel lacks or forbids it (exit 3); ends by SIGTERM.
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "tap.h"

namespace {

constexpr unsigned kEntries = 1024;
constexpr unsigned kBuffers = 256;
constexpr uint8_t kReadMultishot = 49;
constexpr uint64_t kWrite = 1ULL << 48;

[[noreturn]] void Unsupported(const char* what) {
  perror(what);
  puts("unsupported");
  exit(3);
}

template <typename T>
T* At(void* base, size_t offset) {
  return reinterpret_cast<T*>(static_cast<char*>(base) + offset);
}

void* Map(int fd, size_t length, off_t offset) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE : MAP_SHARED | MAP_POPULATE;
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (memory == MAP_FAILED) bench::Die("mmap");
  return memory;
}

class Ring {
 public:
  Ring() {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = 4 * kEntries;
    fd_ = static_cast<int>(syscall(__NR_io_uring_setup, kEntries, &params));
    if (fd_ < 0) Unsupported("io_uring_setup");
    void* queue = Map(fd_, params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    sq_head_ = At<unsigned>(queue, params.sq_off.head);
    sq_tail_ = At<unsigned>(queue, params.sq_off.tail);
    sq_mask_ = *At<unsigned>(queue, params.sq_off.ring_mask);
    unsigned* array = At<unsigned>(queue, params.sq_off.array);
    for (unsigned i = 0; i < params.sq_entries; i++) array[i] = i;
    entries_ = static_cast<io_uring_sqe*>(Map(fd_, params.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
    void* done = Map(fd_, params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe), IORING_OFF_CQ_RING);
    cq_head_ = At<unsigned>(done, params.cq_off.head);
    cq_tail_ = At<unsigned>(done, params.cq_off.tail);
    cq_mask_ = *At<unsigned>(done, params.cq_off.ring_mask);
    completions_ = At<io_uring_cqe>(done, params.cq_off.cqes);
  }

  void Register(unsigned what, const void* argument, unsigned count) {
    if (syscall(__NR_io_uring_register, fd_, what, argument, count) < 0) Unsupported("io_uring_register");
  }

  io_uring_sqe* Next() {
    if (tail_ - __atomic_load_n(sq_head_, __ATOMIC_ACQUIRE) == kEntries) Submit(0);
    io_uring_sqe* entry = &entries_[tail_++ & sq_mask_];
    *entry = io_uring_sqe{};
    return entry;
  }

  void Submit(unsigned wait) {
    const unsigned fresh = tail_ - *sq_tail_;
    __atomic_store_n(sq_tail_, tail_, __ATOMIC_RELEASE);
    const unsigned flags = wait > 0 ? IORING_ENTER_GETEVENTS : 0;
    if (syscall(__NR_io_uring_enter, fd_, fresh, wait, flags, nullptr, 0) < 0 && errno != EINTR && errno != EBUSY)
      bench::Die("io_uring_enter");
  }

  template <typename Handle>
  void Reap(Handle handle) {
    unsigned head = *cq_head_;
    const unsigned tail = __atomic_load_n(cq_tail_, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) handle(completions_[head & cq_mask_]);
    __atomic_store_n(cq_head_, head, __ATOMIC_RELEASE);
  }

 private:
  int fd_;
  unsigned tail_ = 0;
  unsigned* sq_head_;
  unsigned* sq_tail_;
  unsigned sq_mask_;
  io_uring_sqe* entries_;
  unsigned* cq_head_;
  unsigned* cq_tail_;
  unsigned cq_mask_;
  io_uring_cqe* completions_;
};

// Buffers that the kernel takes for the reads of one TAP, and that come back when their frame is written.
class Buffers {
 public:
  Buffers(Ring* ring, uint16_t group) {
    bytes_ = static_cast<uint8_t*>(Map(-1, kBuffers * bench::kFrame, 0));
    // Entries follow the ring's head, which lies in the unused last field of the first.
    entries_ = static_cast<io_uring_buf*>(Map(-1, kBuffers * sizeof(io_uring_buf), 0));
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<uint64_t>(entries_);
    request.ring_entries = kBuffers;
    request.bgid = group;
    ring->Register(IORING_REGISTER_PBUF_RING, &request, 1);
    for (uint16_t i = 0; i < kBuffers; i++) Give(i);
    Publish();
  }

  uint8_t* operator[](size_t id) { return bytes_ + id * bench::kFrame; }

  void Give(uint16_t id) {
    io_uring_buf& entry = entries_[tail_++ % kBuffers];
    entry.addr = reinterpret_cast<uint64_t>((*this)[id]);
    entry.len = bench::kFrame;
    entry.bid = id;
  }

  void Publish() { __atomic_store_n(&entries_[0].resv, tail_, __ATOMIC_RELEASE); }

 private:
  uint8_t* bytes_;
  io_uring_buf* entries_;
  uint16_t tail_ = 0;
};

void Arm(Ring* ring, unsigned side) {
  io_uring_sqe* entry = ring->Next();
  entry->opcode = kReadMultishot;
  entry->fd = static_cast<int>(side);
  entry->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
  entry->buf_group = static_cast<uint16_t>(side);
  entry->user_data = static_cast<uint64_t>(side) << 32;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: uring NETNS LINK NETNS LINK\n");
    return 2;
  }
  const int taps[2] = {bench::OpenTap(argv[1], argv[2], false).fd, bench::OpenTap(argv[3], argv[4], false).fd};
  Ring ring;
  ring.Register(IORING_REGISTER_FILES, taps, 2);
  Buffers buffers[2] = {Buffers(&ring, 0), Buffers(&ring, 1)};
  bool ended[2] = {false, false};
  unsigned writing[2] = {0, 0};
  for (unsigned side = 0; side < 2; side++) Arm(&ring, side);
  puts("ready");
  fflush(stdout);
  for (;;) {
    ring.Submit(1);
    ring.Reap([&](const io_uring_cqe& done) {
      const unsigned side = static_cast<unsigned>(done.user_data >> 32) & 1;
      if ((done.user_data & kWrite) != 0) {
        buffers[side].Give(static_cast<uint16_t>(done.user_data));
        writing[side]--;
        return;
      }
      if (done.res == -EINVAL || done.res == -EOPNOTSUPP) {
        errno = -done.res;
        Unsupported("read");
      }
      if ((done.flags & IORING_CQE_F_MORE) == 0) ended[side] = true;
      if (done.res <= 0) return;
      const unsigned id = done.flags >> IORING_CQE_BUFFER_SHIFT;
      io_uring_sqe* entry = ring.Next();
      entry->opcode = IORING_OP_WRITE;
      entry->fd = static_cast<int>(1 - side);
      entry->flags = IOSQE_FIXED_FILE;
      entry->addr = reinterpret_cast<uint64_t>(buffers[side][id]);
      entry->len = static_cast<unsigned>(done.res);
      entry->user_data = kWrite | static_cast<uint64_t>(side) << 32 | id;
      writing[side]++;
    });
    for (unsigned side = 0; side < 2; side++) {
      buffers[side].Publish();
      // Reads end when no buffer is left; they go on when half are back.
      if (ended[side] && writing[side] < kBuffers / 2) {
        ended[side] = false;
        Arm(&ring, side);
      }
    }
  }
}
