// Just enough of a test kit: named tests that register themselves, a check that reports where it failed, reproducible
// random numbers.
#pragma once

#include <cstdint>
#include <cstdio>
#include <vector>

namespace ts_test {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline int failures = 0;

struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

// xorshift64*: the same sequence everywhere for one seed.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }
  // 0 to n - 1.
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((next() >> 32) % n); }
  bool one_in(uint32_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

}  // namespace ts_test

#define TEST(name)                                             \
  static void name();                                          \
  static const ts_test::Register register_##name(#name, name); \
  static void name()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      ts_test::failures++;                                                      \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                           \
  } while (0)

#define CHECK_EQ(got, wanted)                                                                               \
  do {                                                                                                      \
    const long long got_value = static_cast<long long>(got), wanted_value = static_cast<long long>(wanted); \
    if (got_value != wanted_value) {                                                                        \
      ts_test::failures++;                                                                                  \
      fprintf(stderr, "%s:%d: %s is %lld (%#llx), not %lld (%#llx)\n", __FILE__, __LINE__, #got, got_value, \
              static_cast<unsigned long long>(got_value), wanted_value,                                     \
              static_cast<unsigned long long>(wanted_value));                                               \
    }                                                                                                       \
  } while (0)
