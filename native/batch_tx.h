// Batch transmit, and the software that takes an offload's place, as src/native/binding.ts documents them.
#pragma once
#include "napi.h"

namespace ts {

napi_value TxOpen(napi_env, napi_callback_info);
napi_value TxBatch(napi_env, napi_callback_info);
napi_value Checksum(napi_env, napi_callback_info);
napi_value CompleteChecksum(napi_env, napi_callback_info);
napi_value Segment(napi_env, napi_callback_info);

}  // namespace ts
