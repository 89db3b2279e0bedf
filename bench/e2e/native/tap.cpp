#include "tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef TUN_F_UDP_TUNNEL_GSO
#define TUN_F_UDP_TUNNEL_GSO 0x80
#define TUN_F_UDP_TUNNEL_GSO_CSUM 0x100
#endif

namespace bench {

namespace {

constexpr size_t kPlainHeader = 10;

void Enter(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) Die(path.c_str());
  close(fd);
}

}  // namespace

void Die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

Tap OpenTap(const char* netns, const char* link, bool tunnel, bool queue) {
  const int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  Enter(std::string("/run/netns/") + netns);
  Tap tap{open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), kPlainHeader, false};
  if (tap.fd < 0) Die("/dev/net/tun");
  ifreq request{};
  strncpy(request.ifr_name, link, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (queue) request.ifr_flags |= IFF_MULTI_QUEUE;
  if (ioctl(tap.fd, TUNSETIFF, &request) != 0) Die("TUNSETIFF");
  const unsigned plain = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  const unsigned uso = plain | TUN_F_USO4 | TUN_F_USO6;
  if (tunnel) {
    const int size = sizeof(VnetHeader);
    if (ioctl(tap.fd, TUNSETVNETHDRSZ, &size) != 0) Die("TUNSETVNETHDRSZ");
    tap.header = sizeof(VnetHeader);
    tap.tunnel = ioctl(tap.fd, TUNSETOFFLOAD, uso | TUN_F_UDP_TUNNEL_GSO | TUN_F_UDP_TUNNEL_GSO_CSUM) == 0;
  }
  if (!tap.tunnel && ioctl(tap.fd, TUNSETOFFLOAD, uso) != 0 && ioctl(tap.fd, TUNSETOFFLOAD, plain) != 0)
    Die("TUNSETOFFLOAD");
  if (setns(own, CLONE_NEWNET) != 0) Die("setns");
  close(own);
  return tap;
}

size_t ReadFrame(const Tap& tap, VnetHeader* header, uint8_t* frame) {
  iovec parts[2] = {{header, tap.header}, {frame, kFrame - kHeadroom}};
  const ssize_t length = readv(tap.fd, parts, 2);
  if (length <= static_cast<ssize_t>(tap.header)) return 0;
  return static_cast<size_t>(length) - tap.header;
}

void WriteFrame(const Tap& tap, const VnetHeader& header, const uint8_t* frame, size_t length) {
  iovec parts[2] = {{const_cast<VnetHeader*>(&header), tap.header}, {const_cast<uint8_t*>(frame), length}};
  if (writev(tap.fd, parts, 2) < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EIO) Die("writev");
}

}  // namespace bench
