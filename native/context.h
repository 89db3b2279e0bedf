// What a function that is called once a batch needs each time: checked and looked up once, held for its callers as an opaque value. JavaScript arrays that it
// points into stay where they are while it lives.
#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include "napi.h"

namespace ts {

struct Context {
  explicit Context(const char* of) : kind(of) {}
  virtual ~Context() = default;
  // Identity of the class: a context of another kind is a TypeError.
  const char* const kind;
  std::vector<napi_ref> kept;
};

// The opaque value; `keep` are the arrays that `context` points into. Null with an error thrown on failure.
napi_value MakeContext(napi_env env, std::unique_ptr<Context> context, std::initializer_list<napi_value> keep);

// The context of `kind` in argument `i`, or null with a TypeError.
Context* GetContext(Args* args, size_t i, const char* kind);

}  // namespace ts
