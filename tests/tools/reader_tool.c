/*
 * Keeps a reader open for the tests of tests/python: options and a root on the command line, then commands on standard
 * input, one a line with words between tabs, each answered by a line of JSON.
 *
 *   reader_tool [-c CACHE_DIR] [-s MAX_CACHED_SHARDS] [-b MAX_CACHE_BYTES] [-o NAME=VALUE]... ROOT
 *   search FILE FIRST COUNT TOP_K [SHARD_ID...]     FILE: rows of float32, of which COUNT from FIRST on are asked together
 */
#include "base/json.h"
#include "base/memory.h"
#include "base/time.h"
#include "cli/s3_settings.h"
#include "shardyfusion/search.h"

#include <stdio.h>
#include <string.h>

#define MAX_WORDS 64

typedef struct tool {
  sf_reader *reader;
  uint32_t dim;
} tool;

static float *read_rows(const char *path, size_t first, size_t count, uint32_t dim) {
  FILE *file = fopen(path, "rb");
  float *rows = sf_calloc(count * dim, sizeof(*rows));
  bool read = file != NULL && rows != NULL && fseek(file, (long)(first * dim * sizeof(*rows)), SEEK_SET) == 0 &&
              fread(rows, sizeof(*rows) * dim, count, file) == count;
  if (file != NULL)
    fclose(file);
  if (!read)
    abort();
  return rows;
}

static json_t *describe_result(const sf_search_result *result) {
  char score[32];
  json_t *shown = json_array();
  snprintf(score, sizeof(score), "%.17g", result->score);
  json_array_append_new(shown, result->id_type == SF_ID_INTEGER ? json_integer(result->id_integer)
                                                                : json_stringn(result->id_string, result->id_length));
  json_array_append_new(shown, json_string(score));
  json_array_append_new(shown,
                        result->payload == NULL ? json_null() : json_stringn(result->payload, result->payload_length));
  return shown;
}

static json_t *describe_response(const sf_search_response *response) {
  json_t *shown = json_array();
  for (size_t i = 0; i < sf_search_response_count(response); i++)
    json_array_append_new(shown, describe_result(sf_search_response_result(response, i)));
  return shown;
}

static sf_code search(const tool *used, const float *rows, size_t count, int64_t top_k, const int64_t *shard_ids,
                      size_t num_shard_ids, json_t *answer, sf_error *error) {
  sf_search_request *requests = sf_calloc(count, sizeof(*requests));
  sf_search_response **responses = sf_calloc(count, sizeof(void *));
  if (requests == NULL || responses == NULL)
    abort();
  for (size_t i = 0; i < count; i++) {
    sf_search_request_init(&requests[i]);
    requests[i].query = rows + i * used->dim;
    requests[i].dim = used->dim;
    requests[i].top_k = top_k;
    requests[i].has_shard_ids = num_shard_ids > 0;
    requests[i].shard_ids = shard_ids;
    requests[i].num_shard_ids = num_shard_ids;
  }
  sf_code code = sf_reader_batch_search(used->reader, requests, count, responses, error);
  json_t *results = json_array();
  json_object_set_new(answer, "results", results);
  for (size_t i = 0; i < count && code == SF_OK; i++) {
    json_array_append_new(results, describe_response(responses[i]));
    sf_search_response_free(responses[i]);
  }
  free(responses);
  free(requests);
  return code;
}

static sf_code run_search(const tool *used, char **words, json_t *answer, sf_error *error) {
  int64_t shard_ids[MAX_WORDS];
  size_t num_shard_ids = 0;
  size_t count = strtoull(words[3], NULL, 10);
  for (char **word = words + 5; *word != NULL; word++)
    shard_ids[num_shard_ids++] = strtoll(*word, NULL, 10);
  float *rows = read_rows(words[1], strtoull(words[2], NULL, 10), count, used->dim);
  sf_code code = search(used, rows, count, strtoll(words[4], NULL, 10), shard_ids, num_shard_ids, answer, error);
  free(rows);
  return code;
}

/* Opened by the first command, so that failing to is an answer too. */
static sf_code open_reader(tool *used, const char *root, const sf_reader_options *options, sf_error *error) {
  sf_snapshot_info *info;
  if (used->reader != NULL)
    return SF_OK;
  SF_TRY(sf_reader_open(root, options, &used->reader, error));
  SF_TRY(sf_reader_snapshot_info(used->reader, &info, error));
  used->dim = info->dim;
  sf_free(info);
  return SF_OK;
}

static void run_line(tool *used, const char *root, const sf_reader_options *options, char *line) {
  char *words[MAX_WORDS + 1] = {0};
  line[strcspn(line, "\n")] = '\0';
  int num_words = 0;
  for (; num_words < MAX_WORDS && line != NULL; num_words++)
    words[num_words] = strsep(&line, "\t");
  json_t *answer = json_object();
  sf_error error = {0};
  uint64_t start = sf_monotonic_nanoseconds();
  sf_code code = open_reader(used, root, options, &error);
  if (code == SF_OK && strcmp(words[0], "search") == 0 && num_words >= 5)
    code = run_search(used, words, answer, &error);
  json_object_set_new(answer, "ms", json_integer((int64_t)((sf_monotonic_nanoseconds() - start) / 1000000)));
  json_object_set_new(answer, "ok", json_boolean(code == SF_OK));
  if (code != SF_OK) {
    json_object_set_new(answer, "error", json_string(sf_code_name(code)));
    json_object_set_new(answer, "message", json_string(error.message));
  }
  json_dumpf(answer, stdout, JSON_COMPACT);
  putchar('\n');
  fflush(stdout);
  json_decref(answer);
}

static bool set_option(char name, const char *value, sf_reader_options *options, sf_s3_options *s3) {
  switch (name) {
  case 'c':
    options->cache_dir = value;
    return true;
  case 's':
    options->max_cached_shards = (uint32_t)strtoul(value, NULL, 10);
    return true;
  case 'b':
    options->max_cache_bytes = strtoull(value, NULL, 10);
    return true;
  case 'o':
    return sf_cli_s3_setting_store(value, s3);
  default:
    return false;
  }
}

int main(int argc, char **argv) {
  sf_s3_options s3 = SF_S3_OPTIONS_INIT;
  sf_reader_options options = SF_READER_OPTIONS_INIT;
  options.s3 = &s3;
  int next = 1;
  for (; next + 2 < argc && argv[next][0] == '-'; next += 2)
    if (!set_option(argv[next][1], argv[next + 1], &options, &s3)) {
      fprintf(stderr, "reader_tool: what is the option %s %s?\n", argv[next], argv[next + 1]);
      return 2;
    }
  if (next + 1 != argc) {
    fputs("usage: reader_tool [-c CACHE_DIR] [-s MAX_CACHED_SHARDS] [-b MAX_CACHE_BYTES] [-o NAME=VALUE]... ROOT\n",
          stderr);
    return 2;
  }
  tool used = {0};
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0)
    run_line(&used, argv[next], &options, line);
  free(line);
  sf_reader_free(used.reader);
  return 0;
}
