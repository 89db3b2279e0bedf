// epoll and eventfd: how a worker waits and is woken.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "context.h"
#include "functions.h"
#include "napi.h"

namespace ts {

napi_value EpollCreate(napi_env env, napi_callback_info) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? ThrowErrno(env, errno, "epoll_create1") : MakeInt(env, fd);
}

napi_value EpollAdd(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  const int ep = args.Int(0), fd = args.Int(1), token = args.Int(2);
  if (!args.ok()) return nullptr;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = static_cast<uint32_t>(token);
  if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) != 0) return ThrowErrno(env, errno, "epoll_ctl(ADD)");
  return MakeUndefined(env);
}

napi_value EpollDel(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int ep = args.Int(0), fd = args.Int(1);
  if (!args.ok()) return nullptr;
  if (epoll_ctl(ep, EPOLL_CTL_DEL, fd, nullptr) != 0) return ThrowErrno(env, errno, "epoll_ctl(DEL)");
  return MakeUndefined(env);
}

namespace {

constexpr int kMostEvents = 64;
constexpr char kEpollContext[] = "a context of epollOpen";

struct EpollContext : Context {
  EpollContext() : Context(kEpollContext) {}
  int fd;
  int32_t *tokens, *events;
  double* clock;
  int room;
};

}  // namespace

napi_value EpollOpen(napi_env env, napi_callback_info info) {
  Args args(env, info, 4);
  auto context = std::make_unique<EpollContext>();
  EpollContext& c = *context;
  size_t tokens_length, events_length, clock_length;
  c.fd = args.Int(0);
  c.tokens = args.Ints(1, &tokens_length, 1);
  c.events = args.Ints(2, &events_length, 1);
  c.clock = args.Doubles(3, &clock_length, 1);
  if (!args.ok()) return nullptr;
  c.room = static_cast<int>(std::min({tokens_length, events_length, size_t{kMostEvents}}));
  return MakeContext(env, std::move(context), {args.at(1), args.at(2), args.at(3)});
}

napi_value EpollWait(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const EpollContext* const c = static_cast<EpollContext*>(GetContext(&args, 0, kEpollContext));
  const int timeout = args.Int(1);
  if (!args.ok()) return nullptr;
  epoll_event ready[kMostEvents];
  const int n = epoll_wait(c->fd, ready, c->room, timeout);
  const int error = errno;
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  c->clock[0] = static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
  if (n < 0) return error == EINTR ? MakeInt(env, 0) : ThrowErrno(env, error, "epoll_wait");
  for (int i = 0; i < n; i++) {
    c->tokens[i] = static_cast<int32_t>(ready[i].data.u32);
    c->events[i] = static_cast<int32_t>(ready[i].events);
  }
  return MakeInt(env, n);
}

napi_value Eventfd(napi_env env, napi_callback_info) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? ThrowErrno(env, errno, "eventfd") : MakeInt(env, fd);
}

napi_value EventfdSignal(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int(0);
  if (!args.ok()) return nullptr;
  const uint64_t one = 1;
  // EAGAIN: the counter is full, so the reader has been told more often than it can miss.
  if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN) return ThrowErrno(env, errno, "write(eventfd)");
  return MakeUndefined(env);
}

napi_value EventfdWait(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int(0), timeout = args.Int(1);
  if (!args.ok()) return nullptr;
  pollfd waited{fd, POLLIN, 0};
  if (poll(&waited, 1, timeout) < 0 && errno != EINTR) return ThrowErrno(env, errno, "poll(eventfd)");
  if ((waited.revents & POLLNVAL) != 0) return ThrowErrno(env, EBADF, "poll(eventfd)");
  return MakeUndefined(env);
}

napi_value EventfdDrain(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int(0);
  if (!args.ok()) return nullptr;
  uint64_t count;
  if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) return ThrowErrno(env, errno, "read(eventfd)");
  return MakeUndefined(env);
}

}  // namespace ts
