/* What was asked for: the options of all commands in one table, from which they are parsed and help is printed. */
#ifndef SF_CLI_ARGUMENTS_H
#define SF_CLI_ARGUMENTS_H

#include "cli/status.h"
#include "shardyfusion/storage.h"

#include <stdio.h>

/* Groups of options; a command takes one or more. */
enum {
  SF_CLI_TAKES_QUERY = 1 << 0,
  SF_CLI_TAKES_SEARCH = 1 << 1,
  SF_CLI_TAKES_ROUTING = 1 << 2,
  SF_CLI_TAKES_READER = 1 << 3,
  SF_CLI_TAKES_STALENESS = 1 << 4,
  SF_CLI_TAKES_LIMIT = 1 << 5,
  SF_CLI_TAKES_ALWAYS = 1 << 6,
  SF_CLI_TAKES_BUILD = 1 << 7,
  SF_CLI_TAKES_CLEANUP = 1 << 8,
  SF_CLI_TAKES_ROLLBACK = 1 << 9,
  SF_CLI_TAKES_FILTER = 1 << 10,
  SF_CLI_TAKES_SHARDS = 1 << 11, /* to look in */
  SF_CLI_TAKES_ROWS = 1 << 12,   /* what is printed of each */
  SF_CLI_TAKES_IDS = 1 << 13,    /* operands behind ROOT */
  SF_CLI_TAKES_INDEX = 1 << 14,
};

typedef struct sf_cli_integer {
  bool is_set;
  int64_t value;
} sf_cli_integer;

typedef struct sf_cli_number {
  bool is_set;
  double value;
} sf_cli_number;

typedef struct sf_cli_integer_list {
  bool is_set;
  int64_t *values;
  size_t count;
} sf_cli_integer_list;

typedef enum sf_cli_format {
  SF_CLI_FORMAT_DEFAULT = 0,
  SF_CLI_FORMAT_TABLE = 1,
  SF_CLI_FORMAT_JSONL = 2
} sf_cli_format;

/* What build is given, as far as search has nothing of the name. */
typedef struct sf_cli_build_arguments {
  const char *vectors;
  const char *ids;
  const char *payloads;
  const char *shard_ids;
  const char *routing_contexts;
  const char *jsonl;
  int id_type;  /* 1: auto, 2: int, 3: str; 0: not given */
  int metric;   /* an sf_metric + 1 */
  int backend;  /* 1: lance, 2 and 3: sqlite-vec, by either of its names; 0: not given */
  int strategy; /* an sf_sharding_strategy + 1 */
  sf_cli_integer num_dbs;
  sf_cli_integer num_probes;
  sf_cli_integer num_hash_bits;
  const char *centroids;
  const char *hyperplanes;
  const char *cel_expr;
  const char *cel_columns;
  const char *routing_values;
  sf_cli_integer seed;
  sf_cli_integer training_rows;
  sf_cli_integer training_iterations;
  sf_cli_integer max_memory;
  sf_cli_integer threads;
  const char *s3_prefix;
  const char *run_id;
  const char *staging_dir;
  bool sidecar;
} sf_cli_build_arguments;

/* Texts are borrowed from argv. */
typedef struct sf_cli_arguments {
  const char *root;
  const char *query;
  const char *query_file;
  sf_cli_integer row;
  sf_cli_integer top_k;
  const char *filter;
  sf_cli_number max_score;
  sf_cli_number recall;
  bool all; /* rows up to max_score */
  sf_cli_integer max_results;
  sf_cli_integer offset;
  bool vectors;
  bool no_payloads;
  bool explain;
  const char **ids; /* operands behind ROOT */
  size_t num_ids;
  sf_cli_integer num_probes;
  sf_cli_integer_list shard_ids;
  const char *routing_context;
  const char *cache_dir;
  sf_cli_integer max_cache_bytes;
  sf_cli_integer max_concurrency;
  sf_cli_integer max_fallback_attempts;
  sf_cli_number staleness_threshold;
  sf_cli_integer limit;
  sf_cli_build_arguments build;
  bool remove;
  sf_cli_integer num_lists; /* of an indexing */
  bool force;
  sf_cli_number older_than;
  const char *target; /* of a rollback */
  const char *profile;
  sf_s3_options s3; /* of --s3-option */
  int format;       /* an sf_cli_format */
  bool help;
  bool version;
} sf_cli_arguments;

/* Reads what stands behind the command's name. A mistake is reported on stderr and gives SF_CLI_USAGE. Free the
 * arguments in either case. */
sf_cli_status sf_cli_arguments_parse(int argc, char **argv, const char *command, unsigned takes,
                                     sf_cli_arguments *arguments);
void sf_cli_arguments_free(sf_cli_arguments *arguments);

/* Of a word that begins with '-': whether some command has this option, and whether its value is the next word. */
bool sf_cli_option_is_known(const char *word);
bool sf_cli_option_takes_next(const char *word);

/* The list of the options of a command that takes these groups. */
void sf_cli_print_options(FILE *stream, unsigned takes);

#endif
