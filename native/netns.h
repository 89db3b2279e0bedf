// Namespaces of `ip netns`: enter, act, restore in one call.
#pragma once
#include <functional>
#include <string>

namespace ts {

struct SysError {
  int error = 0;
  std::string syscall;
  explicit operator bool() const { return error != 0; }
};

// Runs `act` in the namespace `name` (the calling thread's own when empty) and comes back in all cases. A failed return is an error
// too, and the more serious one: `act` has then been undone by `undo`, when given.
SysError InNetns(const std::string& name, const std::function<SysError()>& act, const std::function<void()>& undo);

// Moves the calling thread for good; the process's own namespace when `name` is null.
SysError EnterNetns(const std::string* name);

}  // namespace ts
