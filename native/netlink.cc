// The rtnetlink socket (netlink(7), rtnetlink(7)). Overrun is an ordinary outcome here: the caller resynchronises.
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "functions.h"
#include "napi.h"
#include "netns.h"

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

namespace ts {
namespace {

SysError Open(const std::vector<int32_t>& groups, int rcvbuf, int* fd, uint32_t* portid) {
  *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (*fd < 0) return {errno, "socket(AF_NETLINK)"};
  int one = 1;
  setsockopt(*fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  setsockopt(*fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof one);
  if (rcvbuf > 0 && setsockopt(*fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof rcvbuf) != 0)
    setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(*fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {errno, "bind(AF_NETLINK)"};
  socklen_t length = sizeof address;
  if (getsockname(*fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {errno, "getsockname"};
  *portid = address.nl_pid;
  for (const int32_t group : groups) {
    int wanted = group;
    if (setsockopt(*fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &wanted, sizeof wanted) != 0)
      return {errno, "setsockopt(NETLINK_ADD_MEMBERSHIP)"};
  }
  return {};
}

bool ReadGroups(napi_env env, napi_value options, std::vector<int32_t>* groups) {
  napi_value list;
  uint32_t count = 0;
  if (napi_get_named_property(env, options, "groups", &list) != napi_ok ||
      napi_get_array_length(env, list, &count) != napi_ok)
    return false;
  for (uint32_t i = 0; i < count; i++) {
    napi_value item;
    int32_t group;
    if (napi_get_element(env, list, i, &item) != napi_ok || napi_get_value_int32(env, item, &group) != napi_ok)
      return false;
    groups->push_back(group);
  }
  return true;
}

}  // namespace

napi_value NetlinkOpen(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  napi_value options = args.Object(0);
  std::string netns;
  int32_t rcvbuf = 0;
  args.StringProp(options, "netns", false, &netns);
  args.IntProp(options, "rcvbuf", &rcvbuf);
  if (!args.ok()) return nullptr;
  std::vector<int32_t> groups;
  if (!ReadGroups(env, options, &groups)) {
    napi_throw_type_error(env, nullptr, "groups: an array of numbers expected");
    return nullptr;
  }
  int fd = -1;
  uint32_t portid = 0;
  const auto undo = [&fd] {
    if (fd >= 0) close(fd);
    fd = -1;
  };
  const SysError error = InNetns(
      netns, [&] { return Open(groups, rcvbuf, &fd, &portid); }, undo);
  if (error) {
    undo();
    return ThrowErrno(env, error.error, error.syscall);
  }
  napi_value out, port;
  napi_create_object(env, &out);
  SetInt(env, out, "fd", fd);
  napi_create_uint32(env, portid, &port);
  napi_set_named_property(env, out, "portid", port);
  return out;
}

napi_value NetlinkJoin(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int(0);
  int group = args.Int(1);
  if (!args.ok()) return nullptr;
  if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return ThrowErrno(env, errno, "setsockopt(NETLINK_ADD_MEMBERSHIP)");
  return MakeUndefined(env);
}

napi_value NetlinkSend(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  size_t length;
  const int fd = args.Int(0);
  const uint8_t* message = args.Bytes(1, &length);
  if (!args.ok()) return nullptr;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd, message, length, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) < 0)
    return ThrowErrno(env, errno, "sendto(AF_NETLINK)");
  return MakeUndefined(env);
}

napi_value NetlinkRecv(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  size_t length;
  const int fd = args.Int(0);
  uint8_t* buffer = args.Bytes(1, &length);
  if (!args.ok()) return nullptr;
  for (;;) {
    sockaddr_nl from{};
    iovec vector{buffer, length};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    const ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return MakeInt(env, 0);
      if (errno == ENOBUFS) return MakeInt(env, -1);
      return ThrowErrno(env, errno, "recvmsg(AF_NETLINK)");
    }
    if ((message.msg_flags & MSG_TRUNC) != 0) return ThrowErrno(env, EMSGSIZE, "recvmsg(AF_NETLINK)");
    // Another process can send to our port id; only the kernel is believed.
    if (from.nl_pid != 0 || n == 0) continue;
    return MakeInt(env, static_cast<int32_t>(n));
  }
}

napi_value SetNetns(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  std::string name;
  const bool given = args.StringOrNull(0, &name);
  if (!args.ok()) return nullptr;
  const SysError error = EnterNetns(given ? &name : nullptr);
  return error ? ThrowErrno(env, error.error, error.syscall) : MakeUndefined(env);
}

}  // namespace ts
