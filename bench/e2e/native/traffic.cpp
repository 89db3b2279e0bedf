// Small packets, 64-byte frames (18 bytes of UDP payload). Each call prints one line of JSON.
//   traffic send ADDRESS PORT SECONDS FLOWS RATE   as many as it can, or RATE a second; packets of FLOWS source ports take turns
//   traffic fresh LINK TARGET_MAC SOURCE_IP TARGET_IP PORT SECONDS RATE
//                                                  frames of which each is a flow of its own: source ports, then source addresses, count up
//   traffic receive PORT                           counts; prints `ready` first, ends by SIGTERM once nothing comes any more
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "packet.h"

namespace {

constexpr int kBatch = 64;
constexpr size_t kPayload = 18;
constexpr size_t kFrameSize = bench::kEthernet + 28 + kPayload;
constexpr int kPorts = 60000;
constexpr int kFirstPort = 1024;

volatile sig_atomic_t stopped = 0;

double Now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Batch {
  uint8_t bytes[kBatch][2048];
  iovec vectors[kBatch];
  mmsghdr messages[kBatch];

  explicit Batch(size_t length) {
    memset(this, 0, sizeof *this);
    for (int i = 0; i < kBatch; i++) {
      vectors[i] = {bytes[i], length};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

sockaddr_in Address(const char* host, const char* port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(port)));
  if (host != nullptr) inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

int Fail(const char* what) {
  fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
  return 1;
}

bool Passing() { return errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED; }

void Sent(uint64_t sent, double seconds) {
  printf("{\"sent\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(sent), seconds);
}

// How many packets are due now, of a batch at most; sleeps when none is.
int Due(double rate, double elapsed, uint64_t sent) {
  if (rate <= 0) return kBatch;
  const double due = rate * elapsed - static_cast<double>(sent);
  if (due >= 1) return due < kBatch ? static_cast<int>(due) : kBatch;
  const timespec pause{0, 20000};
  nanosleep(&pause, nullptr);
  return 0;
}

int Send(const char* host, const char* port, double seconds, size_t flows, double rate) {
  const sockaddr_in address = Address(host, port);
  std::vector<int> sockets;
  for (size_t i = 0; i < flows; i++) {
    sockets.push_back(socket(AF_INET, SOCK_DGRAM, 0));
    if (connect(sockets[i], reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return Fail("connect");
  }
  static Batch batch(kPayload);
  const double start = Now();
  uint64_t sent = 0;
  size_t turn = 0;
  while (Now() - start < seconds) {
    const int due = Due(rate, Now() - start, sent);
    if (due == 0) continue;
    if (flows == 1) {
      const int n = sendmmsg(sockets[0], batch.messages, static_cast<unsigned>(due), 0);
      if (n > 0)
        sent += static_cast<uint64_t>(n);
      else if (!Passing())
        return Fail("sendmmsg");
      continue;
    }
    for (int i = 0; i < due; i++) {
      if (send(sockets[turn], batch.bytes[0], kPayload, 0) > 0)
        sent++;
      else if (!Passing())
        return Fail("send");
      turn = turn + 1 == flows ? 0 : turn + 1;
    }
  }
  Sent(sent, Now() - start);
  return 0;
}

void Mac(const char* text, uint8_t* bytes) {
  for (int i = 0; i < 6; i++) bytes[i] = static_cast<uint8_t>(strtoul(text + 3 * i, nullptr, 16));
}

int Fresh(char** argv) {
  const int fd = socket(AF_PACKET, SOCK_RAW, 0);
  ifreq request{};
  strncpy(request.ifr_name, argv[0], IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0) return Fail(argv[0]);
  static Batch batch(kFrameSize);
  for (auto& frame : batch.bytes) {
    Mac(argv[1], frame);
    memcpy(frame + 6, request.ifr_hwaddr.sa_data, 6);
    bench::Put16(frame + 12, ETHERTYPE_IP);
    frame[14] = 0x45;
    bench::Put16(frame + 16, kFrameSize - bench::kEthernet);
    frame[22] = 64;
    frame[23] = IPPROTO_UDP;
    inet_pton(AF_INET, argv[2], frame + 26);
    inet_pton(AF_INET, argv[3], frame + 30);
    bench::Put16(frame + 36, static_cast<size_t>(atoi(argv[4])));
    bench::Put16(frame + 38, 8 + kPayload);
  }
  const uint32_t source = bench::Get32(batch.bytes[0] + 26);
  if (ioctl(fd, SIOCGIFINDEX, &request) != 0) return Fail(argv[0]);
  sockaddr_ll link{};
  link.sll_family = AF_PACKET;
  link.sll_ifindex = request.ifr_ifindex;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&link), sizeof link) != 0) return Fail("bind");
  const double start = Now();
  const double seconds = atof(argv[5]);
  const double rate = atof(argv[6]);
  uint64_t sent = 0;
  while (Now() - start < seconds) {
    const int due = Due(rate, Now() - start, sent);
    for (int i = 0; i < due; i++) {
      const uint64_t flow = sent + static_cast<uint64_t>(i);
      uint8_t* frame = batch.bytes[i];
      bench::Put32(frame + 26, source + static_cast<uint32_t>(flow / kPorts));
      bench::Put16(frame + 34, kFirstPort + flow % kPorts);
      bench::CloseIpv4(frame, kFrameSize);
    }
    if (due == 0) continue;
    const int n = sendmmsg(fd, batch.messages, static_cast<unsigned>(due), 0);
    if (n > 0)
      sent += static_cast<uint64_t>(n);
    else if (!Passing())
      return Fail("sendmmsg");
  }
  Sent(sent, Now() - start);
  return 0;
}

int Receive(const char* port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const int buffer = 32 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  const sockaddr_in address = Address(nullptr, port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return Fail("bind");
  static Batch batch(2048);
  puts("ready");
  fflush(stdout);
  uint64_t received = 0;
  double first = 0;
  double last = 0;
  for (;;) {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, 30) <= 0) {
      if (stopped != 0) break;
      continue;
    }
    const int n = recvmmsg(fd, batch.messages, kBatch, MSG_DONTWAIT, nullptr);
    if (n <= 0) continue;
    last = Now();
    if (first == 0) first = last;
    received += static_cast<uint64_t>(n);
  }
  printf("{\"received\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(received), last - first);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGTERM, [](int) { stopped = 1; });
  if (argc == 7 && strcmp(argv[1], "send") == 0)
    return Send(argv[2], argv[3], atof(argv[4]), static_cast<size_t>(atoi(argv[5])), atof(argv[6]));
  if (argc == 9 && strcmp(argv[1], "fresh") == 0) return Fresh(argv + 2);
  if (argc == 3 && strcmp(argv[1], "receive") == 0) return Receive(argv[2]);
  fprintf(
      stderr,
      "usage: traffic send ADDRESS PORT SECONDS FLOWS RATE | traffic fresh LINK TARGET_MAC SOURCE_IP TARGET_IP PORT "
      "SECONDS RATE | traffic receive PORT\n");
  return 2;
}
