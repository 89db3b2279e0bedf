#include "napi.h"

#include <cstdint>
#include <cstring>

namespace ts {

Args::Args(napi_env env, napi_callback_info info, size_t expected) : env_(env) {
  size_t count = kMax;
  if (napi_get_cb_info(env, info, &count, values_, nullptr, nullptr) != napi_ok || count < expected) {
    ok_ = false;
    const std::string message = std::to_string(expected) + " arguments expected, not " + std::to_string(count);
    napi_throw_type_error(env, nullptr, message.c_str());
  }
}

void Args::Type(size_t i, const char* expected) {
  if (!ok_) return;
  ok_ = false;
  const std::string message = "argument " + std::to_string(i) + ": " + expected + " expected";
  napi_throw_type_error(env_, nullptr, message.c_str());
}

void Args::Range(const std::string& message) {
  if (!ok_) return;
  ok_ = false;
  napi_throw_range_error(env_, nullptr, message.c_str());
}

int32_t Args::Int(size_t i) {
  // Not napi_get_value_int32: it makes a descriptor 0 of NaN.
  double value = 0;
  if (ok_ && (napi_get_value_double(env_, values_[i], &value) != napi_ok || !(value >= INT32_MIN) ||
              !(value <= UINT32_MAX) || value != static_cast<double>(static_cast<int64_t>(value)))) {
    Type(i, "an integer of 32 bits");
    return 0;
  }
  return static_cast<int32_t>(static_cast<int64_t>(value));
}

static void* TypedArray(napi_env env, napi_value value, napi_typedarray_type wanted, size_t* length) {
  bool is = false;
  if (napi_is_typedarray(env, value, &is) != napi_ok || !is) return nullptr;
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, length, &data, nullptr, nullptr) != napi_ok || type != wanted)
    return nullptr;
  // An empty array may have no storage at all; a valid pointer that is never followed says "right type".
  static char nothing;
  return data != nullptr ? data : &nothing;
}

uint8_t* Args::Bytes(size_t i, size_t* length) {
  *length = 0;
  if (!ok_) return nullptr;
  void* data = TypedArray(env_, values_[i], napi_uint8_array, length);
  if (data == nullptr) Type(i, "a Uint8Array");
  return static_cast<uint8_t*>(data);
}

int32_t* Args::Ints(size_t i, size_t* length, size_t least) {
  *length = 0;
  if (!ok_) return nullptr;
  void* data = TypedArray(env_, values_[i], napi_int32_array, length);
  if (data == nullptr) {
    Type(i, "an Int32Array");
  } else if (*length < least) {
    Range("argument " + std::to_string(i) + ": at least " + std::to_string(least) + " elements expected, not " +
          std::to_string(*length));
  }
  return static_cast<int32_t*>(data);
}

double* Args::Doubles(size_t i, size_t* length, size_t least) {
  *length = 0;
  if (!ok_) return nullptr;
  void* data = TypedArray(env_, values_[i], napi_float64_array, length);
  if (data == nullptr) {
    Type(i, "a Float64Array");
  } else if (*length < least) {
    Range("argument " + std::to_string(i) + ": at least " + std::to_string(least) + " elements expected, not " +
          std::to_string(*length));
  }
  return static_cast<double*>(data);
}

napi_value Args::Object(size_t i) {
  napi_valuetype type = napi_undefined;
  if (ok_ && (napi_typeof(env_, values_[i], &type) != napi_ok || type != napi_object)) Type(i, "an object");
  return values_[i];
}

napi_value Args::Function(size_t i) {
  napi_valuetype type = napi_undefined;
  if (ok_ && (napi_typeof(env_, values_[i], &type) != napi_ok || type != napi_function)) Type(i, "a function");
  return values_[i];
}

static bool ReadString(napi_env env, napi_value value, std::string* out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  out->resize(length + 1);
  if (napi_get_value_string_utf8(env, value, &(*out)[0], length + 1, &length) != napi_ok) return false;
  out->resize(length);
  return out->find('\0') == std::string::npos;
}

bool Args::StringOrNull(size_t i, std::string* out) {
  if (!ok_) return false;
  napi_valuetype type;
  if (napi_typeof(env_, values_[i], &type) == napi_ok && type == napi_null) return false;
  if (!ReadString(env_, values_[i], out)) Type(i, "a string or null");
  return ok_;
}

static bool Prop(napi_env env, napi_value object, const char* name, napi_value* out) {
  napi_valuetype type;
  return napi_get_named_property(env, object, name, out) == napi_ok && napi_typeof(env, *out, &type) == napi_ok &&
         type != napi_undefined;
}

bool Args::StringProp(napi_value object, const char* name, bool required, std::string* out) {
  if (!ok_) return false;
  napi_value value;
  if (Prop(env_, object, name, &value)) {
    if (ReadString(env_, value, out)) return true;
  } else if (!required) {
    return false;
  }
  ok_ = false;
  const std::string message = std::string(name) + ": a string expected";
  napi_throw_type_error(env_, nullptr, message.c_str());
  return false;
}

bool Args::BoolProp(napi_value object, const char* name, bool* out) {
  napi_value value;
  if (!ok_ || !Prop(env_, object, name, &value)) return false;
  if (napi_get_value_bool(env_, value, out) == napi_ok) return true;
  ok_ = false;
  const std::string message = std::string(name) + ": a boolean expected";
  napi_throw_type_error(env_, nullptr, message.c_str());
  return false;
}

bool Args::IntProp(napi_value object, const char* name, int32_t* out) {
  napi_value value;
  if (!ok_ || !Prop(env_, object, name, &value)) return false;
  if (napi_get_value_int32(env_, value, out) == napi_ok) return true;
  ok_ = false;
  const std::string message = std::string(name) + ": a number expected";
  napi_throw_type_error(env_, nullptr, message.c_str());
  return false;
}

napi_value ThrowErrno(napi_env env, int error, const std::string& syscall) {
  const char* name = strerrorname_np(error);
  const std::string code = name != nullptr ? name : "E" + std::to_string(error);
  const std::string text = code + ": " + strerror(error) + ", " + syscall;
  napi_value code_value, message, object;
  napi_create_string_utf8(env, code.c_str(), code.size(), &code_value);
  napi_create_string_utf8(env, text.c_str(), text.size(), &message);
  if (napi_create_error(env, code_value, message, &object) != napi_ok) return nullptr;
  SetInt(env, object, "errno", error);
  SetString(env, object, "syscall", syscall);
  napi_throw(env, object);
  return nullptr;
}

napi_value MakeInt(napi_env env, int32_t value) {
  napi_value out = nullptr;
  napi_create_int32(env, value, &out);
  return out;
}

napi_value MakeUndefined(napi_env env) {
  napi_value out = nullptr;
  napi_get_undefined(env, &out);
  return out;
}

void SetInt(napi_env env, napi_value object, const char* name, int32_t value) {
  napi_set_named_property(env, object, name, MakeInt(env, value));
}

void SetString(napi_env env, napi_value object, const char* name, const std::string& value) {
  napi_value text;
  if (napi_create_string_utf8(env, value.c_str(), value.size(), &text) == napi_ok)
    napi_set_named_property(env, object, name, text);
}

}  // namespace ts
