#include "base/thread.h"

#include "base/time.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#if defined(__APPLE__)
#include <pthread/qos.h>
#elif defined(__linux__)
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

bool sf_condition_init(pthread_cond_t *condition) {
#if defined(__APPLE__)
  return pthread_cond_init(condition, NULL) == 0;
#else
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0)
    return false;
  bool made =
      pthread_condattr_setclock(&attributes, SF_CONDITION_CLOCK) == 0 && pthread_cond_init(condition, &attributes) == 0;
  pthread_condattr_destroy(&attributes);
  return made;
#endif
}

bool sf_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline) {
  if (deadline == NULL)
    return pthread_cond_wait(condition, mutex) == 0;
  return pthread_cond_timedwait(condition, mutex, deadline) != ETIMEDOUT;
}

bool sf_wait_awake(const atomic_uint *value, unsigned seen) {
  enum { NANOSECONDS = 50000 };
  uint64_t begin = sf_monotonic_nanoseconds();
  while (atomic_load_explicit(value, memory_order_acquire) == seen) {
    if (sf_monotonic_nanoseconds() - begin > NANOSECONDS)
      return false;
    sched_yield();
  }
  return true;
}

#if defined(__linux__) && defined(SYS_sched_setattr)
/* The first version of the kernel's struct sched_attr (include/uapi/linux/sched/types.h), which C libraries lack. */
typedef struct scheduling_attributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime; /* for SCHED_OTHER: the length of a time slice, in nanoseconds */
  uint64_t deadline;
  uint64_t period;
} scheduling_attributes;

void sf_thread_prefer_long_turns(void) {
  enum { TURN_NANOSECONDS = 4000000 };
  const scheduling_attributes attributes = {.size = sizeof(attributes),
                                            .policy = SCHED_OTHER,
                                            .nice = getpriority(PRIO_PROCESS, 0),
                                            .runtime = TURN_NANOSECONDS};
  if (sched_getscheduler(0) == SCHED_OTHER)
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}
#else
void sf_thread_prefer_long_turns(void) {}
#endif

void sf_thread_offer_cpu(void) {
  sched_yield();
}

int sf_thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  /* glibc returns EAGAIN when it gets no memory for the thread (pthread_create.c), and leaves errno as it was set. */
  errno = 0;
  int failure = pthread_create(thread, NULL, run, argument);
  if (failure == EAGAIN && errno == ENOMEM)
    failure = ENOMEM;
  pthread_sigmask(SIG_SETMASK, &previous, NULL);
  return failure;
}

sf_code sf_fail_thread(sf_error *error, int reason, const char *purpose) {
  if (reason == ENOMEM)
    return sf_fail_memory(error, "a thread");
  return sf_fail(error, SF_POOL_EXHAUSTED_ERROR, "can't start a thread %s", purpose);
}

#if defined(__linux__)
enum { NICEST = 19 };

/* On Linux each thread has its own nice value, and 0 means the calling thread (setpriority(2), "C library/kernel
 * differences"). */
void sf_thread_lower_priority(uint32_t nice) {
  /* From the main thread's value, not the starting thread's. */
  int wanted = getpriority(PRIO_PROCESS, (id_t)getpid()) + (int)nice;
  if (nice > 0 && getpriority(PRIO_PROCESS, 0) < wanted)
    setpriority(PRIO_PROCESS, 0, wanted < NICEST ? wanted : NICEST);
}
#else
void sf_thread_lower_priority(uint32_t nice) {
  (void)nice;
#if defined(__APPLE__)
  if (nice > 0)
    pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
#endif
}
#endif

/* A fork's child inherits the count without the threads: it may start fewer, never more. */
static atomic_uint num_helpers;

bool sf_helper_thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
  bool starts = atomic_fetch_add_explicit(&num_helpers, 1, memory_order_relaxed) < SF_MAX_HELPER_THREADS &&
                sf_thread_start(thread, run, argument) == 0;
  if (!starts)
    atomic_fetch_sub_explicit(&num_helpers, 1, memory_order_relaxed);
  return starts;
}

void sf_helper_thread_join(pthread_t thread) {
  pthread_join(thread, NULL);
  atomic_fetch_sub_explicit(&num_helpers, 1, memory_order_relaxed);
}
