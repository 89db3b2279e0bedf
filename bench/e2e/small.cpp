// Small packets: a sender that offers as many 64-byte frames (18 bytes of UDP payload) as it can, and a receiver that
// counts them. Usage: small send ADDRESS PORT SECONDS | small receive PORT. Each prints one line of JSON; the receiver
// first `ready`, and ends by SIGTERM.
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kBatch = 64;
constexpr size_t kPayload = 18;

volatile sig_atomic_t stopped = 0;

double Now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Batch {
  char bytes[kBatch][2048];
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
  fprintf(stderr, "small: %s: %s\n", what, strerror(errno));
  return 1;
}

int Send(const char* host, const char* port, double seconds) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in address = Address(host, port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return Fail("connect");
  static Batch batch(kPayload);
  const double start = Now();
  uint64_t sent = 0;
  while (Now() - start < seconds) {
    const int n = sendmmsg(fd, batch.messages, kBatch, 0);
    if (n > 0)
      sent += static_cast<uint64_t>(n);
    else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
      return Fail("sendmmsg");
  }
  printf("{\"sent\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(sent), Now() - start);
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
  while (stopped == 0) {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, 100) <= 0) continue;
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
  if (argc == 5 && strcmp(argv[1], "send") == 0) return Send(argv[2], argv[3], atof(argv[4]));
  if (argc == 3 && strcmp(argv[1], "receive") == 0) return Receive(argv[2]);
  fprintf(stderr, "usage: small send ADDRESS PORT SECONDS | small receive PORT\n");
  return 2;
}
