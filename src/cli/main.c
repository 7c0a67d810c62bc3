#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The one table of commands. */
static const sf_cli_command *const command_table[] = {
    &sf_cli_search_command,  &sf_cli_info_command,     &sf_cli_shards_command, &sf_cli_health_command,
    &sf_cli_route_command,   &sf_cli_history_command,  &sf_cli_verify_command, &sf_cli_build_command,
    &sf_cli_cleanup_command, &sf_cli_rollback_command,
};

enum { NUM_COMMANDS = sizeof(command_table) / sizeof(command_table[0]) };

static const char *command_name_at(size_t index, const void *user_data) {
  (void)user_data;
  return index < NUM_COMMANDS ? command_table[index]->name : NULL;
}

static const sf_cli_command *find_command(const char *name) {
  for (size_t i = 0; i < NUM_COMMANDS; i++) {
    if (strcmp(command_table[i]->name, name) == 0)
      return command_table[i];
  }
  return NULL;
}

static void print_help(FILE *stream) {
  fputs("Usage: shardyfusion COMMAND ROOT [OPTION...]\n"
        "\n"
        "Nearest-neighbour search over the vector snapshot below ROOT: a directory, or a file:// or s3:// URL.\n"
        "\n"
        "Commands:\n",
        stream);
  for (size_t i = 0; i < NUM_COMMANDS; i++)
    fprintf(stream, "  %-10s%s\n", command_table[i]->name, command_table[i]->summary);
  fputs("\n"
        "'shardyfusion COMMAND --help' lists a command's options; 'shardyfusion --version' prints the version.\n"
        "Exit status: 0, 1 for a failed operation, 2 for usage.\n",
        stream);
}

static void print_command_help(const sf_cli_command *command) {
  printf("Usage: shardyfusion %s ROOT [OPTION...]\n\n%s\nROOT is a directory, or a file:// or s3:// URL.\n\nOptions:\n",
         command->name, command->description);
  sf_cli_print_options(stdout, command->takes);
}

/* What was printed has arrived, or that is the failure. */
static sf_cli_status finish(sf_cli_status status) {
  sf_error error;
  if (sf_cli_output_flush(&error) == SF_OK || status != SF_CLI_SUCCESS)
    return status;
  return sf_cli_report(&error);
}

static sf_cli_status run_command(const sf_cli_command *command, const sf_cli_arguments *arguments) {
  sf_error error;
  sf_cli_session session;
  sf_code code = sf_cli_session_start(&session, arguments, &error);
  sf_cli_status status = code == SF_OK ? command->run(&session) : sf_cli_session_status(&session, code, &error);
  sf_cli_session_end(&session);
  return finish(status);
}

static sf_cli_status parse_and_run(const sf_cli_command *command, int argc, char **argv) {
  sf_cli_arguments arguments;
  sf_cli_status status = sf_cli_arguments_parse(argc, argv, command->name, command->takes, &arguments);
  if (status == SF_CLI_SUCCESS && !arguments.help)
    return run_command(command, &arguments);
  if (status == SF_CLI_SUCCESS) {
    print_command_help(command);
    status = finish(SF_CLI_SUCCESS);
  }
  sf_cli_arguments_free(&arguments);
  return status;
}

static sf_cli_status report_unknown_command(const char *name) {
  const char *kind = name[0] == '-' ? "option" : "command";
  const char *suggestion = sf_cli_suggest(name, command_name_at, NULL);
  if (suggestion == NULL)
    return sf_cli_report_usage(NULL, "no such %s: %s", kind, name);
  return sf_cli_report_usage(NULL, "no such %s: %s; did you mean %s?", kind, name, suggestion);
}

/* A standard descriptor that came closed would be given to the next file opened, which prints would then go into. The
 * stand-in refuses what its descriptor is for. */
static void reserve_standard_descriptors(void) {
  static const int refusing[] = {O_WRONLY, O_RDONLY, O_RDONLY};
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", refusing[fd]) != fd)
      return;
  }
}

int main(int argc, char **argv) {
  reserve_standard_descriptors();
  signal(SIGPIPE, SIG_IGN); /* a write to a closed pipe fails with an error, as to a full disk */
  setlocale(LC_CTYPE, "");
  if (argc < 2)
    return sf_cli_report_usage(NULL, "a command is missing: shardyfusion COMMAND ROOT");
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    print_help(stdout);
    return finish(SF_CLI_SUCCESS);
  }
  if (strcmp(name, "--version") == 0) {
    printf("shardyfusion %s\n", sf_version());
    return finish(SF_CLI_SUCCESS);
  }
  const sf_cli_command *command = find_command(name);
  return command == NULL ? report_unknown_command(name) : parse_and_run(command, argc - 2, argv + 2);
}
