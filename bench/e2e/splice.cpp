// The limit that the switch is measured against: two TAPs spliced by one thread, every frame (super-frames whole) from
// one to the other unseen. Usage: splice NETNS LINK NETNS LINK. Prints `ready`; ends by SIGTERM.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace {

constexpr int kBatch = 64;
constexpr size_t kFrame = 65536 + 64;

[[noreturn]] void Die(const char* what) {
  fprintf(stderr, "splice: %s: %s\n", what, strerror(errno));
  exit(1);
}

void Enter(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) Die(path.c_str());
  close(fd);
}

// A TAP whose kernel side lives in a namespace, with virtio-net headers and the best offloads that the kernel takes.
int OpenTap(const char* netns, const char* link) {
  const int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  Enter(std::string("/run/netns/") + netns);
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) Die("/dev/net/tun");
  ifreq request{};
  strncpy(request.ifr_name, link, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(fd, TUNSETIFF, &request) != 0) Die("TUNSETIFF");
  const unsigned plain = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(fd, TUNSETOFFLOAD, plain | TUN_F_USO4 | TUN_F_USO6) != 0 && ioctl(fd, TUNSETOFFLOAD, plain) != 0)
    Die("TUNSETOFFLOAD");
  if (setns(own, CLONE_NEWNET) != 0) Die("setns");
  close(own);
  return fd;
}

void Pump(int from, int to, char* frame) {
  for (int i = 0; i < kBatch; i++) {
    const ssize_t length = read(from, frame, kFrame);
    if (length <= 0) return;
    // A full queue loses the frame, as a switch would.
    if (write(to, frame, static_cast<size_t>(length)) < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EIO)
      Die("write");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: splice NETNS LINK NETNS LINK\n");
    return 2;
  }
  const int taps[2] = {OpenTap(argv[1], argv[2]), OpenTap(argv[3], argv[4])};
  std::vector<char> frame(kFrame);
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < 2; i++) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(i);
    if (epoll_ctl(poll, EPOLL_CTL_ADD, taps[i], &event) != 0) Die("epoll_ctl");
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    epoll_event events[2];
    const int n = epoll_wait(poll, events, 2, -1);
    for (int i = 0; i < n; i++) Pump(taps[events[i].data.u32], taps[1 - events[i].data.u32], frame.data());
  }
}
