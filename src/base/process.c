#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "base/process.h"

#include <sched.h>
#include <unistd.h>

long sf_process_id(void) {
  return (long)getpid();
}

sf_code sf_process_check(long made_in, const char *what, sf_error *error) {
  if (made_in == sf_process_id())
    return SF_OK;
  return sf_fail(error, SF_READER_STATE_ERROR,
                 "%s was made by process %ld and can't be used after a fork: make one in this process", what, made_in);
}

uint32_t sf_usable_cpus(void) {
#if defined(__linux__)
  cpu_set_t bound_to; /* of 1024 CPUs: the call fails where there are more */
  if (sched_getaffinity(0, sizeof(bound_to), &bound_to) == 0 && CPU_COUNT(&bound_to) > 0)
    return (uint32_t)CPU_COUNT(&bound_to);
#endif
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (uint32_t)count : 1;
}
