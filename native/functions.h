// Every function of the addon, as src/native/binding.ts documents it.
#pragma once
#include "napi.h"

namespace ts {

napi_value OpenTap(napi_env, napi_callback_info);
napi_value SetCarrier(napi_env, napi_callback_info);
napi_value OpenPacket(napi_env, napi_callback_info);
napi_value Close(napi_env, napi_callback_info);

napi_value RxOpen(napi_env, napi_callback_info);
napi_value RxBatch(napi_env, napi_callback_info);

napi_value EpollCreate(napi_env, napi_callback_info);
napi_value EpollAdd(napi_env, napi_callback_info);
napi_value EpollDel(napi_env, napi_callback_info);
napi_value EpollOpen(napi_env, napi_callback_info);
napi_value EpollWait(napi_env, napi_callback_info);
napi_value Eventfd(napi_env, napi_callback_info);
napi_value EventfdSignal(napi_env, napi_callback_info);
napi_value EventfdWait(napi_env, napi_callback_info);
napi_value EventfdDrain(napi_env, napi_callback_info);

napi_value NetlinkOpen(napi_env, napi_callback_info);
napi_value NetlinkJoin(napi_env, napi_callback_info);
napi_value NetlinkSend(napi_env, napi_callback_info);
napi_value NetlinkRecv(napi_env, napi_callback_info);

napi_value Watch(napi_env, napi_callback_info);
napi_value Unwatch(napi_env, napi_callback_info);

napi_value HugePages(napi_env, napi_callback_info);

napi_value SetNetns(napi_env, napi_callback_info);

}  // namespace ts
