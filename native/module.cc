// Registration of the addon's functions. Context-aware: loads in the main thread and in any number of workers.
#include "batch_tx.h"
#include "functions.h"
#include "layout.h"
#include "napi.h"

namespace ts {

void InstallWatchCleanUp(napi_env env);

static napi_value GetLayout(napi_env env, napi_callback_info) {
  napi_value out;
  napi_create_object(env, &out);
#define X(name, value) SetInt(env, out, #name, value);
  TS_LAYOUT(X)
#undef X
  return out;
}

struct Entry {
  const char* name;
  napi_callback function;
};

constexpr Entry kEntries[] = {
    {"layout", GetLayout},
    {"openTap", OpenTap},
    {"setCarrier", SetCarrier},
    {"openPacket", OpenPacket},
    {"close", Close},
    {"rxOpen", RxOpen},
    {"rxBatch", RxBatch},
    {"txOpen", TxOpen},
    {"txBatch", TxBatch},
    {"checksum", Checksum},
    {"completeChecksum", CompleteChecksum},
    {"segment", Segment},
    {"epollCreate", EpollCreate},
    {"epollAdd", EpollAdd},
    {"epollDel", EpollDel},
    {"epollOpen", EpollOpen},
    {"epollWait", EpollWait},
    {"eventfd", Eventfd},
    {"eventfdSignal", EventfdSignal},
    {"eventfdWait", EventfdWait},
    {"eventfdDrain", EventfdDrain},
    {"netlinkOpen", NetlinkOpen},
    {"netlinkJoin", NetlinkJoin},
    {"netlinkSend", NetlinkSend},
    {"netlinkRecv", NetlinkRecv},
    {"watch", Watch},
    {"unwatch", Unwatch},
    {"hugePages", HugePages},
    {"setns", SetNetns},
};

}  // namespace ts

NAPI_MODULE_INIT() {
  for (const ts::Entry& entry : ts::kEntries) {
    napi_value function;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &function) != napi_ok ||
        napi_set_named_property(env, exports, entry.name, function) != napi_ok)
      return nullptr;
  }
  ts::InstallWatchCleanUp(env);
  return exports;
}
