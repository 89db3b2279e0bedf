// TAP devices: open by name, in a namespace, with the best offloads that the kernel accepts.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "functions.h"
#include "napi.h"
#include "netns.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef TUN_F_UDP_TUNNEL_GSO
#define TUN_F_UDP_TUNNEL_GSO 0x080
#define TUN_F_UDP_TUNNEL_GSO_CSUM 0x100
#endif

namespace ts {
namespace {

struct OffloadStep {
  int header;
  unsigned bits;
};

// UDP tunnel GSO needs the 24-byte header, whose last words tell where the inner packet begins (kernel 6.17); USO needs 6.2.
constexpr unsigned kTso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
constexpr OffloadStep kSteps[] = {
    {24, kTso | TUN_F_USO4 | TUN_F_USO6 | TUN_F_UDP_TUNNEL_GSO | TUN_F_UDP_TUNNEL_GSO_CSUM},
    {12, kTso | TUN_F_USO4 | TUN_F_USO6},
    {12, kTso},
    {12, TUN_F_CSUM},
    {12, 0},
};

struct Tap {
  int fd = -1;
  char name[IFNAMSIZ] = {};
  int ifindex = 0;
  int header = 0;
  unsigned offloads = 0;
};

SysError Negotiate(Tap* tap) {
  for (const OffloadStep& step : kSteps) {
    int size = step.header;
    if (ioctl(tap->fd, TUNSETVNETHDRSZ, &size) != 0) continue;
    if (ioctl(tap->fd, TUNSETOFFLOAD, static_cast<unsigned long>(step.bits)) != 0) continue;
    tap->header = step.header;
    tap->offloads = step.bits;
    return {};
  }
  return {errno, "ioctl(TUNSETOFFLOAD)"};
}

SysError Open(const std::string& name, bool multi_queue, bool persist, bool offloads, Tap* tap) {
  tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap->fd < 0) return {errno, "open(/dev/net/tun)"};
  ifreq request{};
  memcpy(request.ifr_name, name.c_str(), name.size());
  request.ifr_flags =
      static_cast<short>(IFF_TAP | IFF_NO_PI | (offloads ? IFF_VNET_HDR : 0) | (multi_queue ? IFF_MULTI_QUEUE : 0));
  if (ioctl(tap->fd, TUNSETIFF, &request) != 0) return {errno, "ioctl(TUNSETIFF)"};
  memcpy(tap->name, request.ifr_name, IFNAMSIZ - 1);
  if (offloads) {
    const SysError error = Negotiate(tap);
    if (error) return error;
  } else {
    ioctl(tap->fd, TUNSETOFFLOAD, 0UL);
  }
  if (ioctl(tap->fd, TUNSETPERSIST, static_cast<unsigned long>(persist)) != 0) return {errno, "ioctl(TUNSETPERSIST)"};
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) return {errno, "socket"};
  const int status = ioctl(any, SIOCGIFINDEX, &request);
  const int error = errno;
  close(any);
  if (status != 0) return {error, "ioctl(SIOCGIFINDEX)"};
  tap->ifindex = request.ifr_ifindex;
  return {};
}

}  // namespace

napi_value OpenTap(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  napi_value options = args.Object(0);
  std::string name, netns, offloads = "best";
  bool multi_queue = false, persist = false;
  args.StringProp(options, "name", true, &name);
  args.StringProp(options, "netns", false, &netns);
  args.StringProp(options, "offloads", false, &offloads);
  args.BoolProp(options, "multiQueue", &multi_queue);
  args.BoolProp(options, "persist", &persist);
  if (args.ok() && (name.empty() || name.size() >= IFNAMSIZ))
    args.Range("name: 1 to 15 bytes expected, not \"" + name + "\"");
  if (args.ok() && offloads != "best" && offloads != "none") args.Range("offloads: \"best\" or \"none\" expected");
  if (!args.ok()) return nullptr;

  Tap tap;
  const auto undo = [&tap] {
    if (tap.fd >= 0) close(tap.fd);
    tap.fd = -1;
  };
  const SysError error = InNetns(
      netns, [&] { return Open(name, multi_queue, persist, offloads == "best", &tap); }, undo);
  if (error) {
    undo();
    return ThrowErrno(env, error.error, error.syscall);
  }
  napi_value out;
  napi_create_object(env, &out);
  SetInt(env, out, "fd", tap.fd);
  SetString(env, out, "name", tap.name);
  SetInt(env, out, "ifindex", tap.ifindex);
  SetInt(env, out, "vnetHdr", tap.header);
  SetInt(env, out, "offloads", static_cast<int32_t>(tap.offloads));
  return out;
}

napi_value SetCarrier(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int(0);
  bool on = false;
  if (!args.ok()) return nullptr;
  if (napi_get_value_bool(env, args.at(1), &on) != napi_ok) {
    napi_throw_type_error(env, nullptr, "argument 1: a boolean expected");
    return nullptr;
  }
  int carrier = on ? 1 : 0;
  if (ioctl(fd, TUNSETCARRIER, &carrier) != 0) return ThrowErrno(env, errno, "ioctl(TUNSETCARRIER)");
  return MakeUndefined(env);
}

napi_value Close(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int fd = args.Int(0);
  if (!args.ok()) return nullptr;
  if (close(fd) != 0 && errno != EINTR) return ThrowErrno(env, errno, "close");
  return MakeUndefined(env);
}

}  // namespace ts
