// Argument checking and errors at the Node-API boundary. A failed check has thrown a JavaScript error: return at once.
#pragma once
#define NAPI_VERSION 8
#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace ts {

// The arguments of one call, checked one by one. After the first failure `ok` stays false and a TypeError or RangeError is pending.
class Args {
 public:
  static constexpr size_t kMax = 16;
  Args(napi_env env, napi_callback_info info, size_t expected);

  bool ok() const { return ok_; }
  napi_env env() const { return env_; }
  napi_value at(size_t i) const { return values_[i]; }

  // A number without a fraction, -2^31 to 2^32 - 1; the upper half wraps.
  int32_t Int(size_t i);
  uint8_t* Bytes(size_t i, size_t* length);
  // Int32Array; `length` counts elements and is at least `least`.
  int32_t* Ints(size_t i, size_t* length, size_t least = 0);
  napi_value Object(size_t i);
  napi_value Function(size_t i);
  // String or null; null gives false.
  bool StringOrNull(size_t i, std::string* out);

  // Properties of an object argument; absent ones leave `out` alone and return false.
  bool StringProp(napi_value object, const char* name, bool required, std::string* out);
  bool BoolProp(napi_value object, const char* name, bool* out);
  bool IntProp(napi_value object, const char* name, int32_t* out);

  // Float64Array.
  double* Doubles(size_t i, size_t* length, size_t least = 0);
  // Throws a RangeError and fails the call.
  void Range(const std::string& message);
  // Throws a TypeError: "argument i: EXPECTED expected".
  void Type(size_t i, const char* expected);

 private:
  napi_env env_;
  napi_value values_[kMax];
  bool ok_ = true;
};

// Throws an Error with `code`, `errno` and `syscall`; returns null, to be returned by the caller.
napi_value ThrowErrno(napi_env env, int error, const std::string& syscall);

napi_value MakeInt(napi_env env, int32_t value);
napi_value MakeUndefined(napi_env env);
void SetInt(napi_env env, napi_value object, const char* name, int32_t value);
void SetString(napi_env env, napi_value object, const char* name, const std::string& value);

}  // namespace ts
