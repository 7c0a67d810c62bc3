#include "cli/arguments.h"

#include "base/memory.h"
#include "cli/json_text.h"
#include "cli/s3_settings.h"
#include "shardyfusion/types.h"

#include <errno.h>
#include <math.h>
#include <string.h>

typedef enum option_kind {
  OPTION_FLAG,    /* bool */
  OPTION_TEXT,    /* const char * */
  OPTION_JSON,    /* const char *, checked */
  OPTION_INTEGER, /* sf_cli_integer within minimum and maximum */
  OPTION_NUMBER,  /* sf_cli_number, finite and not negative */
  OPTION_REAL,    /* sf_cli_number, finite */
  OPTION_LIST,    /* sf_cli_integer_list, separated by commas */
  OPTION_CHOICE,  /* int: the position among the words of `argument`, from 1 */
  OPTION_S3,      /* sf_s3_options, one setting at a time */
} option_kind;

typedef struct option_spec {
  const char *name;
  const char *argument; /* as help shows it; NULL for a flag */
  const char *help;
  unsigned group;
  option_kind kind;
  size_t offset; /* in sf_cli_arguments */
  int64_t minimum;
  int64_t maximum;
} option_spec;

#define AT(field) offsetof(sf_cli_arguments, field)

/* The one table of options. INT64_MIN where the library says what is too small: that is a failed operation. */
static const option_spec option_table[] = {
    {"query-file", "FILE|-",
     "query vectors: a .npy array of one dimension, or two (one query per row); -: standard input", SF_CLI_TAKES_QUERY,
     OPTION_TEXT, AT(query_file), 0, 0},
    {"row", "N", "use only row N of the query file, counted from 0 (default: all)", SF_CLI_TAKES_QUERY, OPTION_INTEGER,
     AT(row), 0, INT64_MAX},
    {"query", "[…]|-", "a query vector as a JSON array; -: one array per line from standard input", SF_CLI_TAKES_QUERY,
     OPTION_TEXT, AT(query), 0, 0},
    {"top-k", "N", "number of neighbours (default: 10)", SF_CLI_TAKES_SEARCH, OPTION_INTEGER, AT(top_k), INT64_MIN,
     INT64_MAX},
    {"filter", "EXPRESSION", "only rows that match: CEL over id and payload, such as 'payload.lang == \"en\"'",
     SF_CLI_TAKES_FILTER, OPTION_TEXT, AT(filter), 0, 0},
    {"max-score", "SCORE", "only rows that score at most this (lower is nearer)", SF_CLI_TAKES_SEARCH, OPTION_REAL,
     AT(max_score), 0, 0},
    {"recall", "R", "the share of the nearest rows of the whole snapshot to find, 0 to 1 (default: exact, as routed)",
     SF_CLI_TAKES_SEARCH, OPTION_REAL, AT(recall), 0, 0},
    {"all", NULL, "all rows up to --max-score, instead of --top-k of them", SF_CLI_TAKES_SEARCH, OPTION_FLAG, AT(all),
     0, 0},
    {"max-results", "N", "with --all: fail if there are more (default: 10000)", SF_CLI_TAKES_SEARCH, OPTION_INTEGER,
     AT(max_results), 1, INT64_MAX},
    {"offset", "N", "leave out the N nearest rows (default: 0)", SF_CLI_TAKES_SEARCH, OPTION_INTEGER, AT(offset), 0,
     INT64_MAX},
    {"explain", NULL, "say what each search did, too: shards, rows compared at each stage, times", SF_CLI_TAKES_SEARCH,
     OPTION_FLAG, AT(explain), 0, 0},
    {"no-payloads", NULL, "leave out payloads", SF_CLI_TAKES_ROWS, OPTION_FLAG, AT(no_payloads), 0, 0},
    {"num-probes", "N", "number of shards that a query is routed to (default: the manifest's)", SF_CLI_TAKES_ROUTING,
     OPTION_INTEGER, AT(num_probes), INT64_MIN, INT64_MAX},
    {"shard-ids", "N,N…", "only these shards (a search: instead of routing)", SF_CLI_TAKES_FILTER, OPTION_LIST,
     AT(shard_ids), 0, 0},
    {"routing-context", "JSON", "the variables of a CEL routing expression as a JSON object", SF_CLI_TAKES_ROUTING,
     OPTION_JSON, AT(routing_context), 0, 0},
    {"cache-dir", "DIR", "folder of the local cache (default: $XDG_CACHE_HOME/shardyfusion)",
     SF_CLI_TAKES_READER | SF_CLI_TAKES_INDEX, OPTION_TEXT, AT(cache_dir), 0, 0},
    {"max-cache-bytes", "N", "maximum size of the cache; least recently used shards are removed (default: no limit)",
     SF_CLI_TAKES_READER, OPTION_INTEGER, AT(max_cache_bytes), 1, INT64_MAX},
    {"max-concurrency", "N", "maximum number of shards that a search loads or scans at a time (default: no limit)",
     SF_CLI_TAKES_READER, OPTION_INTEGER, AT(max_concurrency), 1, UINT32_MAX},
    {"max-fallback-attempts", "N", "how many older manifests to try if the live one is malformed (default: 3)",
     SF_CLI_TAKES_READER, OPTION_INTEGER, AT(max_fallback_attempts), 0, INT32_MAX},
    {"staleness-threshold", "SECONDS", "a manifest older than this is degraded (default: no threshold)",
     SF_CLI_TAKES_STALENESS, OPTION_NUMBER, AT(staleness_threshold), 0, 0},
    {"limit", "N", "print only the newest N (default: all)", SF_CLI_TAKES_LIMIT, OPTION_INTEGER, AT(limit), 1,
     INT64_MAX},
    {"vectors", "FILE", "the rows: a .npy array of two dimensions, of floats or integers", SF_CLI_TAKES_BUILD,
     OPTION_TEXT, AT(build.vectors), 0, 0},
    {"vectors", NULL, "print the stored vectors", SF_CLI_TAKES_ROWS, OPTION_FLAG, AT(vectors), 0, 0},
    {"ids", "FILE", "an id for each row: lines of text, or a .npy array of integers (default: row numbers)",
     SF_CLI_TAKES_BUILD, OPTION_TEXT, AT(build.ids), 0, 0},
    {"id-type", "auto|int|str", "type of ids in lines of text (default: int if all ids are integers, else str)",
     SF_CLI_TAKES_BUILD, OPTION_CHOICE, AT(build.id_type), 0, 0},
    {"payloads", "FILE", "one JSON object, or null, per line for each row", SF_CLI_TAKES_BUILD, OPTION_TEXT,
     AT(build.payloads), 0, 0},
    {"shard-ids", "FILE", "for explicit: the shard of each row, as lines of text or a .npy array of integers",
     SF_CLI_TAKES_BUILD, OPTION_TEXT, AT(build.shard_ids), 0, 0},
    {"routing-contexts", "FILE", "for cel: one JSON object per line for each row", SF_CLI_TAKES_BUILD, OPTION_TEXT,
     AT(build.routing_contexts), 0, 0},
    {"jsonl", "FILE|-", "rows as JSON Lines: {\"id\", \"vector\", \"payload\", \"shard_id\", \"routing_context\"}",
     SF_CLI_TAKES_BUILD, OPTION_TEXT, AT(build.jsonl), 0, 0},
    {"metric", "cosine|l2|dot_product", "distance metric (default: cosine)", SF_CLI_TAKES_BUILD, OPTION_CHOICE,
     AT(build.metric), 0, 0},
    {"backend", "lance|sqlite|sqlite-vec", "the format of the shards (default: lance)", SF_CLI_TAKES_BUILD,
     OPTION_CHOICE, AT(build.backend), 0, 0},
    {"sidecar", NULL, "for sqlite-vec: write shard.sidecar beside each shard, for readers of ranges",
     SF_CLI_TAKES_BUILD, OPTION_FLAG, AT(build.sidecar), 0, 0},
    {"strategy", "cluster|lsh|explicit|cel", "what determines the shard of a row (default: cluster)",
     SF_CLI_TAKES_BUILD, OPTION_CHOICE, AT(build.strategy), 0, 0},
    {"num-dbs", "N", "number of shards", SF_CLI_TAKES_BUILD, OPTION_INTEGER, AT(build.num_dbs), 1, 1000000},
    {"num-probes", "N", "default number of shards that a query is routed to (default: 1)", SF_CLI_TAKES_BUILD,
     OPTION_INTEGER, AT(build.num_probes), 1, UINT32_MAX},
    {"centroids", "FILE", "for cluster: a .npy array of centroids, instead of training", SF_CLI_TAKES_BUILD,
     OPTION_TEXT, AT(build.centroids), 0, 0},
    {"training-rows", "N", "for cluster: maximum number of training rows (default: 100000)", SF_CLI_TAKES_BUILD,
     OPTION_INTEGER, AT(build.training_rows), 1, INT64_MAX},
    {"iterations", "N", "for cluster: maximum number of k-means iterations (default: 25)", SF_CLI_TAKES_BUILD,
     OPTION_INTEGER, AT(build.training_iterations), 1, UINT32_MAX},
    {"num-hash-bits", "N", "for lsh: number of hyperplanes (default: 8, or more if --num-dbs needs them)",
     SF_CLI_TAKES_BUILD, OPTION_INTEGER, AT(build.num_hash_bits), 1, 4096},
    {"hyperplanes", "FILE", "for lsh: a .npy array of hyperplanes, instead of random ones", SF_CLI_TAKES_BUILD,
     OPTION_TEXT, AT(build.hyperplanes), 0, 0},
    {"cel-expr", "TEXT", "for cel: the expression", SF_CLI_TAKES_BUILD, OPTION_TEXT, AT(build.cel_expr), 0, 0},
    {"cel-columns", "JSON", "for cel: the types of its variables as a JSON object, such as {\"lang\": \"string\"}",
     SF_CLI_TAKES_BUILD, OPTION_JSON, AT(build.cel_columns), 0, 0},
    {"routing-values", "JSON", "for cel: a JSON array of the values that the expression can return, by shard",
     SF_CLI_TAKES_BUILD, OPTION_JSON, AT(build.routing_values), 0, 0},
    {"seed", "N", "seed for training and random hyperplanes (default: 0)", SF_CLI_TAKES_BUILD | SF_CLI_TAKES_INDEX,
     OPTION_INTEGER, AT(build.seed), 0, INT64_MAX},
    {"max-memory", "MIB", "approximate memory limit of the build (default: 512)",
     SF_CLI_TAKES_BUILD | SF_CLI_TAKES_INDEX, OPTION_INTEGER, AT(build.max_memory), 16, 1 << 30},
    {"threads", "N", "number of threads (default: one for each CPU)", SF_CLI_TAKES_BUILD | SF_CLI_TAKES_INDEX,
     OPTION_INTEGER, AT(build.threads), 1, 1024},
    {"s3-prefix", "URL", "URL that references in the manifest begin with (default: ROOT's URL)", SF_CLI_TAKES_BUILD,
     OPTION_TEXT, AT(build.s3_prefix), 0, 0},
    {"run-id", "NAME", "name of the run (default: a random UUID)", SF_CLI_TAKES_BUILD, OPTION_TEXT, AT(build.run_id), 0,
     0},
    {"staging-dir", "DIR", "folder for shards to upload and temporary files (default: $TMPDIR or /tmp)",
     SF_CLI_TAKES_BUILD, OPTION_TEXT, AT(build.staging_dir), 0, 0},
    {"lists", "N", "number of lists of each shard (default: about 4 times the square root of its rows)",
     SF_CLI_TAKES_INDEX, OPTION_INTEGER, AT(num_lists), 1, 1 << 20},
    {"force", NULL, "also where the snapshot has lists: make them anew", SF_CLI_TAKES_INDEX, OPTION_FLAG, AT(force), 0,
     0},
    {"yes", NULL, "remove the runs; without it, only list them", SF_CLI_TAKES_CLEANUP, OPTION_FLAG, AT(remove), 0, 0},
    {"delete", NULL, "the same as --yes", SF_CLI_TAKES_CLEANUP, OPTION_FLAG, AT(remove), 0, 0},
    {"older-than", "SECONDS", "keep younger runs and, unless 0, runs of unknown age (default: 86400)",
     SF_CLI_TAKES_CLEANUP, OPTION_NUMBER, AT(older_than), 0, 0},
    {"to", "RUN_ID|REF|previous", "the manifest to make live", SF_CLI_TAKES_ROLLBACK, OPTION_TEXT, AT(target), 0, 0},
    {"profile", "NAME", "profile of AWS's configuration files for s3:// roots (default: $AWS_PROFILE)",
     SF_CLI_TAKES_ALWAYS, OPTION_TEXT, AT(profile), 0, 0},
    {"s3-option", "NAME=VALUE", "setting for s3:// roots, such as endpoint_url=URL; may be repeated",
     SF_CLI_TAKES_ALWAYS, OPTION_S3, AT(s3), 0, 0},
    {"format", "table|jsonl", "output format (default: table on a terminal, else jsonl: JSON Lines)",
     SF_CLI_TAKES_ALWAYS, OPTION_CHOICE, AT(format), 0, 0},
    {"help", NULL, "print this help (-h)", SF_CLI_TAKES_ALWAYS, OPTION_FLAG, AT(help), 0, 0},
    {"version", NULL, "print the version (-V)", SF_CLI_TAKES_ALWAYS, OPTION_FLAG, AT(version), 0, 0},
};

enum { NUM_OPTIONS = sizeof(option_table) / sizeof(option_table[0]) };

/* The command's options, one after the other, for suggestions. */
static const char *option_name_at(size_t index, const void *user_data) {
  unsigned takes = *(const unsigned *)user_data;
  for (size_t i = 0; i < NUM_OPTIONS; i++) {
    if (option_table[i].group & takes && index-- == 0)
      return option_table[i].name;
  }
  return NULL;
}

static const option_spec *find_option(const char *name, size_t length, unsigned takes) {
  for (size_t i = 0; i < NUM_OPTIONS; i++) {
    const option_spec *option = &option_table[i];
    if (option->group & takes && strlen(option->name) == length && memcmp(option->name, name, length) == 0)
      return option;
  }
  return NULL;
}

/* An option of any command; those of one name are alike in whether they take a value. NULL if there is none. */
static const option_spec *find_long_option(const char *word) {
  if (strncmp(word, "--", 2) != 0)
    return NULL;
  return find_option(word + 2, strcspn(word + 2, "="), ~0U);
}

bool sf_cli_option_is_known(const char *word) {
  return strcmp(word, "-h") == 0 || strcmp(word, "-V") == 0 || find_long_option(word) != NULL;
}

bool sf_cli_option_takes_next(const char *word) {
  const option_spec *option = find_long_option(word);
  return option != NULL && option->kind != OPTION_FLAG && strchr(word, '=') == NULL;
}

/* ----------------------------------------------------------------------------------------------------------- Values */

/* The integer at `text`, all digits and a sign; `end` is where it stops. */
static bool read_integer(const char *text, int64_t *value, const char **end) {
  if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
    return false;
  char *stop;
  errno = 0;
  long long parsed = strtoll(text, &stop, 10);
  *value = parsed;
  *end = stop;
  return errno == 0 && stop != text;
}

static bool store_integer(const option_spec *option, const char *text, sf_cli_integer *integer) {
  const char *end;
  if (!read_integer(text, &integer->value, &end) || *end != '\0')
    return false;
  integer->is_set = true;
  return integer->value >= option->minimum && integer->value <= option->maximum;
}

static bool store_number(const char *text, bool may_be_negative, sf_cli_number *number) {
  char *end;
  const char *digits = text + (may_be_negative && text[0] == '-');
  if (digits[0] < '0' || digits[0] > '9')
    return false;
  number->value = strtod(text, &end);
  number->is_set = true;
  return *end == '\0' && isfinite(number->value);
}

static bool store_list(const char *text, sf_cli_integer_list *list) {
  size_t commas = 0;
  for (const char *at = text; *at != '\0'; at++)
    commas += *at == ',';
  int64_t *values = sf_reallocarray(list->values, commas + 1, sizeof(int64_t));
  if (values == NULL)
    return false;
  *list = (sf_cli_integer_list){.is_set = true, .values = values};
  for (const char *at = text;; at++) {
    if (!read_integer(at, &values[list->count++], &at) || (*at != ',' && *at != '\0'))
      return false;
    if (*at == '\0')
      return true;
  }
}

static bool store_choice(const char *words, const char *text, int *choice) {
  size_t length = strlen(text);
  int position = 1;
  for (const char *word = words; word != NULL; position++) {
    const char *bar = strchr(word, '|');
    size_t word_length = bar == NULL ? strlen(word) : (size_t)(bar - word);
    if (word_length == length && memcmp(word, text, length) == 0) {
      *choice = position;
      return true;
    }
    word = bar == NULL ? NULL : bar + 1;
  }
  return false;
}

/* The last one given counts, as for most programs. */
static bool store_value(const option_spec *option, const char *text, sf_cli_arguments *arguments) {
  void *field = (char *)arguments + option->offset;
  switch (option->kind) {
  case OPTION_FLAG:
    *(bool *)field = true;
    return true;
  case OPTION_TEXT:
    *(const char **)field = text;
    return true;
  case OPTION_JSON:
    *(const char **)field = text;
    return sf_cli_json_is_valid(text, strlen(text));
  case OPTION_INTEGER:
    return store_integer(option, text, field);
  case OPTION_NUMBER:
  case OPTION_REAL:
    return store_number(text, option->kind == OPTION_REAL, field);
  case OPTION_LIST:
    return store_list(text, field);
  case OPTION_CHOICE:
    return store_choice(option->argument, text, field);
  case OPTION_S3:
    return sf_cli_s3_setting_store(text, field);
  }
  return false;
}

/* --------------------------------------------------------------------------------------------------------- Mistakes */

static sf_cli_status report_unknown_option(const char *command, const char *name, size_t length, unsigned takes) {
  char mistyped[64];
  snprintf(mistyped, sizeof(mistyped), "%.*s", (int)(length < 60 ? length : 60), name);
  const char *suggestion = sf_cli_suggest(mistyped, option_name_at, &takes);
  if (suggestion == NULL)
    return sf_cli_report_usage(command, "%s has no option --%s", command, mistyped);
  return sf_cli_report_usage(command, "%s has no option --%s; did you mean --%s?", command, mistyped, suggestion);
}

static sf_cli_status report_bad_value(const char *command, const option_spec *option, const char *text) {
  const char *name = option->name;
  switch (option->kind) {
  case OPTION_INTEGER:
    if (option->minimum == INT64_MIN)
      return sf_cli_report_usage(command, "--%s %s: expected an integer", name, text);
    if (option->maximum == INT64_MAX)
      return sf_cli_report_usage(command, "--%s %s: expected an integer of at least %lld", name, text,
                                 (long long)option->minimum);
    return sf_cli_report_usage(command, "--%s %s: expected an integer from %lld to %lld", name, text,
                               (long long)option->minimum, (long long)option->maximum);
  case OPTION_NUMBER:
    return sf_cli_report_usage(command, "--%s %s: expected a number that is not negative", name, text);
  case OPTION_REAL:
    return sf_cli_report_usage(command, "--%s %s: expected a number", name, text);
  case OPTION_LIST:
    return sf_cli_report_usage(command, "--%s %s: expected integers separated by commas", name, text);
  case OPTION_JSON:
    return sf_cli_report_usage(command, "--%s %s: not valid JSON", name, text);
  case OPTION_S3:
    return sf_cli_report_usage(command, "--%s %s: expected NAME=VALUE with NAME %s", name, text,
                               SF_CLI_S3_SETTING_NAMES);
  default:
    return sf_cli_report_usage(command, "--%s %s: expected %s", name, text, option->argument);
  }
}

/* ---------------------------------------------------------------------------------------------------------- Parsing */

/* The option at argv[*index], which begins with "--"; moves *index past its value. */
static sf_cli_status parse_option(int argc, char **argv, int *index, const char *command, unsigned takes,
                                  sf_cli_arguments *arguments) {
  const char *name = argv[*index] + 2;
  const char *equals = strchr(name, '=');
  size_t length = equals == NULL ? strlen(name) : (size_t)(equals - name);
  const option_spec *option = find_option(name, length, takes);
  if (option == NULL)
    return report_unknown_option(command, name, length, takes);
  if (option->kind == OPTION_FLAG && equals != NULL)
    return sf_cli_report_usage(command, "--%s takes no value", option->name);
  const char *text = equals == NULL ? NULL : equals + 1;
  if (option->kind != OPTION_FLAG && text == NULL) {
    if (*index + 1 == argc)
      return sf_cli_report_usage(command, "--%s needs a value: --%s %s", option->name, option->name, option->argument);
    text = argv[++*index];
  }
  if (!store_value(option, text, arguments))
    return report_bad_value(command, option, text);
  return SF_CLI_SUCCESS;
}

static sf_cli_status parse_id(const char *text, sf_cli_arguments *arguments) {
  const char **ids = sf_reallocarray((void *)arguments->ids, arguments->num_ids + 1, sizeof(char *));
  sf_error error;
  if (ids == NULL) {
    sf_fail_memory(&error, "ids");
    return sf_cli_report(&error);
  }
  arguments->ids = ids;
  arguments->ids[arguments->num_ids++] = text;
  return SF_CLI_SUCCESS;
}

static sf_cli_status parse_operand(const char *text, const char *command, unsigned takes, sf_cli_arguments *arguments) {
  if (arguments->root != NULL && (takes & SF_CLI_TAKES_IDS) != 0)
    return parse_id(text, arguments);
  if (arguments->root != NULL)
    return sf_cli_report_usage(command, "more than one ROOT: '%s' and '%s'", arguments->root, text);
  if (text[0] == '\0')
    return sf_cli_report_usage(command, "ROOT is empty");
  arguments->root = text;
  return SF_CLI_SUCCESS;
}

/* What the sharding needs, as far as the command line settles it. */
static sf_cli_status check_strategy(const char *command, const sf_cli_build_arguments *build) {
  int strategy = build->strategy == 0 ? SF_SHARDING_CLUSTER : build->strategy - 1;
  bool is_cel = strategy == SF_SHARDING_CEL;
  bool has_arrays = build->vectors != NULL;
  const struct {
    bool is_needed;
    const void *value;
    const char *usage;
  } needs[] = {
      {is_cel, build->cel_expr, "--cel-expr TEXT"},
      {is_cel, build->cel_columns, "--cel-columns JSON"},
      {is_cel && has_arrays, build->routing_contexts, "--routing-contexts FILE"},
      {strategy == SF_SHARDING_EXPLICIT && has_arrays, build->shard_ids, "--shard-ids FILE"},
  };
  for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
    if (needs[i].is_needed && needs[i].value == NULL)
      return sf_cli_report_usage(command, "%s is missing: --strategy %s needs it", needs[i].usage,
                                 sf_sharding_strategy_name((sf_sharding_strategy)strategy));
  if (!build->num_dbs.is_set && build->centroids == NULL && build->routing_values == NULL)
    return sf_cli_report_usage(command, "--num-dbs N is missing: how many shards to write");
  return SF_CLI_SUCCESS;
}

static sf_cli_status check_build(const char *command, const sf_cli_build_arguments *build) {
  const struct {
    const char *name;
    const char *value;
  } beside_vectors[] = {{"ids", build->ids},
                        {"payloads", build->payloads},
                        {"shard-ids", build->shard_ids},
                        {"routing-contexts", build->routing_contexts}};
  if ((build->vectors == NULL) == (build->jsonl == NULL))
    return sf_cli_report_usage(command, "%s",
                               build->vectors == NULL ? "the rows are missing: --vectors FILE or --jsonl FILE"
                                                      : "either --vectors or --jsonl, not both");
  for (size_t i = 0; i < sizeof(beside_vectors) / sizeof(beside_vectors[0]); i++)
    if (beside_vectors[i].value != NULL && build->vectors == NULL)
      return sf_cli_report_usage(command, "--%s goes with --vectors", beside_vectors[i].name);
  if (build->id_type != 0 && build->ids == NULL)
    return sf_cli_report_usage(command, "--id-type goes with --ids");
  return check_strategy(command, build);
}

/* What the options say about one another. */
static sf_cli_status check_combination(const char *command, unsigned takes, const sf_cli_arguments *arguments) {
  if (arguments->root == NULL)
    return sf_cli_report_usage(command, "ROOT is missing: shardyfusion %s ROOT", command);
  if (takes & SF_CLI_TAKES_BUILD)
    return check_build(command, &arguments->build);
  if (takes & SF_CLI_TAKES_ROLLBACK && arguments->target == NULL)
    return sf_cli_report_usage(command, "--to is missing: --to RUN_ID, a manifest's reference, or previous");
  if (!(takes & SF_CLI_TAKES_QUERY))
    return SF_CLI_SUCCESS;
  if (arguments->query == NULL && arguments->query_file == NULL)
    return sf_cli_report_usage(command, "a query is missing: --query-file FILE or --query '[…]'");
  if (arguments->query != NULL && arguments->query_file != NULL)
    return sf_cli_report_usage(command, "either --query or --query-file, not both");
  if (arguments->row.is_set && arguments->query_file == NULL)
    return sf_cli_report_usage(command, "--row goes with --query-file");
  return SF_CLI_SUCCESS;
}

sf_cli_status sf_cli_arguments_parse(int argc, char **argv, const char *command, unsigned takes,
                                     sf_cli_arguments *arguments) {
  *arguments = (sf_cli_arguments){.s3 = SF_S3_OPTIONS_INIT};
  takes |= SF_CLI_TAKES_ALWAYS;
  bool options_ended = false;
  for (int i = 0; i < argc; i++) {
    sf_cli_status status = SF_CLI_SUCCESS;
    if (options_ended || argv[i][0] != '-' || argv[i][1] == '\0')
      status = parse_operand(argv[i], command, takes, arguments);
    else if (strcmp(argv[i], "--") == 0)
      options_ended = true;
    else if (strcmp(argv[i], "-h") == 0)
      arguments->help = true;
    else if (strcmp(argv[i], "-V") == 0)
      arguments->version = true;
    else if (argv[i][1] != '-')
      status = sf_cli_report_usage(command, "%s has no option %s; options begin with --", command, argv[i]);
    else
      status = parse_option(argc, argv, &i, command, takes, arguments);
    if (status != SF_CLI_SUCCESS)
      return status;
  }
  bool has_work = !arguments->help && !arguments->version;
  return has_work ? check_combination(command, takes, arguments) : SF_CLI_SUCCESS;
}

void sf_cli_arguments_free(sf_cli_arguments *arguments) {
  free(arguments->shard_ids.values);
  free((void *)arguments->ids);
  *arguments = (sf_cli_arguments){0};
}

/* Columns, not bytes: the arguments hold an ellipsis. */
static int count_characters(const char *text) {
  int count = 0;
  for (; *text != '\0'; text++)
    count += ((unsigned char)*text & 0xC0) != 0x80;
  return count;
}

void sf_cli_print_options(FILE *stream, unsigned takes) {
  enum { HELP_COLUMN = 32 };
  takes |= SF_CLI_TAKES_ALWAYS;
  for (size_t i = 0; i < NUM_OPTIONS; i++) {
    const option_spec *option = &option_table[i];
    if (!(option->group & takes))
      continue;
    const char *argument = option->argument == NULL ? "" : option->argument;
    int width = 5 + count_characters(option->name) + count_characters(argument);
    fprintf(stream, "  --%s %s%*s%s\n", option->name, argument, width < HELP_COLUMN ? HELP_COLUMN - width : 1, "",
            option->help);
  }
}
