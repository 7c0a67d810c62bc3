/* The command's entry: finds the command in the one table of commands, parses its options, runs it. */
#include "cli/commands.h"
#include "shardyfusion.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The one table of commands. */
static const sf_cli_command *const command_table[] = {
    &sf_cli_search_command,   &sf_cli_fetch_command,  &sf_cli_count_command, &sf_cli_info_command,
    &sf_cli_shards_command,   &sf_cli_health_command, &sf_cli_route_command, &sf_cli_history_command,
    &sf_cli_verify_command,   &sf_cli_build_command,  &sf_cli_index_command, &sf_cli_cleanup_command,
    &sf_cli_rollback_command,
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
        "Options may come before or after COMMAND. 'shardyfusion COMMAND --help' lists a command's options;\n"
        "'shardyfusion --version' (-V) prints the version.\n"
        "Exit status: 0 for success, 1 for a failed operation, 2 for a usage error.\n",
        stream);
}

static void print_version(void) {
  printf("shardyfusion %s\n", sf_version());
}

static void print_command_help(const sf_cli_command *command) {
  printf(
      "Usage: shardyfusion %s ROOT%s [OPTION...]\n\n%s\nROOT is a directory, or a file:// or s3:// URL.\n\nOptions:\n",
      command->name, command->operands != NULL ? command->operands : "", command->description);
  sf_cli_print_options(stdout, command->takes);
}

/* Flushes standard output: what was printed has arrived, or that is the failure. */
static sf_cli_status finish(sf_cli_status status) {
  sf_error error;
  if (sf_cli_output_flush(&error) == SF_OK || status != SF_CLI_SUCCESS)
    return status;
  return sf_cli_output_reader_is_gone() ? SF_CLI_FAILED : sf_cli_report(&error);
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
  if (status == SF_CLI_SUCCESS && !arguments.help && !arguments.version)
    return run_command(command, &arguments);
  if (status == SF_CLI_SUCCESS) {
    if (arguments.help)
      print_command_help(command);
    else
      print_version();
    status = finish(SF_CLI_SUCCESS);
  }
  sf_cli_arguments_free(&arguments);
  return status;
}

static sf_cli_status report_unknown_command(const char *name) {
  const char *suggestion = sf_cli_suggest(name, command_name_at, NULL);
  if (suggestion == NULL)
    return sf_cli_report_usage(NULL, "no such command: %.200s", name);
  return sf_cli_report_usage(NULL, "no such command: %.200s; did you mean %s?", name, suggestion);
}

static bool is_one_of(const char *text, const char *name, const char *alias) {
  return strcmp(text, name) == 0 || strcmp(text, alias) == 0;
}

/* Where the command's name stands: the first word that is neither an option nor the value of one; argc if there is none. */
static int find_command_name(int argc, char **argv) {
  int i = 1;
  while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0')
    i += sf_cli_option_takes_next(argv[i]) ? 2 : 1;
  return i < argc ? i : argc;
}

/* The first option before `position` that no command has, or NULL. */
static const char *find_unknown_option(int position, char **argv) {
  for (int i = 1; i < position; i += sf_cli_option_takes_next(argv[i]) ? 2 : 1) {
    if (!sf_cli_option_is_known(argv[i]))
      return argv[i];
  }
  return NULL;
}

/* Options alone: help, the version, or a mistake. */
static sf_cli_status run_without_command(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    bool is_help = is_one_of(argv[i], "--help", "-h");
    if (!is_help && !is_one_of(argv[i], "--version", "-V"))
      continue;
    if (is_help)
      print_help(stdout);
    else
      print_version();
    return finish(SF_CLI_SUCCESS);
  }
  return sf_cli_report_usage(NULL, "a command is missing: shardyfusion COMMAND ROOT");
}

/* help, or help COMMAND. */
static sf_cli_status run_help(int argc, char **argv) {
  const sf_cli_command *command = argc > 0 ? find_command(argv[0]) : NULL;
  if (argc > 0 && command == NULL)
    return report_unknown_command(argv[0]);
  if (command != NULL)
    print_command_help(command);
  else
    print_help(stdout);
  return finish(SF_CLI_SUCCESS);
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
  int position = find_command_name(argc, argv);
  const char *unknown = find_unknown_option(position, argv);
  if (unknown != NULL)
    return sf_cli_report_usage(NULL, "no such option: %.200s", unknown);
  if (position == argc)
    return run_without_command(argc, argv);
  const char *name = argv[position];
  if (strcmp(name, "help") == 0)
    return run_help(argc - position - 1, argv + position + 1);
  const sf_cli_command *command = find_command(name);
  if (command == NULL)
    return report_unknown_command(name);
  /* The options before the command join those after it. */
  for (int i = position; i > 1; i--)
    argv[i] = argv[i - 1];
  return parse_and_run(command, argc - 2, argv + 2);
}
