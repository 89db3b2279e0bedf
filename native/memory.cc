// Advice to the kernel about memory that V8 has allocated.
#include <sys/mman.h>

#include "functions.h"
#include "napi.h"

namespace ts {

napi_value HugePages(napi_env env, napi_callback_info info) {
  constexpr uintptr_t kHuge = 2 << 20;
  Args args(env, info, 1);
  size_t length;
  const int32_t* words = args.Ints(0, &length);
  if (!args.ok()) return nullptr;
  // What lies on the first and the last page may be others'.
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(words) + kHuge - 1) & ~(kHuge - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(words + length) & ~(kHuge - 1);
  const bool advised = begin < end && madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE) == 0;
  napi_value out;
  napi_get_boolean(env, advised, &out);
  return out;
}

}  // namespace ts
