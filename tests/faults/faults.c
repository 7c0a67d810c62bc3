#include "faults/faults.h"

#include <execinfo.h>
#include <stdatomic.h>

enum { MAX_FRAMES = 40 };

static atomic_bool is_armed;
static atomic_ullong num_counted;
static atomic_ullong num_failed;
static unsigned long long first_to_fail;
static fault_mode mode_of_failing;
static void *frames[MAX_FRAMES];
static atomic_int num_frames;

/* The first backtrace loads a library, which allocates. */
__attribute__((constructor)) static void load_unwinder(void) {
  void *unused[1];
  backtrace(unused, 1);
}

void faults_arm(uint64_t point, fault_mode mode) {
  first_to_fail = point;
  mode_of_failing = mode;
  atomic_store(&num_frames, 0);
  atomic_store(&num_counted, 0);
  atomic_store(&num_failed, 0);
  atomic_store(&is_armed, true);
}

uint64_t faults_disarm(void) {
  atomic_store(&is_armed, false);
  return atomic_load(&num_failed);
}

uint64_t faults_counted(void) {
  return atomic_load(&num_counted);
}

void faults_report(int descriptor) {
  backtrace_symbols_fd(frames, atomic_load(&num_frames), descriptor);
}

bool faults_due(const void *caller) {
  if (!atomic_load_explicit(&is_armed, memory_order_relaxed) || !faults_caller_counts(caller))
    return false;
  unsigned long long number = atomic_fetch_add(&num_counted, 1) + 1;
  bool fails =
      first_to_fail != 0 && (mode_of_failing == FAULT_ONCE ? number == first_to_fail : number >= first_to_fail);
  if (fails && atomic_fetch_add(&num_failed, 1) == 0)
    atomic_store(&num_frames, backtrace(frames, MAX_FRAMES));
  return fails;
}
