// Readiness of descriptors for an event loop: one polling thread per process, one thread-safe function per watch.
//
// A descriptor is armed for one shot; the poller queues the callback; after the callback has run on its own thread the watch is armed
// again. So a callback is never queued twice, and a slow loop slows its own watches only.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "functions.h"
#include "napi.h"

namespace ts {
namespace {

struct WatchState {
  int handle = 0;
  int fd = -1;
  napi_env env = nullptr;
  napi_threadsafe_function notify = nullptr;
};

class Poller {
 public:
  // The poller lives as long as the process: its thread is detached and may be inside epoll_wait at exit.
  static Poller& Get() {
    static Poller* poller = new Poller();
    return *poller;
  }

  int Add(napi_env env, int fd, napi_threadsafe_function notify, int* error) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ep_ < 0) {
      ep_ = epoll_create1(EPOLL_CLOEXEC);
      if (ep_ < 0) {
        *error = errno;
        return -1;
      }
      std::thread([this] { Run(); }).detach();
    }
    const int handle = next_++;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.u32 = static_cast<uint32_t>(handle);
    if (epoll_ctl(ep_, EPOLL_CTL_ADD, fd, &event) != 0) {
      *error = errno;
      return -1;
    }
    watches_[handle] = WatchState{handle, fd, env, notify};
    return handle;
  }

  // Called after the callback ran, on the watch's own thread.
  void Rearm(int handle) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto it = watches_.find(handle);
    if (it == watches_.end()) return;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.u32 = static_cast<uint32_t>(handle);
    epoll_ctl(ep_, EPOLL_CTL_MOD, it->second.fd, &event);
  }

  bool Alive(int handle) {
    std::lock_guard<std::mutex> lock(mutex_);
    return watches_.count(handle) != 0;
  }

  bool Remove(napi_env env, int handle) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto it = watches_.find(handle);
    if (it == watches_.end() || it->second.env != env) return false;
    Drop(it->second);
    watches_.erase(it);
    return true;
  }

  void RemoveAll(napi_env env) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto it = watches_.begin(); it != watches_.end();) {
      if (it->second.env == env) {
        Drop(it->second);
        it = watches_.erase(it);
      } else {
        ++it;
      }
    }
  }

 private:
  void Drop(const WatchState& watch) {
    epoll_ctl(ep_, EPOLL_CTL_DEL, watch.fd, nullptr);
    napi_release_threadsafe_function(watch.notify, napi_tsfn_abort);
  }

  void Run() {
    for (;;) {
      epoll_event ready[16];
      const int n = epoll_wait(ep_, ready, 16, -1);
      if (n < 0 && errno != EINTR) return;
      std::lock_guard<std::mutex> lock(mutex_);
      for (int i = 0; i < n; i++) {
        const int handle = static_cast<int>(ready[i].data.u32);
        const auto it = watches_.find(handle);
        if (it == watches_.end()) continue;
        napi_call_threadsafe_function(it->second.notify, reinterpret_cast<void*>(static_cast<intptr_t>(handle)),
                                      napi_tsfn_nonblocking);
      }
    }
  }

  std::mutex mutex_;
  int ep_ = -1;
  int next_ = 1;
  std::map<int, WatchState> watches_;
};

void Notify(napi_env env, napi_value callback, void*, void* data) {
  const int handle = static_cast<int>(reinterpret_cast<intptr_t>(data));
  if (env == nullptr || callback == nullptr || !Poller::Get().Alive(handle)) return;
  napi_value receiver;
  napi_get_undefined(env, &receiver);
  const napi_status status = napi_call_function(env, receiver, callback, 0, nullptr, nullptr);
  Poller::Get().Rearm(handle);
  if (status == napi_pending_exception) {
    // Thrown by the callback: it is the program's uncaught exception, not a reason to abort.
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
}

void CleanUp(void* env) { Poller::Get().RemoveAll(static_cast<napi_env>(env)); }

}  // namespace

napi_value Watch(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const int fd = args.Int(0);
  napi_value callback = args.Function(1);
  if (!args.ok()) return nullptr;
  napi_value name;
  napi_create_string_utf8(env, "tapswitch.watch", NAPI_AUTO_LENGTH, &name);
  napi_threadsafe_function notify;
  if (napi_create_threadsafe_function(env, callback, nullptr, name, 0, 1, nullptr, nullptr, nullptr, Notify, &notify) !=
      napi_ok) {
    napi_throw_error(env, nullptr, "the watch cannot be created");
    return nullptr;
  }
  int error = 0;
  const int handle = Poller::Get().Add(env, fd, notify, &error);
  if (handle < 0) {
    napi_release_threadsafe_function(notify, napi_tsfn_abort);
    return ThrowErrno(env, error, "epoll_ctl(ADD)");
  }
  return MakeInt(env, handle);
}

napi_value Unwatch(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const int handle = args.Int(0);
  if (!args.ok()) return nullptr;
  Poller::Get().Remove(env, handle);
  return MakeUndefined(env);
}

// Called once per environment that loads the addon.
void InstallWatchCleanUp(napi_env env) { napi_add_env_cleanup_hook(env, CleanUp, env); }

}  // namespace ts
