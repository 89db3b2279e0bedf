#include "context.h"

namespace ts {

namespace {

void Finalize(napi_env env, void* data, void*) {
  Context* const context = static_cast<Context*>(data);
  for (napi_ref ref : context->kept) napi_delete_reference(env, ref);
  delete context;
}

}  // namespace

napi_value MakeContext(napi_env env, std::unique_ptr<Context> context, std::initializer_list<napi_value> keep) {
  for (napi_value value : keep) {
    napi_ref ref;
    if (napi_create_reference(env, value, 1, &ref) == napi_ok) context->kept.push_back(ref);
  }
  napi_value out = nullptr;
  if (context->kept.size() != keep.size() ||
      napi_create_external(env, context.get(), Finalize, nullptr, &out) != napi_ok) {
    for (napi_ref ref : context->kept) napi_delete_reference(env, ref);
    napi_throw_error(env, nullptr, "no memory for a context");
    return nullptr;
  }
  context.release();
  return out;
}

Context* GetContext(Args* args, size_t i, const char* kind) {
  if (!args->ok()) return nullptr;
  void* data = nullptr;
  if (napi_get_value_external(args->env(), args->at(i), &data) == napi_ok && data != nullptr) {
    Context* const context = static_cast<Context*>(data);
    if (context->kind == kind) return context;
  }
  args->Type(i, kind);
  return nullptr;
}

}  // namespace ts
