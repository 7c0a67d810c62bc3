/*
 * credential_process: a command that prints credentials.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
 */
#include "base/time.h"
#include "storage/s3/credentials.h"

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
#define TIMEOUT_NANOSECONDS ((uint64_t)60 * 1000000000)

extern char **environ;

/* A process, its output, and a pipe that a cancellation writes to. */
typedef struct running {
  sf_cancellation_hook hook; /* first: the hook is the running process */
  pid_t process;
  int output;
  int wake_pipe[2];
} running;

static void wake(sf_cancellation_hook *hook) {
  const running *process = (const running *)hook;
  ssize_t written = write(process->wake_pipe[1], "", 1);
  (void)written; /* a full pipe wakes as well */
}

static int spawn_shell(const char *command, int output, pid_t *process) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_init(&attributes);
  /* A group of its own, so that what the command starts can be ended with it; and our thread's blocked signals are not
   * the command's. */
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  char shell[] = "sh";
  char option[] = "-c";
  char *script = sf_strdup(command);
  char *arguments[] = {shell, option, script, NULL};
  int failure = script == NULL ? ENOMEM : posix_spawn(process, "/bin/sh", &actions, &attributes, arguments, environ);
  free(script);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return failure;
}

static bool make_pipe(int ends[2]) {
  if (pipe(ends) != 0)
    return false;
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  return true;
}

static sf_code start(running *process, const char *command, sf_error *error) {
  int output[2];
  if (!make_pipe(process->wake_pipe))
    return sf_fail(error, SF_ERROR, "credential_process: can't make a pipe: %s", strerror(errno));
  if (!make_pipe(output)) {
    close(process->wake_pipe[0]);
    close(process->wake_pipe[1]);
    return sf_fail(error, SF_ERROR, "credential_process: can't make a pipe: %s", strerror(errno));
  }
  fcntl(process->wake_pipe[1], F_SETFL, O_NONBLOCK);
  process->output = output[0];
  int failure = spawn_shell(command, output[1], &process->process);
  close(output[1]);
  if (failure == 0)
    return SF_OK;
  close(output[0]);
  close(process->wake_pipe[0]);
  close(process->wake_pipe[1]);
  return sf_fail(error, SF_ERROR, "credential_process: can't start it: %s", strerror(failure));
}

/* Reads what is there. False at the end, and when there is too much. */
static bool read_some(running *process, sf_buffer *output) {
  if (output->length >= MAX_OUTPUT || !sf_buffer_reserve(output, 4096))
    return false;
  ssize_t got = read(process->output, output->data + output->length, 4096);
  if (got < 0)
    return errno == EINTR || errno == EAGAIN;
  output->length += (size_t)got;
  output->data[output->length] = '\0';
  return got > 0;
}

static sf_code read_output(running *process, const sf_cancellation *cancellation, sf_buffer *output, sf_error *error) {
  uint64_t deadline = sf_monotonic_nanoseconds() + TIMEOUT_NANOSECONDS;
  struct pollfd descriptors[2] = {{.fd = process->output, .events = POLLIN},
                                  {.fd = process->wake_pipe[0], .events = POLLIN}};
  while (true) {
    SF_TRY(sf_cancellation_check(cancellation, error));
    uint64_t now = sf_monotonic_nanoseconds();
    if (now >= deadline)
      return sf_fail(error, SF_ERROR, "credential_process: expected it to end within a minute");
    if (poll(descriptors, 2, (int)((deadline - now) / 1000000) + 1) > 0 && descriptors[0].revents != 0 &&
        !read_some(process, output))
      return SF_OK;
  }
}

/* Whether the process ended by itself, and well. It is ended where it did not close its output by itself. */
static bool finish(running *process, bool kill_it) {
  int status = 0;
  if (kill_it)
    kill(-process->process, SIGKILL);
  close(process->output);
  while (waitpid(process->process, &status, 0) < 0 && errno == EINTR)
    continue;
  close(process->wake_pipe[0]);
  close(process->wake_pipe[1]);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

sf_code sf_s3_run_credential_process(const char *command, const sf_cancellation *cancellation,
                                     sf_s3_credentials **credentials, sf_error *error) {
  running process = {.hook = {.wake = wake}};
  sf_buffer output = {0};
  SF_TRY(start(&process, command, error));
  sf_cancellation_add_hook(cancellation, &process.hook);
  sf_code code = read_output(&process, cancellation, &output, error);
  sf_cancellation_remove_hook(cancellation, &process.hook);
  bool succeeded = finish(&process, code != SF_OK || output.length >= MAX_OUTPUT);
  if (code == SF_OK && !succeeded)
    code = sf_fail(error, SF_ERROR, "credential_process: the command failed");
  if (code == SF_OK && output.length == 0)
    code = sf_fail(error, SF_ERROR, "credential_process: expected a JSON document, found no output");
  if (code == SF_OK)
    code = sf_s3_parse_credential_document((const char *)output.data, output.length, "credential_process", credentials,
                                           error);
  if (output.data != NULL)
    OPENSSL_cleanse(output.data, output.length);
  sf_buffer_free(&output);
  return code;
}
