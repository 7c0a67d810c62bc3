/*
 * credential_process: a command that prints credentials. It is the user's own, from the configuration file, and is run by
 * /bin/sh as it stands there: nothing is added to it.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
 */
#include "base/time.h"
#include "storage/s3/credentials.h"
#include "storage/s3/shown.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OUTPUT ((size_t)64 << 10)
/* What is kept of the standard error, for the message; the rest is read and dropped. */
#define MAX_ERRORS 1024
#define TIMEOUT_NANOSECONDS ((uint64_t)60 * 1000000000)
#define FIRST_PAUSE_MS 1
#define LONGEST_PAUSE_MS 64

extern char **environ;

/* A process, its two outputs, and a pipe that a cancellation writes to. */
typedef struct running {
  sf_cancellation_hook hook; /* first: the hook is the running process */
  const sf_cancellation *cancellation;
  uint64_t deadline;
  pid_t process; /* 0: it has ended */
  int status;    /* of one that has ended, as waitpid gives it */
  int output[2]; /* pipes: [0] is read here, -1 once it is closed */
  int errors[2];
  int wake_pipe[2];
  sf_buffer document;
  sf_buffer complaint;
} running;

static void wake(sf_cancellation_hook *hook) {
  const running *process = (const running *)hook;
  ssize_t written = write(process->wake_pipe[1], "", 1);
  (void)written; /* a full pipe wakes as well */
}

/* ----------------------------------------------------------------------------------------------------------- Starting */

static int spawn_shell(const char *command, const running *process, pid_t *id) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, process->output[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, process->errors[1], STDERR_FILENO);
  posix_spawnattr_init(&attributes);
  /* A group of its own, so that what the command starts can be ended with it; and our thread's blocked signals are not
   * the command's. */
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  char shell[] = "sh";
  char option[] = "-c";
  char end_of_options[] = "--";
  char *script = sf_strdup(command);
  char *arguments[] = {shell, option, end_of_options, script, NULL};
  int failure = script == NULL ? ENOMEM : posix_spawn(id, "/bin/sh", &actions, &attributes, arguments, environ);
  free(script);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return failure;
}

static void close_end(int *end) {
  if (*end >= 0)
    close(*end);
  *end = -1;
}

static void close_pipe(int ends[2]) {
  close_end(&ends[0]);
  close_end(&ends[1]);
}

/* Descriptors 0 to 2 may be closed in the host program: a pipe there would be overwritten on its way to the command. */
static bool make_pipe(int ends[2]) {
  if (pipe(ends) != 0) {
    ends[0] = ends[1] = -1;
    return false;
  }
  for (int i = 0; i < 2; i++) {
    int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(ends[i]);
    ends[i] = moved;
  }
  if (ends[0] >= 0 && ends[1] >= 0)
    return true;
  close_pipe(ends);
  return false;
}

static sf_code start(running *process, const char *command, sf_error *error) {
  if (!make_pipe(process->wake_pipe) || !make_pipe(process->output) || !make_pipe(process->errors))
    return sf_fail(error, SF_ERROR, "credential_process: can't make a pipe: %s", strerror(errno));
  fcntl(process->wake_pipe[1], F_SETFL, O_NONBLOCK);
  int failure = spawn_shell(command, process, &process->process);
  close_end(&process->output[1]);
  close_end(&process->errors[1]);
  if (failure == 0)
    return SF_OK;
  process->process = 0;
  return sf_fail(error, SF_ERROR, "credential_process: can't start /bin/sh: %s", strerror(failure));
}

/* ------------------------------------------------------------------------------------------------------------ Reading */

/* Reads what is there into `buffer`, and drops what is more than `limit`. The end closes the pipe. */
static sf_code read_some(int *end, sf_buffer *buffer, size_t limit, sf_error *error) {
  char bytes[4096];
  ssize_t got = read(*end, bytes, sizeof(bytes));
  if (got < 0 && (errno == EINTR || errno == EAGAIN))
    return SF_OK;
  if (got <= 0) {
    close_end(end);
    return SF_OK;
  }
  size_t room = limit - buffer->length;
  bool kept = sf_buffer_append(buffer, bytes, (size_t)got < room ? (size_t)got : room);
  OPENSSL_cleanse(bytes, sizeof(bytes));
  return kept ? SF_OK : sf_fail_memory(error, "output of the credential_process");
}

/* Waits up to `pause_ms` (negative: up to the deadline) for the process to say something, and reads it. */
static sf_code listen_to(running *process, int pause_ms, sf_error *error) {
  SF_TRY(sf_cancellation_check(process->cancellation, error));
  uint64_t now = sf_monotonic_nanoseconds();
  uint64_t limit = sf_cancellation_deadline(process->cancellation);
  if (now >= process->deadline)
    return sf_fail(error, SF_ERROR, "credential_process: expected it to end within a minute");
  limit = limit < process->deadline ? limit : process->deadline;
  int left_ms = limit <= now ? 0 : (int)((limit - now) / 1000000) + 1;
  struct pollfd descriptors[] = {{.fd = process->output[0], .events = POLLIN},
                                 {.fd = process->errors[0], .events = POLLIN},
                                 {.fd = process->wake_pipe[0], .events = POLLIN}};
  if (poll(descriptors, 3, pause_ms >= 0 && pause_ms < left_ms ? pause_ms : left_ms) <= 0)
    return SF_OK;
  if (descriptors[0].revents != 0)
    SF_TRY(read_some(&process->output[0], &process->document, MAX_OUTPUT + 1, error));
  if (descriptors[1].revents != 0)
    SF_TRY(read_some(&process->errors[0], &process->complaint, MAX_ERRORS, error));
  if (process->document.length > MAX_OUTPUT)
    return sf_fail(error, SF_ERROR, "credential_process: expected at most %zu bytes of output, found more", MAX_OUTPUT);
  return sf_cancellation_check(process->cancellation, error);
}

/* Reads until the command closes its output, then waits until it has ended. There is no portable event for that beside a
 * cancellation: it is looked for at growing intervals. What the command leaves running in the background may keep its
 * standard error open. */
static sf_code read_to_the_end(running *process, sf_error *error) {
  while (process->output[0] >= 0)
    SF_TRY(listen_to(process, -1, error));
  for (int pause_ms = FIRST_PAUSE_MS; process->process != 0; pause_ms *= pause_ms < LONGEST_PAUSE_MS ? 2 : 1) {
    pid_t ended = waitpid(process->process, &process->status, WNOHANG);
    if (ended != 0 && (ended > 0 || errno != EINTR))
      process->process = 0;
    else
      SF_TRY(listen_to(process, pause_ms, error));
  }
  /* What it said last is in the pipe. */
  while (process->errors[0] >= 0) {
    struct pollfd descriptor = {.fd = process->errors[0], .events = POLLIN};
    if (process->complaint.length >= MAX_ERRORS || poll(&descriptor, 1, 0) <= 0)
      break;
    SF_TRY(read_some(&process->errors[0], &process->complaint, MAX_ERRORS, error));
  }
  return SF_OK;
}

/* ------------------------------------------------------------------------------------------------------------- Ending */

static void release(running *process) {
  if (process->process != 0) {
    kill(-process->process, SIGKILL);
    while (waitpid(process->process, &process->status, 0) < 0 && errno == EINTR)
      continue;
  }
  close_pipe(process->output);
  close_pipe(process->errors);
  close_pipe(process->wake_pipe);
  if (process->document.data != NULL)
    OPENSSL_cleanse(process->document.data, process->document.length);
  if (process->complaint.data != NULL)
    OPENSSL_cleanse(process->complaint.data, process->complaint.length);
  sf_buffer_free(&process->document);
  sf_buffer_free(&process->complaint);
}

/* How it ended, and what it said: all that a service's log will have. */
static sf_code check_status(const running *process, sf_error *error) {
  char said[256];
  if (WIFEXITED(process->status) && WEXITSTATUS(process->status) == 0)
    return SF_OK;
  sf_s3_show(said, sizeof(said), process->complaint.data, process->complaint.length);
  const char *before = said[0] != '\0' ? ": " : " and said nothing on its standard error";
  if (WIFSIGNALED(process->status))
    return sf_fail(error, SF_ERROR, "credential_process: the command was ended by signal %d (%s)%s%s",
                   WTERMSIG(process->status), strsignal(WTERMSIG(process->status)), before, said);
  return sf_fail(error, SF_ERROR, "credential_process: the command ended with exit status %d%s%s",
                 WEXITSTATUS(process->status), before, said);
}

static sf_code read_document(const running *process, sf_s3_credentials **credentials, sf_error *error) {
  if (process->document.length == 0)
    return sf_fail(error, SF_ERROR, "credential_process: expected a JSON document, found no output");
  return sf_s3_parse_credential_document((const char *)process->document.data, process->document.length,
                                         "credential_process", credentials, error);
}

sf_code sf_s3_run_credential_process(const char *command, const sf_cancellation *cancellation,
                                     sf_s3_credentials **credentials, sf_error *error) {
  running process = {.hook = {.wake = wake},
                     .cancellation = cancellation,
                     .deadline = sf_monotonic_nanoseconds() + TIMEOUT_NANOSECONDS,
                     .output = {-1, -1},
                     .errors = {-1, -1},
                     .wake_pipe = {-1, -1}};
  sf_code code = start(&process, command, error);
  if (code == SF_OK) {
    sf_cancellation_add_hook(cancellation, &process.hook);
    code = read_to_the_end(&process, error);
    sf_cancellation_remove_hook(cancellation, &process.hook);
  }
  if (code == SF_OK)
    code = check_status(&process, error);
  if (code == SF_OK)
    code = read_document(&process, credentials, error);
  release(&process);
  return code;
}
