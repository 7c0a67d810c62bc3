/* Conditions without which a test program can't go on: of its own preparations, not of what it tests. */
#ifndef SF_TESTS_REQUIRE_H
#define SF_TESTS_REQUIRE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Unless `holds`, prints the place and `what` (a description of what failed), and aborts the program. */
#define require(holds, what) require_at(holds, what, __FILE__, __LINE__)

static inline void require_at(bool holds, const char *what, const char *file, int line) {
  if (holds)
    return;
  fprintf(stderr, "%s:%d: required: %s\n", file, line, what);
  abort();
}

#endif
