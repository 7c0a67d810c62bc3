/*
 * Drives a storage for the tests of tests/python: options and a root on the command line, then commands on standard input,
 * one a line with words between tabs, each answered by a line of JSON.
 *
 *   s3_tool [-o NAME=VALUE]... ROOT
 *   get KEY | range KEY OFFSET LENGTH | head KEY | list PREFIX | download KEY PATH
 *   put KEY FILE [absent | match ETAG] | upload KEY FILE | remove KEY | remove_all PREFIX
 *   parallel COUNT COMMAND... | cancel MILLISECONDS COMMAND...
 */
#include "base/json.h"
#include "base/thread.h"
#include "base/time.h"
#include "storage/s3/settings.h"
#include "storage/s3/sigv4.h"
#include "storage/storage.h"

#include <stdio.h>
#include <string.h>

#define MAX_WORDS 16
#define MAX_THREADS 64
#define MAX_OBJECT ((size_t)1 << 30)

static void set_number(json_t *answer, const char *name, uint64_t value) {
  json_object_set_new(answer, name, json_integer((int64_t)value));
}

static void set_contents(json_t *answer, const void *bytes, size_t length) {
  char hash[SF_SHA256_HEX_SIZE];
  if (sf_sha256_hex(bytes != NULL ? bytes : "", length, hash))
    json_object_set_new(answer, "sha256", json_string(hash));
  set_number(answer, "size", length);
  if (length <= 4096)
    json_object_set_new(answer, "text", json_stringn(bytes != NULL ? bytes : "", length));
}

typedef sf_code (*command_function)(sf_storage *storage, char **words, const sf_cancellation *cancellation,
                                    json_t *answer, sf_error *error);

static sf_code run_get(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                       sf_error *error) {
  bool found = false;
  sf_buffer contents = {0};
  sf_object_info info = {0};
  sf_code code = sf_storage_get_with_info(storage, words[1], MAX_OBJECT, cancellation, &found, &contents, &info, error);
  json_object_set_new(answer, "etag", json_string(info.etag));
  json_object_set_new(answer, "found", json_boolean(found));
  set_contents(answer, contents.data, contents.length);
  sf_buffer_free(&contents);
  return code;
}

static sf_code run_range(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                         sf_error *error) {
  bool found = false;
  size_t length = strtoull(words[3], NULL, 10);
  uint8_t *bytes = sf_calloc(length, 1);
  if (bytes == NULL)
    return sf_fail_memory(error, "range");
  sf_code code =
      sf_storage_get_range(storage, words[1], strtoull(words[2], NULL, 10), length, cancellation, &found, bytes, error);
  json_object_set_new(answer, "found", json_boolean(found));
  set_contents(answer, bytes, length);
  free(bytes);
  return code;
}

static sf_code run_head(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                        sf_error *error) {
  bool found = false;
  sf_object_info info = {0};
  sf_code code = sf_storage_head(storage, words[1], cancellation, &found, &info, error);
  json_object_set_new(answer, "found", json_boolean(found));
  set_number(answer, "size", info.size);
  json_object_set_new(answer, "etag", json_string(info.etag));
  return code;
}

static bool add_listed(const char *key, void *user_data) {
  return json_array_append_new(user_data, json_string(key)) == 0;
}

static sf_code run_list(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                        sf_error *error) {
  json_t *keys = json_array();
  json_object_set_new(answer, "keys", keys);
  return sf_storage_list(storage, words[1], cancellation, add_listed, keys, error);
}

static sf_code run_download(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                            sf_error *error) {
  bool found = false;
  char *path = NULL;
  sf_code code = sf_storage_local_file(storage, words[1], words[2], cancellation, &found, &path, error);
  json_object_set_new(answer, "found", json_boolean(found));
  if (path != NULL)
    json_object_set_new(answer, "path", json_string(path));
  free(path);
  return code;
}

static sf_code run_put(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                       sf_error *error) {
  bool stored = false;
  size_t length = 0;
  char *bytes = sf_s3_read_small_file(words[2], (size_t)64 << 20, &length);
  if (bytes == NULL)
    return sf_fail(error, SF_ERROR, "can't read %s", words[2]);
  const sf_put_condition condition = {
      .if_none_match = words[3] != NULL && strcmp(words[3], "absent") == 0,
      .if_match = words[3] != NULL && strcmp(words[3], "match") == 0 ? words[4] : NULL,
  };
  sf_code code = sf_storage_put(storage, words[1], bytes, length, &condition, cancellation, &stored, error);
  json_object_set_new(answer, "stored", json_boolean(stored));
  free(bytes);
  return code;
}

static sf_code run_upload(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                          sf_error *error) {
  (void)answer;
  return sf_storage_put_file(storage, words[1], words[2], cancellation, error);
}

static sf_code run_remove(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                          sf_error *error) {
  (void)answer;
  return sf_storage_remove(storage, words[1], cancellation, error);
}

static sf_code run_remove_all(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                              sf_error *error) {
  (void)answer;
  return sf_storage_remove_all(storage, words[1], cancellation, error);
}

/* What was fetched since the tool began. */
static sf_code run_traffic(sf_storage *storage, char **words, const sf_cancellation *cancellation, json_t *answer,
                           sf_error *error) {
  (void)words, (void)cancellation, (void)error;
  sf_storage_traffic traffic;
  json_object_set_new(answer, "known", json_boolean(sf_storage_get_traffic(storage, &traffic)));
  set_number(answer, "requests", traffic.num_requests);
  set_number(answer, "bytes", traffic.num_bytes);
  return SF_OK;
}

static const struct {
  const char *name;
  int num_words;
  command_function run;
} commands[] = {
    {"get", 2, run_get},         {"range", 4, run_range},       {"head", 2, run_head},
    {"list", 2, run_list},       {"download", 3, run_download}, {"put", 3, run_put},
    {"upload", 3, run_upload},   {"remove", 2, run_remove},     {"remove_all", 2, run_remove_all},
    {"traffic", 1, run_traffic},
};

static json_t *run_command(sf_storage *storage, char **words, const sf_cancellation *cancellation) {
  json_t *answer = json_object();
  sf_error error = {0};
  sf_code code = SF_ERROR;
  int num_words = 0;
  while (words[num_words] != NULL)
    num_words++;
  snprintf(error.message, sizeof(error.message), "unknown command");
  uint64_t start = sf_monotonic_nanoseconds();
  for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
    if (num_words >= commands[i].num_words && strcmp(commands[i].name, words[0]) == 0)
      code = commands[i].run(storage, words, cancellation, answer, &error);
  set_number(answer, "ms", (sf_monotonic_nanoseconds() - start) / 1000000);
  json_object_set_new(answer, "ok", json_boolean(code == SF_OK));
  if (code != SF_OK) {
    json_object_set_new(answer, "error", json_string(sf_code_name(code)));
    json_object_set_new(answer, "message", json_string(error.message));
  }
  return answer;
}

/* ------------------------------------------------------------------------------------------------------------ Threads */

typedef struct job {
  sf_storage *storage;
  char **words;
  json_t *answer;
  pthread_t thread;
} job;

static void *run_job(void *argument) {
  job *done = argument;
  done->answer = run_command(done->storage, done->words, NULL);
  return NULL;
}

static json_t *run_parallel(sf_storage *storage, char **words) {
  job jobs[MAX_THREADS];
  long count = strtol(words[1], NULL, 10);
  json_t *answers = json_array();
  if (count > MAX_THREADS)
    count = MAX_THREADS;
  for (long i = 0; i < count; i++) {
    jobs[i] = (job){.storage = storage, .words = words + 2};
    if (sf_thread_start(&jobs[i].thread, run_job, &jobs[i]) != 0)
      abort();
  }
  for (long i = 0; i < count; i++) {
    pthread_join(jobs[i].thread, NULL);
    json_array_append_new(answers, jobs[i].answer);
  }
  return answers;
}

typedef struct alarm_clock {
  sf_cancellation cancellation;
  long milliseconds;
} alarm_clock;

static void *ring(void *argument) {
  alarm_clock *alarm = argument;
  struct timespec pause = {.tv_sec = alarm->milliseconds / 1000, .tv_nsec = alarm->milliseconds % 1000 * 1000000};
  nanosleep(&pause, NULL);
  sf_cancellation_request(&alarm->cancellation);
  return NULL;
}

static json_t *run_with_cancellation(sf_storage *storage, char **words) {
  alarm_clock alarm = {.milliseconds = strtol(words[1], NULL, 10)};
  pthread_t thread;
  if (sf_thread_start(&thread, ring, &alarm) != 0)
    abort();
  json_t *answer = run_command(storage, words + 2, &alarm.cancellation);
  pthread_join(thread, NULL);
  return answer;
}

static void run_line(sf_storage *storage, char *line) {
  char *words[MAX_WORDS + 1] = {0};
  line[strcspn(line, "\n")] = '\0';
  for (int i = 0; i < MAX_WORDS && line != NULL; i++)
    words[i] = strsep(&line, "\t");
  json_t *answer;
  if (strcmp(words[0], "parallel") == 0 && words[1] != NULL && words[2] != NULL)
    answer = run_parallel(storage, words);
  else if (strcmp(words[0], "cancel") == 0 && words[1] != NULL && words[2] != NULL)
    answer = run_with_cancellation(storage, words);
  else
    answer = run_command(storage, words, NULL);
  json_dumpf(answer, stdout, JSON_COMPACT);
  putchar('\n');
  fflush(stdout);
  json_decref(answer);
}

/* ------------------------------------------------------------------------------------------------------------ Options */

static unsigned callback_calls;

/* Plays an embedding program: keys out of two variables, the first call's under OLD_, the others' under NEW_. */
static sf_code supply_from_callback(sf_s3_credential_request *request, void *user_data, sf_error *error) {
  (void)user_data;
  bool is_first = callback_calls++ == 0;
  const char *id = getenv(is_first ? "OLD_ID" : "NEW_ID");
  const char *secret = getenv(is_first ? "OLD_SECRET" : "NEW_SECRET");
  const char *token = getenv(is_first ? "OLD_TOKEN" : "NEW_TOKEN");
  if (id == NULL)
    return sf_fail(error, SF_ERROR, "the embedding program has no keys");
  return sf_s3_supply_credentials(request, id, secret, token, 0, error);
}

static bool set_option(sf_s3_options *options, char *option) {
  char *value = strchr(option, '=');
  if (value == NULL)
    return false;
  *value++ = '\0';
  const struct {
    const char *name;
    const char **field;
  } texts[] = {
      {"endpoint_url", &options->endpoint_url},
      {"region_name", &options->region_name},
      {"ca_path", &options->ca_path},
      {"profile", &options->profile},
      {"access_key_id", &options->access_key_id},
      {"secret_access_key", &options->secret_access_key},
      {"session_token", &options->session_token},
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    if (strcmp(texts[i].name, option) == 0)
      return (*texts[i].field = value) != NULL;
  if (strcmp(option, "addressing_style") == 0)
    options->addressing_style = strcmp(value, "path") == 0      ? SF_S3_ADDRESSING_PATH
                                : strcmp(value, "virtual") == 0 ? SF_S3_ADDRESSING_VIRTUAL
                                                                : SF_S3_ADDRESSING_AUTO;
  else if (strcmp(option, "verify_ssl") == 0)
    options->no_verify_ssl = strcmp(value, "false") == 0;
  else if (strcmp(option, "anonymous") == 0)
    options->anonymous = strcmp(value, "true") == 0;
  else if (strcmp(option, "requester_pays") == 0)
    options->requester_pays = strcmp(value, "true") == 0;
  else if (strcmp(option, "callback") == 0)
    options->credential_callback = strcmp(value, "true") == 0 ? supply_from_callback : NULL;
  else if (strcmp(option, "connect_timeout") == 0)
    options->connect_timeout_seconds = strtod(value, NULL);
  else if (strcmp(option, "read_timeout") == 0)
    options->read_timeout_seconds = strtod(value, NULL);
  else if (strcmp(option, "max_attempts") == 0)
    options->max_attempts = (uint32_t)strtoul(value, NULL, 10);
  else if (strcmp(option, "max_connections") == 0)
    options->max_connections = (uint32_t)strtoul(value, NULL, 10);
  else
    return false;
  return true;
}

int main(int argc, char **argv) {
  sf_s3_options options = SF_S3_OPTIONS_INIT;
  int next = 1;
  for (; next + 1 < argc && strcmp(argv[next], "-o") == 0; next += 2)
    if (!set_option(&options, argv[next + 1])) {
      fprintf(stderr, "s3_tool: what is the option %s?\n", argv[next + 1]);
      return 2;
    }
  if (next + 1 != argc) {
    fputs("usage: s3_tool [-o NAME=VALUE]... ROOT\n", stderr);
    return 2;
  }
  const sf_storage_options storage_options = {.s3 = &options};
  sf_storage *storage = NULL;
  sf_error error = {0};
  if (sf_storage_open(argv[next], &storage_options, &storage, &error) != SF_OK) {
    printf("{\"ok\":false,\"error\":\"%s\",\"open\":true}\n", sf_code_name(error.code));
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0)
    run_line(storage, line);
  free(line);
  sf_storage_close(storage);
  return 0;
}
