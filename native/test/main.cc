// Runs the tests whose name contains the first argument, or all.
#include <cstring>

#include "check.h"

int main(int argc, char** argv) {
  int run = 0, failed = 0;
  for (const ts_test::Test& test : ts_test::tests()) {
    if (argc > 1 && strstr(test.name, argv[1]) == nullptr) continue;
    const int before = ts_test::failures;
    test.run();
    run++;
    if (ts_test::failures == before) continue;
    failed++;
    fprintf(stderr, "FAILED %s\n", test.name);
  }
  printf("native: %d tests passed, %d failed\n", run - failed, failed);
  return run > 0 && failed == 0 ? 0 : 1;
}
