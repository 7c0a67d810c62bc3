/* Rows from JSON Lines: {"id", "vector", "payload", "shard_id", "routing_context"} a line. */
#include "base/json.h"
#include "base/json_text.h"
#include "cli/build_rows.h"
#include "cli/lines.h"

#include <stdio.h>
#include <string.h>

#define MAX_BATCH_ROWS ((size_t)4096)
#define MAX_BATCH_BYTES ((size_t)8 << 20)

enum { NUM_MEMBERS = 5, MAX_SHOWN = 80, MAX_PLACE = 512 };

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

/* What there is of a text in the batch's texts. */
typedef struct text_at {
  bool is_there;
  size_t offset;
  size_t length;
} text_at;

typedef struct jsonl_row {
  bool has_id;
  bool has_integer_id;
  int64_t integer_id;
  text_at string_id;
  text_at payload;
  int64_t shard_id;
  text_at routing_context;
} jsonl_row;

typedef struct jsonl {
  sf_cli_lines lines;
  sf_builder *builder;
  bool needs_shard_id;
  bool needs_context;
  size_t dim;        /* of the first row; 0: there was none */
  bool first_has_id; /* whether the first row has one: all have, or none */
  sf_buffer vectors; /* rows of dim doubles */
  sf_buffer texts;   /* each with a NUL behind it */
  jsonl_row *rows;   /* MAX_BATCH_ROWS */
  size_t count;
  uint64_t first_line; /* of the batch */
  /* The batch's arrays: */
  int64_t *integer_ids;
  const char **string_ids;
  size_t *string_id_lengths;
  const char **payloads;
  size_t *payload_lengths;
  int64_t *shard_ids;
  const char **contexts;
} jsonl;

static sf_code fail(const jsonl *from, sf_error *error, const char *expected, const sf_json_text *found) {
  return sf_fail(error, invalid, "%s: line %llu: expected %s, found %.*s", from->lines.path,
                 (unsigned long long)from->lines.number, expected,
                 found == NULL               ? 7
                 : found->length < MAX_SHOWN ? (int)found->length
                                             : MAX_SHOWN,
                 found == NULL ? "nothing" : found->data);
}

/* ----------------------------------------------------------------------------------------------------------- A line */

/* The members of a line, as they were written: NULL where one is absent or null. */
typedef struct line_members {
  sf_json_text texts[NUM_MEMBERS];
  const sf_json_text *id;
  const sf_json_text *vector;
  const sf_json_text *payload;
  const sf_json_text *shard_id;
  const sf_json_text *routing_context;
} line_members;

static sf_code keep_text(jsonl *from, const char *text, size_t length, text_at *kept, sf_error *error) {
  *kept = (text_at){.is_there = true, .offset = from->texts.length, .length = length};
  bool appended = sf_buffer_append(&from->texts, text, length) && sf_buffer_append(&from->texts, "", 1);
  return appended ? SF_OK : sf_fail_memory(error, from->lines.path);
}

/* A string's characters; one that holds what is no character, half of a surrogate pair, is refused. */
static sf_code keep_string(jsonl *from, const sf_json_text *string, text_at *kept, sf_error *error) {
  if (memchr(string->data, '\\', string->length) == NULL)
    return keep_text(from, string->data + 1, string->length - 2, kept, error);
  sf_json json;
  char what[MAX_PLACE];
  snprintf(what, sizeof(what), "%s: line %llu: \"id\"", from->lines.path, (unsigned long long)from->lines.number);
  SF_TRY(sf_json_parse(string->data, string->length, SF_JSON_EXACT, what, invalid, &json, error));
  sf_code code = keep_text(from, json_string_value(json.root), json_string_length(json.root), kept, error);
  sf_json_free(&json);
  return code;
}

static sf_code take_id(jsonl *from, const sf_json_text *id, jsonl_row *row, sf_error *error) {
  row->has_id = id != NULL;
  if (from->dim == 0)
    from->first_has_id = row->has_id;
  if (row->has_id != from->first_has_id)
    return fail(from, error,
                from->first_has_id ? "an \"id\", as the first line has one" : "no \"id\", as the first line has none",
                id);
  if (id == NULL)
    return SF_OK;
  if (id->data[0] == '"')
    return keep_string(from, id, &row->string_id, error);
  row->has_integer_id = true;
  return sf_json_text_to_int64(*id, &row->integer_id)
             ? SF_OK
             : fail(from, error, "\"id\" to be a string or an integer of 64 bits", id);
}

/* Appends the numbers of an array; one that no double holds is an infinity, which no vector may have. */
static sf_code take_components(jsonl *from, const sf_json_text *vector, size_t *count, sf_error *error) {
  const char *end = vector->data + vector->length - 1;
  const char *at = sf_json_skip_blanks(vector->data + 1, end);
  for (*count = 0; at < end; (*count)++) {
    const char *number_end = sf_json_number_end(at, end);
    if (number_end == NULL) {
      sf_json_text rest = {.data = at, .length = strcspn(at, ",]}")};
      return fail(from, error, "\"vector\" to be an array of numbers", &rest);
    }
    double value = strtod(at, NULL);
    if (!sf_buffer_append(&from->vectors, &value, sizeof(value)))
      return sf_fail_memory(error, from->lines.path);
    at = sf_json_skip_blanks(number_end, end);
    at = at < end ? sf_json_skip_blanks(at + 1, end) : end;
  }
  return SF_OK;
}

/* As take_components, from numbers that have been parsed; false, with nothing appended, where they are not what was
 * written, or no numbers. */
static bool take_parsed(jsonl *from, const sf_json *line, size_t *count) {
  const json_t *vector = json_object_get(line->root, "vector");
  *count = json_array_size(vector);
  if (!line->is_exact || !sf_buffer_reserve(&from->vectors, *count * sizeof(double)))
    return false;
  double *components = (double *)(void *)(from->vectors.data + from->vectors.length);
  for (size_t i = 0; i < *count; i++) {
    const json_t *component = json_array_get(vector, i);
    if (!json_is_number(component))
      return false;
    components[i] = json_number_value(component);
  }
  from->vectors.length += *count * sizeof(double);
  return true;
}

static sf_code take_vector(jsonl *from, const sf_json *line, const sf_json_text *vector, sf_error *error) {
  if (vector == NULL || vector->data[0] != '[')
    return fail(from, error, "\"vector\" to be an array of numbers", vector);
  size_t count;
  if (!take_parsed(from, line, &count))
    SF_TRY(take_components(from, vector, &count, error));
  if (from->dim == 0)
    from->dim = count;
  if (count == 0 || count != from->dim)
    return sf_fail(error, invalid, "%s: line %llu: expected a vector of %zu components, found %zu", from->lines.path,
                   (unsigned long long)from->lines.number, count == 0 ? (size_t)1 : from->dim, count);
  return SF_OK;
}

/* The object's text stays as it is: numbers keep their digits. */
static sf_code take_object(jsonl *from, const char *expected, const sf_json_text *object, text_at *kept,
                           sf_error *error) {
  if (object == NULL)
    return SF_OK;
  if (object->data[0] != '{')
    return fail(from, error, expected, object);
  return keep_text(from, object->data, object->length, kept, error);
}

/* A member of another name, and one that is there twice, are more likely a slip than meant. */
static sf_code find_members(const jsonl *from, const char *line, size_t length, line_members *found, sf_error *error) {
  static const char *const names[NUM_MEMBERS] = {"id", "vector", "payload", "shard_id", "routing_context"};
  const sf_json_text **places[NUM_MEMBERS] = {&found->id, &found->vector, &found->payload, &found->shard_id,
                                              &found->routing_context};
  bool seen[NUM_MEMBERS] = {false};
  sf_json_parts members = sf_json_parts_of(line, length);
  sf_json_text name;
  sf_json_text value;
  while (sf_json_next_member(&members, &name, &value)) {
    size_t place = 0;
    while (place < NUM_MEMBERS && !sf_json_text_is(name, names[place]))
      place++;
    if (place == NUM_MEMBERS)
      return fail(from, error, "id, vector, payload, shard_id and routing_context", &name);
    if (seen[place])
      return fail(from, error, "each member once", &name);
    seen[place] = true;
    found->texts[place] = value;
    *places[place] = value.data[0] == 'n' ? NULL : &found->texts[place];
  }
  return SF_OK;
}

static sf_code take_members(jsonl *from, const sf_json *json, const char *line, size_t length, sf_error *error) {
  jsonl_row *row = &from->rows[from->count];
  line_members members = {0};
  *row = (jsonl_row){0};
  SF_TRY(find_members(from, line, length, &members, error));
  SF_TRY(take_id(from, members.id, row, error));
  SF_TRY(take_vector(from, json, members.vector, error));
  SF_TRY(take_object(from, "\"payload\" to be an object", members.payload, &row->payload, error));
  SF_TRY(
      take_object(from, "\"routing_context\" to be an object", members.routing_context, &row->routing_context, error));
  if ((members.shard_id != NULL || from->needs_shard_id) &&
      (members.shard_id == NULL || !sf_json_text_to_int64(*members.shard_id, &row->shard_id)))
    return fail(from, error, "\"shard_id\" to be an integer", members.shard_id);
  if (from->needs_context && !row->routing_context.is_there)
    return fail(from, error, "\"routing_context\" to be an object", NULL);
  from->count++;
  return SF_OK;
}

static sf_code take_line(jsonl *from, const char *line, size_t length, sf_error *error) {
  char what[MAX_PLACE];
  snprintf(what, sizeof(what), "%s: line %llu", from->lines.path, (unsigned long long)from->lines.number);
  sf_json json;
  SF_TRY(sf_json_parse_object(line, length, SF_JSON_STRICT, what, invalid, &json, error));
  sf_code code = take_members(from, &json, line, length, error);
  sf_json_free(&json);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- A batch */

static const char *text_of(const jsonl *from, const text_at *at) {
  return at->is_there ? (const char *)from->texts.data + at->offset : NULL;
}

static void fill_arrays(jsonl *from) {
  for (size_t i = 0; i < from->count; i++) {
    const jsonl_row *row = &from->rows[i];
    from->integer_ids[i] = row->integer_id;
    from->string_ids[i] = text_of(from, &row->string_id);
    from->string_id_lengths[i] = row->string_id.length;
    from->payloads[i] = text_of(from, &row->payload);
    from->payload_lengths[i] = row->payload.length;
    from->shard_ids[i] = row->shard_id;
    from->contexts[i] = text_of(from, &row->routing_context);
  }
}

static sf_code add_batch(sf_cli_session *session, jsonl *from, sf_error *error) {
  sf_row_batch batch = SF_ROW_BATCH_INIT;
  fill_arrays(from);
  batch.count = from->count;
  batch.vectors = from->vectors.data;
  batch.dim = from->dim;
  batch.vector_type = SF_FLOAT64;
  batch.integer_ids = from->first_has_id ? from->integer_ids : NULL;
  batch.string_ids = from->first_has_id ? from->string_ids : NULL;
  batch.string_id_lengths = from->string_id_lengths;
  batch.payloads = from->payloads;
  batch.payload_lengths = from->payload_lengths;
  batch.shard_ids = from->needs_shard_id ? from->shard_ids : NULL;
  batch.routing_contexts = from->needs_context ? from->contexts : NULL;
  batch.vectors_name = batch.ids_name = batch.payloads_name = batch.shard_ids_name = batch.routing_contexts_name =
      from->lines.path;
  batch.row_word = "line";
  batch.has_first_number = true;
  batch.first_number = from->first_line;
  SF_TRY(sf_cli_session_add_rows(session, from->builder, &batch, error));
  from->count = 0;
  from->vectors.length = 0;
  from->texts.length = 0;
  return SF_OK;
}

static sf_code add_all(sf_cli_session *session, jsonl *from, sf_cli_build_progress *progress, sf_error *error) {
  char *line = NULL;
  size_t length = 0;
  do {
    SF_TRY(sf_cli_lines_next(&from->lines, &line, &length, error));
    if (from->count == 0)
      from->first_line = from->lines.number;
    if (line != NULL)
      SF_TRY(take_line(from, line, length, error));
    bool is_full = from->count == MAX_BATCH_ROWS || from->vectors.length + from->texts.length >= MAX_BATCH_BYTES;
    if (from->count > 0 && (line == NULL || is_full)) {
      SF_TRY(sf_cli_session_look(session, error));
      progress->bytes_read = from->lines.bytes_read;
      SF_TRY(add_batch(session, from, error));
    }
  } while (line != NULL);
  return SF_OK;
}

/* A stream may never end: a signal ends the wait. */
static sf_code wait_for_input(void *context, int descriptor, sf_error *error) {
  sf_cli_session *session = context;
  bool is_readable = false;
  while (!is_readable) {
    SF_TRY(sf_cli_session_poll(session, descriptor, &is_readable, error));
    SF_TRY(sf_cli_session_check(session, error));
  }
  return SF_OK;
}

static bool make_arrays(jsonl *from) {
  from->rows = sf_calloc(MAX_BATCH_ROWS, sizeof(*from->rows));
  from->integer_ids = sf_calloc(MAX_BATCH_ROWS, sizeof(int64_t));
  from->string_ids = sf_calloc(MAX_BATCH_ROWS, sizeof(char *));
  from->string_id_lengths = sf_calloc(MAX_BATCH_ROWS, sizeof(size_t));
  from->payloads = sf_calloc(MAX_BATCH_ROWS, sizeof(char *));
  from->payload_lengths = sf_calloc(MAX_BATCH_ROWS, sizeof(size_t));
  from->shard_ids = sf_calloc(MAX_BATCH_ROWS, sizeof(int64_t));
  from->contexts = sf_calloc(MAX_BATCH_ROWS, sizeof(char *));
  return from->rows != NULL && from->integer_ids != NULL && from->string_ids != NULL &&
         from->string_id_lengths != NULL && from->payloads != NULL && from->payload_lengths != NULL &&
         from->shard_ids != NULL && from->contexts != NULL;
}

static void free_arrays(jsonl *from) {
  sf_buffer_free(&from->vectors);
  sf_buffer_free(&from->texts);
  free(from->rows);
  free(from->integer_ids);
  free(from->string_ids);
  free(from->string_id_lengths);
  free(from->payloads);
  free(from->payload_lengths);
  free(from->shard_ids);
  free(from->contexts);
}

sf_code sf_cli_build_from_jsonl(sf_cli_session *session, sf_builder *builder, sf_cli_build_progress *progress,
                                sf_error *error) {
  const sf_cli_build_arguments *build = &session->arguments.build;
  jsonl from = {.builder = builder,
                .needs_shard_id = build->strategy == SF_SHARDING_EXPLICIT + 1,
                .needs_context = build->strategy == SF_SHARDING_CEL + 1};
  sf_code code =
      make_arrays(&from) ? sf_cli_lines_open(&from.lines, build->jsonl, error) : sf_fail_memory(error, "rows");
  from.lines.wait = wait_for_input;
  from.lines.wait_context = session;
  if (code == SF_OK) {
    progress->total_bytes = sf_cli_lines_total_bytes(&from.lines);
    code = add_all(session, &from, progress, error);
  }
  sf_cli_lines_close(&from.lines);
  free_arrays(&from);
  return code;
}
