/*
 * A sweep: each scenario is run with its first allocation failing, then its second, up to the last; then again with all
 * later ones failing too. A run says that memory is out or gives the right answer, and the same use without a fault is
 * right straight afterwards. docs/reliability.md has more.
 *
 *     sweep [--short] [--stride N] [--mode once|from] [--point N] [--leaks] [--callers WORD,WORD...] [SCENARIO...]
 */
#include "faults/faults.h"
#include "faults/scenarios.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Longer than any run takes on a busy machine with a sanitizer: what takes longer hangs. */
enum { HANG_SECONDS = 120, MAX_WRONGS = 4 };

typedef struct options {
  bool is_short;
  bool checks_leaks; /* after each point, rather than each scenario */
  uint64_t stride;   /* 0: each scenario's own */
  uint64_t point;    /* the only one; 0: all */
  int mode;          /* the only one; negative: both */
  char **names;
  int num_names;
} options;

/* Of the address sanitizer, where there is one. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

/* OpenSSL 3.0 loses a thread's error state (ERR_STATE, 904 bytes) when it has no memory to register the thread's end. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
  return "leak:libcrypto.so\n";
}

static const char *const mode_names[] = {"once", "from"};

/* The scenario that runs now, for messages of a handler that stops the program. */
static const char *current_name = "";
static fault_mode current_mode;
static uint64_t current_point;

/* Also called by signal handlers: the program has failed and ends there, so that output that might hang is worth it. */
static void say_where(void) {
  char line[160];
  /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c) */
  int length = snprintf(line, sizeof(line), "sweep: --point %" PRIu64 " --mode %s %s; the first call that failed:\n",
                        current_point, mode_names[current_mode], current_name);
  if (write(STDERR_FILENO, line, (size_t)length) == length)
    faults_report(STDERR_FILENO); /* NOLINT(bugprone-signal-handler,cert-sig30-c) */
}

static void stop(int signal_number) {
  static const char hung[] = "sweep: hung\n";
  static const char crashed[] = "sweep: crashed\n";
  const char *what = signal_number == SIGALRM ? hung : crashed;
  ssize_t written = write(STDERR_FILENO, what, strlen(what));
  (void)written;
  say_where();
  _exit(3);
}

static void catch_signals(void) {
  signal(SIGALRM, stop);
  if (__sanitizer_set_death_callback != NULL) {
    __sanitizer_set_death_callback(say_where);
    return;
  }
  signal(SIGSEGV, stop);
  signal(SIGBUS, stop);
  signal(SIGABRT, stop);
}

/* With a fault at `point`, and then without; how many calls failed. */
static bool try_point(const scenario *of, void *state, fault_mode mode, uint64_t point, uint64_t *failed) {
  sf_error error = {0};
  current_point = point;
  current_mode = mode;
  alarm(HANG_SECONDS);
  of->prepare(state);
  faults_arm(point, mode);
  sf_code code = of->run(state, &error);
  *failed = faults_disarm();
  if (*failed == 0 && code != SF_OK) {
    fprintf(stderr, "%s without a fault: %s: %s\n", of->name, sf_code_name(code), error.message);
    return false;
  }
  const char *wrong =
      code == SF_OK || code == SF_OUT_OF_MEMORY_ERROR ? of->check(state, code, *failed > 0) : sf_code_name(code);
  if (wrong != NULL) {
    fprintf(stderr, "%s: with a fault (%s): %s: %s\n", of->name, sf_code_name(code), wrong, error.message);
    if (code != SF_OK && code != SF_OUT_OF_MEMORY_ERROR)
      of->check(state, code, true);
    say_where();
    return false;
  }
  code = of->run(state, &error);
  wrong = code == SF_OK ? of->check(state, code, false) : sf_code_name(code);
  if (wrong == NULL)
    return true;
  fprintf(stderr, "%s: after a fault: %s: %s\n", of->name, wrong, error.message);
  say_where();
  return false;
}

static bool leaks(void) {
  if (__lsan_do_recoverable_leak_check == NULL || __lsan_do_recoverable_leak_check() == 0)
    return false;
  say_where();
  return true;
}

static uint64_t stride_of(const options *given, const scenario *of) {
  if (given->stride != 0)
    return given->stride;
  return given->is_short ? of->short_stride : 1;
}

/* Gives the number of wrongs. */
static unsigned sweep_mode(const options *given, const scenario *of, void *state, fault_mode mode) {
  uint64_t stride = stride_of(given, of);
  uint64_t point = given->point != 0 ? given->point : 1;
  uint64_t swept = 0;
  uint64_t failed = 1;
  unsigned wrongs = 0;
  struct timespec begin;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  while (failed > 0 && wrongs < MAX_WRONGS) {
    wrongs += !try_point(of, state, mode, point, &failed);
    wrongs += given->checks_leaks && leaks();
    swept += failed > 0;
    if (given->point != 0)
      break;
    point += stride;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
  printf("%-28s %-4s %6" PRIu64 " points, every %" PRIu64 ", %u wrong, %.1f s\n", of->name, mode_names[mode], swept,
         stride, wrongs, seconds);
  fflush(stdout);
  return wrongs + (swept == 0);
}

static unsigned sweep_scenario(const options *given, const scenario *of) {
  unsigned wrongs = 0;
  current_name = of->name;
  current_point = 0;
  void *state = of->set_up(of->plan);
  for (int mode = FAULT_ONCE; mode <= FAULT_FROM_THERE_ON; mode++)
    if (given->mode < 0 || given->mode == mode)
      wrongs += sweep_mode(given, of, state, (fault_mode)mode);
  alarm(0);
  of->tear_down(state);
  return wrongs + leaks();
}

static bool is_wanted(const options *given, const scenario *of) {
  if ((given->is_short && of->short_stride == 0) || (of->needs_store && getenv("FAULTS_STORE") == NULL))
    return false;
  for (int i = 0; i < given->num_names; i++)
    if (strcmp(given->names[i], of->name) == 0)
      return true;
  return given->num_names == 0;
}

static unsigned sweep_table(const options *given, const scenario *table, size_t count) {
  unsigned wrongs = 0;
  for (size_t i = 0; i < count; i++)
    if (is_wanted(given, &table[i]))
      wrongs += sweep_scenario(given, &table[i]);
  return wrongs;
}

static uint64_t read_number(int argc, char **argv, int *next) {
  return *next + 1 < argc ? strtoull(argv[++*next], NULL, 10) : 0;
}

static options read_options(int argc, char **argv) {
  options given = {.mode = -1};
  int next = 1;
  for (; next < argc && argv[next][0] == '-'; next++) {
    if (strcmp(argv[next], "--short") == 0)
      given.is_short = true;
    else if (strcmp(argv[next], "--leaks") == 0)
      given.checks_leaks = true;
    else if (strcmp(argv[next], "--stride") == 0)
      given.stride = read_number(argc, argv, &next);
    else if (strcmp(argv[next], "--point") == 0)
      given.point = read_number(argc, argv, &next);
    else if (strcmp(argv[next], "--callers") == 0 && next + 1 < argc)
      faults_restrict_callers(argv[++next]); /* "program" is this program and the library in it */
    else if (strcmp(argv[next], "--mode") == 0 && next + 1 < argc)
      given.mode = strcmp(argv[++next], mode_names[FAULT_ONCE]) == 0 ? FAULT_ONCE : FAULT_FROM_THERE_ON;
    else {
      fprintf(stderr, "sweep: unknown option %s\n", argv[next]);
      exit(2);
    }
  }
  given.names = argv + next;
  given.num_names = argc - next;
  return given;
}

int main(int argc, char **argv) {
  catch_signals();
  /* The sanitizer itself can do without memory in no thread that begins, nor in what it asks of the C library. */
  if (__sanitizer_set_death_callback != NULL)
    faults_restrict_callers("program,sqlite,curl,pcre,expat,crypto,ssl,jansson,protobuf,zstd,lz4");
  /* What is synced thousands of times is faster in memory. */
  if (access("/dev/shm", W_OK) == 0)
    setenv("TMPDIR", "/dev/shm", 0);
  options given = read_options(argc, argv);
  unsigned wrongs = sweep_table(&given, reading_scenarios, num_reading_scenarios) +
                    sweep_table(&given, refreshing_scenarios, num_refreshing_scenarios) +
                    sweep_table(&given, writing_scenarios, num_writing_scenarios);
  return wrongs == 0 ? 0 : 1;
}
