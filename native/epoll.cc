// epoll and eventfd: how a worker waits and is woken.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

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

napi_value EpollWait(napi_env env, napi_callback_info info) {
  constexpr int kMost = 64;
  Args args(env, info, 4);
  size_t tokens_length, events_length;
  const int ep = args.Int(0);
  int32_t* tokens = args.Ints(1, &tokens_length, 1);
  int32_t* events = args.Ints(2, &events_length, 1);
  const int timeout = args.Int(3);
  if (!args.ok()) return nullptr;
  size_t room = tokens_length < events_length ? tokens_length : events_length;
  if (room > kMost) room = kMost;
  epoll_event ready[kMost];
  const int n = epoll_wait(ep, ready, static_cast<int>(room), timeout);
  if (n < 0) return errno == EINTR ? MakeInt(env, 0) : ThrowErrno(env, errno, "epoll_wait");
  for (int i = 0; i < n; i++) {
    tokens[i] = static_cast<int32_t>(ready[i].data.u32);
    events[i] = static_cast<int32_t>(ready[i].events);
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

napi_value EventfdDrain(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int(0);
  if (!args.ok()) return nullptr;
  uint64_t count;
  if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) return ThrowErrno(env, errno, "read(eventfd)");
  return MakeUndefined(env);
}

}  // namespace ts
