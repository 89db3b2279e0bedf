// The limit that the switch is measured against: two TAPs spliced by one thread that looks at nothing. Usage: splice MODE NETNS LINK NETNS LINK.
//   epoll     each frame, super-frames whole, from one TAP to the other
//   coalesce  the same, and small UDP packets of one flow in one write
//   queues    as epoll, but the TAPs have two queues, and a thread for each
// Prints `ready`; ends by SIGTERM. The third of its kind is uring.cpp.
#include <sys/epoll.h>

#include <cstdio>
#include <thread>
#include <vector>

#include "coalesce.h"
#include "tap.h"

namespace {

constexpr int kBatch = 64;
constexpr int kCoalescedBatch = 256;

void Pump(const bench::Tap& from, const bench::Tap& to, uint8_t* frame) {
  bench::VnetHeader header{};
  for (int i = 0; i < kBatch; i++) {
    const size_t length = bench::ReadFrame(from, &header, frame);
    if (length == 0) return;
    bench::WriteFrame(to, header, frame, length);
  }
}

// What comes from a guest of the same machine is not verified: its checksum is still to be made.
void PumpCoalesced(const bench::Tap& from, bench::Coalescer* to, uint8_t* frame) {
  bench::VnetHeader header{};
  for (int i = 0; i < kCoalescedBatch; i++) {
    const size_t length = bench::ReadFrame(from, &header, frame);
    if (length == 0) break;
    if (header.gso_type == 0 && length >= 42 && frame[23] == IPPROTO_UDP)
      to->Add(frame, length, (header.flags & bench::kNeedsChecksum) != 0);
    else
      to->Pass(header, frame, length);
  }
  to->Flush();
}

// Never returns. `outputs`: to coalesce what goes to the other of each, or null.
void Splice(const bench::Tap (&taps)[2], bench::Coalescer* outputs) {
  std::vector<uint8_t> frame(bench::kFrame);
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  for (uint32_t i = 0; i < 2; i++) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = i;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, taps[i].fd, &event) != 0) bench::Die("epoll_ctl");
  }
  for (;;) {
    epoll_event events[2];
    const int n = epoll_wait(poll, events, 2, -1);
    for (int i = 0; i < n; i++) {
      const uint32_t from = events[i].data.u32;
      if (outputs != nullptr)
        PumpCoalesced(taps[from], &outputs[from], frame.data());
      else
        Pump(taps[from], taps[1 - from], frame.data());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: splice epoll|coalesce|queues NETNS LINK NETNS LINK\n");
    return 2;
  }
  const bool coalesce = strcmp(argv[1], "coalesce") == 0, queues = strcmp(argv[1], "queues") == 0;
  const auto open = [&](char** at) { return bench::OpenTap(at[0], at[1], false, queues); };
  const bench::Tap taps[2] = {open(argv + 2), open(argv + 4)};
  std::thread other;
  if (queues) {
    const bench::Tap second[2] = {open(argv + 2), open(argv + 4)};
    other = std::thread([second] { Splice(second, nullptr); });
  }
  static bench::Coalescer outputs[2] = {bench::Coalescer(taps[1]), bench::Coalescer(taps[0])};
  puts("ready");
  fflush(stdout);
  Splice(taps, coalesce ? outputs : nullptr);
}
