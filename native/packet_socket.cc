// AF_PACKET attachment to an existing interface (packet(7)).
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "functions.h"
#include "napi.h"
#include "netns.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

namespace ts {
namespace {

struct PacketSocket {
  int fd = -1;
  int ifindex = 0;
  int header = 0;
};

SysError Set(int fd, int option, const char* name) {
  int one = 1;
  if (setsockopt(fd, SOL_PACKET, option, &one, sizeof one) != 0)
    return {errno, std::string("setsockopt(") + name + ")"};
  return {};
}

SysError Open(const std::string& name, bool header, PacketSocket* packet) {
  packet->ifindex = static_cast<int>(if_nametoindex(name.c_str()));
  if (packet->ifindex == 0) return {errno, "if_nametoindex(" + name + ")"};
  // Protocol 0: nothing is received before the socket is bound to its one interface.
  packet->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (packet->fd < 0) return {errno, "socket(AF_PACKET)"};
  SysError error = Set(packet->fd, PACKET_AUXDATA, "PACKET_AUXDATA");
  if (error) return error;
  // Older kernels: the receive batch skips PACKET_OUTGOING frames itself.
  Set(packet->fd, PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING");
  if (header) {
    error = Set(packet->fd, PACKET_VNET_HDR, "PACKET_VNET_HDR");
    if (error) return error;
    packet->header = 10;
  }
  packet_mreq membership{};
  membership.mr_ifindex = packet->ifindex;
  membership.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(packet->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) != 0)
    return {errno, "setsockopt(PACKET_ADD_MEMBERSHIP)"};
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = packet->ifindex;
  if (bind(packet->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return {errno, "bind(" + name + ")"};
  return {};
}

}  // namespace

napi_value OpenPacket(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  napi_value options = args.Object(0);
  std::string name, netns;
  bool header = true;
  args.StringProp(options, "name", true, &name);
  args.StringProp(options, "netns", false, &netns);
  args.BoolProp(options, "vnetHdr", &header);
  if (!args.ok()) return nullptr;
  PacketSocket packet;
  const auto undo = [&packet] {
    if (packet.fd >= 0) close(packet.fd);
    packet.fd = -1;
  };
  const SysError error = InNetns(
      netns, [&] { return Open(name, header, &packet); }, undo);
  if (error) {
    undo();
    return ThrowErrno(env, error.error, error.syscall);
  }
  napi_value out;
  napi_create_object(env, &out);
  SetInt(env, out, "fd", packet.fd);
  SetInt(env, out, "ifindex", packet.ifindex);
  SetInt(env, out, "vnetHdr", packet.header);
  return out;
}

}  // namespace ts
