#include "netns.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

namespace ts {

static SysError OpenNetns(const std::string& name, int* fd) {
  if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..")
    return {EINVAL, "open(/run/netns/" + name + ")"};
  const std::string path = "/run/netns/" + name;
  *fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (*fd < 0) return {errno, "open(" + path + ")"};
  return {};
}

SysError InNetns(const std::string& name, const std::function<SysError()>& act, const std::function<void()>& undo) {
  if (name.empty()) return act();
  const int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) return {errno, "open(/proc/thread-self/ns/net)"};
  int there = -1;
  SysError result = OpenNetns(name, &there);
  if (!result && setns(there, CLONE_NEWNET) != 0) result = {errno, "setns(" + name + ")"};
  const bool moved = !result;
  if (moved) result = act();
  if (moved && setns(home, CLONE_NEWNET) != 0) {
    if (!result && undo) undo();
    result = {errno, "setns(back from " + name + ")"};
  }
  if (there >= 0) close(there);
  close(home);
  return result;
}

SysError EnterNetns(const std::string* name) {
  int fd = -1;
  if (name != nullptr) {
    const SysError error = OpenNetns(*name, &fd);
    if (error) return error;
  } else {
    fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {errno, "open(/proc/self/ns/net)"};
  }
  const int error = setns(fd, CLONE_NEWNET) != 0 ? errno : 0;
  close(fd);
  if (error != 0) return {error, "setns"};
  return {};
}

}  // namespace ts
