#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A handler can reach nothing but what is global. Written once, before the handler is set. */
static volatile sig_atomic_t signal_pipe_end = -1;

static void note_signal(int number) {
  int saved_errno = errno;
  unsigned char byte = (unsigned char)number;
  ssize_t written = write(signal_pipe_end, &byte, 1);
  (void)written;
  errno = saved_errno;
}

static sf_code fail_system(sf_error *error, const char *what) {
  return sf_fail(error, sf_errno_code(errno, SF_ERROR), "%s: %s", what, strerror(errno));
}

/* The first signal is noted and ends the work in good order; a second of the kind ends the program as ever. */
static sf_code catch_signals(sf_cli_session *session, sf_error *error) {
  int ends[2];
  if (pipe(ends) != 0)
    return fail_system(error, "pipe");
  for (int i = 0; i < 2; i++) {
    if (fcntl(ends[i], F_SETFD, FD_CLOEXEC) != 0 || fcntl(ends[i], F_SETFL, O_NONBLOCK) != 0)
      return fail_system(error, "fcntl");
  }
  session->signal_fd = ends[0];
  signal_pipe_end = ends[1];
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    struct sigaction previous;
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    if (sigaction(numbers[i], NULL, &previous) != 0 ||
        (previous.sa_handler != SIG_IGN && sigaction(numbers[i], &action, NULL) != 0))
      return fail_system(error, "sigaction");
  }
  return SF_OK;
}

static void log_to_stderr(sf_log_level level, const char *message, void *user_data) {
  (void)user_data;
  if (level >= SF_LOG_WARNING)
    sf_cli_print_message("warning", message);
}

static void set_reader_options(sf_cli_session *session) {
  const sf_cli_arguments *arguments = &session->arguments;
  sf_reader_options_init(&session->options);
  session->options.cache_dir = arguments->cache_dir;
  session->options.executor = session->executor;
  session->options.log = log_to_stderr;
  sf_cli_download_progress_init(&session->progress);
  if (isatty(STDERR_FILENO)) {
    session->options.download = sf_cli_show_download;
    session->options.download_user_data = &session->progress;
  }
  session->options.s3 = &session->arguments.s3;
  session->arguments.s3.profile = arguments->profile;
  if (arguments->max_concurrency.is_set)
    session->options.max_concurrency = (uint32_t)arguments->max_concurrency.value;
  if (arguments->max_cache_bytes.is_set)
    session->options.max_cache_bytes = (uint64_t)arguments->max_cache_bytes.value;
  if (arguments->max_fallback_attempts.is_set)
    session->options.max_fallback_attempts = (int32_t)arguments->max_fallback_attempts.value;
}

sf_code sf_cli_session_start(sf_cli_session *session, const sf_cli_arguments *arguments, sf_error *error) {
  *session = (sf_cli_session){.arguments = *arguments, .signal_fd = -1};
  session->output = sf_cli_output_of(arguments->format);
  SF_TRY(catch_signals(session, error));
  SF_TRY(sf_executor_create(0, 0, &session->executor, error));
  SF_TRY(sf_completion_queue_create(&session->queue, error));
  set_reader_options(session);
  return SF_OK;
}

void sf_cli_session_end(sf_cli_session *session) {
  if (session->reader != NULL)
    sf_reader_free(session->reader);
  if (session->queue != NULL)
    sf_completion_queue_free(session->queue);
  if (session->executor != NULL)
    sf_executor_release(session->executor);
  sf_cli_output_free(&session->output);
  sf_cli_arguments_free(&session->arguments);
}

sf_code sf_cli_session_check(const sf_cli_session *session, sf_error *error) {
  if (session->signal_number == 0)
    return SF_OK;
  return sf_fail(error, SF_CANCELLED_ERROR, "interrupted: %s", strsignal(session->signal_number));
}

sf_code sf_cli_session_look(sf_cli_session *session, sf_error *error) {
  unsigned char number;
  if (read(session->signal_fd, &number, 1) == 1)
    session->signal_number = number;
  return sf_cli_session_check(session, error);
}

sf_code sf_cli_session_poll(sf_cli_session *session, int fd, bool *fd_is_readable, sf_error *error) {
  struct pollfd fds[] = {
      {.fd = session->signal_fd, .events = POLLIN},
      {.fd = sf_completion_queue_fd(session->queue), .events = POLLIN},
      {.fd = fd, .events = POLLIN},
  };
  int count = poll(fds, sizeof(fds) / sizeof(fds[0]), -1);
  if (count < 0 && errno != EINTR)
    return fail_system(error, "poll");
  unsigned char number;
  if (read(session->signal_fd, &number, 1) == 1)
    session->signal_number = number;
  if (fd_is_readable != NULL)
    *fd_is_readable = count > 0 && fds[2].revents != 0;
  return SF_OK;
}

sf_code sf_cli_session_wait(sf_cli_session *session, sf_operation *operation, sf_error *error) {
  bool is_cancelled = false;
  while (sf_completion_queue_pop(session->queue) != operation) {
    SF_TRY(sf_cli_session_poll(session, -1, NULL, error));
    if (session->signal_number != 0 && !is_cancelled) {
      sf_operation_cancel(operation);
      is_cancelled = true;
    }
  }
  SF_TRY(sf_cli_session_check(session, error));
  return sf_operation_result(operation, error);
}

sf_code sf_cli_session_wait_and_release(sf_cli_session *session, sf_operation *operation, sf_error *error) {
  sf_code code = sf_cli_session_wait(session, operation, error);
  sf_operation_release(operation);
  return code;
}

sf_code sf_cli_session_open(sf_cli_session *session, sf_error *error) {
  sf_operation *operation = NULL;
  SF_TRY(sf_reader_open_submit(session->arguments.root, &session->options, session->executor, session->queue, NULL,
                               &operation, error));
  sf_code code = sf_cli_session_wait(session, operation, error);
  if (code == SF_OK)
    session->reader = sf_operation_take_reader(operation);
  sf_operation_release(operation);
  return code;
}

/* Ctrl-C needs no other word; the rest are named. */
static void report_signal(int number) {
  sf_error error;
  sf_fail(&error, SF_CANCELLED_ERROR, number == SIGINT ? "interrupted" : "interrupted: %s", strsignal(number));
  sf_cli_report(&error);
}

sf_cli_status sf_cli_session_status(const sf_cli_session *session, sf_code code, const sf_error *error) {
  if (code == SF_OK)
    return SF_CLI_SUCCESS;
  if (session->signal_number != 0) {
    report_signal(session->signal_number);
    return SF_CLI_SIGNALLED + session->signal_number;
  }
  return sf_cli_output_reader_is_gone() ? SF_CLI_FAILED : sf_cli_report(error);
}

sf_code sf_cli_session_add_rows(sf_cli_session *session, sf_builder *builder, const sf_row_batch *rows,
                                sf_error *error) {
  sf_operation *operation = NULL;
  SF_TRY(sf_builder_add_submit(builder, rows, session->queue, NULL, &operation, error));
  return sf_cli_session_wait_and_release(session, operation, error);
}

sf_code sf_cli_session_train(sf_cli_session *session, sf_builder *builder, const sf_row_batch *rows, sf_error *error) {
  sf_operation *operation = NULL;
  SF_TRY(sf_builder_train_submit(builder, rows, session->queue, NULL, &operation, error));
  return sf_cli_session_wait_and_release(session, operation, error);
}
