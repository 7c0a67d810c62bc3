#include "formats/lance/rows.h"

#include "base/json.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "formats/row_failures.h"

/* Rows that are read from a storage wait for it, several at a time. */
#define MAX_THREADS 8

/* The state of a thread that reads rows: a cache for each column. */
typedef struct row_reader {
  sf_lance_page_cache ids;
  sf_lance_page_cache payloads;
} row_reader;

/* A row, borrowed from its reader. */
typedef struct row_text {
  sf_lance_bytes id;
  sf_lance_bytes payload;
  bool has_payload;
} row_text;

static void row_reader_free(row_reader *reader) {
  sf_lance_page_cache_free(&reader->ids);
  sf_lance_page_cache_free(&reader->payloads);
}

static const sf_lance_fragment *find_fragment(const sf_lance_rows *from, uint64_t row) {
  size_t low = 0;
  size_t high = from->num_fragments;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (from->fragments[middle].first_row <= row)
      low = middle;
    else
      high = middle;
  }
  if (high == 0 || row - from->fragments[low].first_row >= from->fragments[low].num_rows)
    return NULL;
  return &from->fragments[low];
}

static sf_code read_columns(const sf_lance_fragment *fragment, uint64_t row, bool wants_id, bool wants_payload,
                            row_reader *reader, row_text *text, sf_error *error) {
  bool is_null = true;
  *text = (row_text){0};
  if (wants_id) {
    SF_TRY(sf_lance_string_column_get(fragment->ids, row, &reader->ids, &is_null, &text->id, error));
    if (is_null)
      return SF_LANCE_BAD(error, "%s: row %llu has no id", sf_lance_object_name(fragment->files[0].object),
                          (unsigned long long)row);
  }
  if (fragment->payloads == NULL || !wants_payload)
    return SF_OK;
  SF_TRY(sf_lance_string_column_get(fragment->payloads, row, &reader->payloads, &is_null, &text->payload, error));
  text->has_payload = !is_null;
  return SF_OK;
}

static sf_code read_row_of(const sf_lance_fragment *fragment, uint64_t row, row_reader *reader, row_text *text,
                           sf_error *error) {
  return read_columns(fragment, row, true, true, reader, text, error);
}

static sf_code read_row(const sf_lance_rows *from, uint64_t row, bool wants_payload, row_reader *reader, row_text *text,
                        sf_error *error) {
  const sf_lance_fragment *fragment = find_fragment(from, row);
  if (fragment == NULL)
    return SF_LANCE_BAD(error, "row %llu is not among the shard's", (unsigned long long)row);
  sf_directory_id id = {0};
  if (from->directory != NULL)
    id = sf_row_directory_id(from->directory, row);
  bool wants_id = id.text == NULL;
  SF_TRY(read_columns(fragment, row - fragment->first_row, wants_id, wants_payload, reader, text, error));
  if (!wants_id)
    text->id = (sf_lance_bytes){(const uint8_t *)id.text, id.length};
  return SF_OK;
}

/* A string that is there has a place, also when it is empty. */
static const char *place_of(sf_lance_bytes bytes) {
  return bytes.length > 0 ? (const char *)bytes.data : "";
}

static sf_code add_row(sf_row_sink *sink, const row_text *text, sf_error *error) {
  const char *payload = text->has_payload ? place_of(text->payload) : NULL;
  if (sink->add(sink, SF_ID_STRING, 0, place_of(text->id), text->id.length, payload,
                text->has_payload ? text->payload.length : 0))
    return SF_OK;
  return sf_fail_memory(error, "results");
}

/* ------------------------------------------------------------------------------------------------ Several at a time */

typedef struct parallel_fetch {
  const sf_lance_rows *from;
  const uint64_t *rows;
  size_t count;
  bool wants_payloads;
  row_text *texts;       /* by row; owns their bytes */
  pthread_mutex_t mutex; /* guards the fields after it */
  size_t next;
  sf_code code; /* of the first failure */
  sf_error error;
} parallel_fetch;

static bool take_row(parallel_fetch *work, size_t *index) {
  pthread_mutex_lock(&work->mutex);
  bool found = work->code == SF_OK && work->next < work->count;
  if (found)
    *index = work->next++;
  pthread_mutex_unlock(&work->mutex);
  return found;
}

static void report(parallel_fetch *work, sf_code code, const sf_error *error) {
  pthread_mutex_lock(&work->mutex);
  if (work->code == SF_OK) {
    work->code = code;
    work->error = *error;
  }
  pthread_mutex_unlock(&work->mutex);
}

static bool keep(sf_lance_bytes *bytes) {
  char *copy = sf_memdup_string(bytes->data, bytes->length);
  bytes->data = (const uint8_t *)copy;
  return copy != NULL;
}

static void *read_rows(void *argument) {
  parallel_fetch *work = argument;
  row_reader reader = {0};
  sf_error error;
  size_t index;
  while (take_row(work, &index)) {
    row_text text;
    sf_code code = read_row(work->from, work->rows[index], work->wants_payloads, &reader, &text, &error);
    if (code == SF_OK) {
      bool kept = keep(&text.id);
      kept = keep(&text.payload) && kept;
      work->texts[index] = text;
      if (!kept)
        code = sf_fail_memory(&error, "results");
    }
    if (code != SF_OK)
      report(work, code, &error);
  }
  row_reader_free(&reader);
  return NULL;
}

static void run_threads(parallel_fetch *work) {
  pthread_t threads[MAX_THREADS - 1];
  size_t num_threads = 0;
  while (num_threads + 1 < work->count && num_threads < MAX_THREADS - 1 &&
         sf_helper_thread_start(&threads[num_threads], read_rows, work))
    num_threads++;
  read_rows(work);
  for (size_t i = 0; i < num_threads; i++)
    sf_helper_thread_join(threads[i]);
}

static void free_text(const sf_lance_bytes *bytes) {
  /* The copy was made here; only the view of it is const. */
  void *copy;
  memcpy(&copy, &bytes->data, sizeof(copy));
  free(copy);
}

static sf_code fetch_in_parallel(const sf_lance_rows *from, const uint64_t *rows, size_t count, sf_row_sink *sink,
                                 sf_error *error) {
  parallel_fetch work = {.from = from, .rows = rows, .count = count, .wants_payloads = !sink->omits_payloads};
  work.texts = sf_calloc(count, sizeof(*work.texts));
  if (work.texts == NULL || pthread_mutex_init(&work.mutex, NULL) != 0) {
    free(work.texts);
    return sf_fail_memory(error, "results");
  }
  run_threads(&work);
  sf_code code = work.code;
  if (code != SF_OK && error != NULL)
    *error = work.error;
  for (size_t i = 0; i < count; i++) {
    if (code == SF_OK)
      code = add_row(sink, &work.texts[i], error);
    free_text(&work.texts[i].id);
    free_text(&work.texts[i].payload);
  }
  pthread_mutex_destroy(&work.mutex);
  free(work.texts);
  return code;
}

/* --------------------------------------------------------------------------------------------------------- Fetching */

static bool is_mapped(const sf_lance_rows *from) {
  for (size_t i = 0; i < from->num_fragments; i++)
    for (size_t j = 0; j < from->fragments[i].num_files; j++) {
      const sf_lance_object *object = from->fragments[i].files[j].object;
      if (sf_lance_object_mapped(object, 0, sf_lance_object_size(object)) == NULL)
        return false;
    }
  return true;
}

sf_code sf_lance_rows_fetch(const sf_lance_rows *from, const uint64_t *rows, size_t count, sf_row_sink *sink,
                            sf_error *error) {
  if (count > 1 && !is_mapped(from))
    return fetch_in_parallel(from, rows, count, sink, error);
  row_reader reader = {0};
  sf_code code = SF_OK;
  for (size_t i = 0; i < count && code == SF_OK; i++) {
    row_text text;
    code = read_row(from, rows[i], !sink->omits_payloads, &reader, &text, error);
    if (code == SF_OK)
      code = add_row(sink, &text, error);
  }
  row_reader_free(&reader);
  return code;
}

/* ------------------------------------------------------------------------------------------------------- All of them */

static sf_code visit_row(const sf_lance_fragment *fragment, uint64_t row, row_reader *reader, sf_row_visitor *visitor,
                         sf_error *error) {
  row_text read = {0};
  SF_TRY(read_columns(fragment, row, visitor->wants_ids, visitor->wants_payloads, reader, &read, error));
  sf_row_text text = {.id_type = SF_ID_STRING, .id_string = place_of(read.id), .id_length = read.id.length};
  if (read.has_payload) {
    text.payload = place_of(read.payload);
    text.payload_length = read.payload.length;
  }
  return visitor->visit(visitor, fragment->first_row + row, &text, error);
}

/* The live rows of a page that has rows (sf_lance_fragment_has_rows): there can't be endlessly many. */
static sf_code read_page(const sf_lance_fragment *fragment, const sf_lance_page *page, row_reader *reader,
                         sf_row_visitor *visitor, sf_error *error) {
  size_t num_rows = (size_t)page->num_rows;
  uint8_t *deleted = sf_calloc(num_rows / 8 + 1, 1);
  if (deleted == NULL)
    return sf_fail_memory(error, "a bitmap of rows");
  sf_lance_deletions_mark(&fragment->deletions, page->first_row, num_rows, deleted);
  sf_code code = SF_OK;
  for (size_t row = 0; row < num_rows && code == SF_OK; row++) {
    if (row % 1024 == 0)
      code = sf_cancellation_check(reader->ids.cancellation, error);
    if (code == SF_OK && !sf_lance_bit(deleted, row))
      code = visit_row(fragment, page->first_row + row, reader, visitor, error);
  }
  free(deleted);
  return code;
}

sf_code sf_lance_rows_read(const sf_lance_rows *from, sf_row_visitor *visitor, const sf_cancellation *cancellation,
                           sf_error *error) {
  row_reader reader = {.ids = {.cancellation = cancellation}, .payloads = {.cancellation = cancellation}};
  sf_code code = SF_OK;
  for (size_t i = 0; i < from->num_fragments && code == SF_OK; i++) {
    const sf_lance_fragment *fragment = &from->fragments[i];
    for (size_t page = 0; page < fragment->vectors.num_pages && code == SF_OK; page++)
      if (sf_lance_fragment_has_rows(fragment, page))
        code = read_page(fragment, &fragment->vectors.pages[page], &reader, visitor, error);
  }
  row_reader_free(&reader);
  return code;
}

/* --------------------------------------------------------------------------------------------------------- Checking */

static sf_code check_text(const row_text *text, sf_buffer *payload, sf_error *error) {
  if (!sf_utf8_valid(place_of(text->id), text->id.length, NULL))
    return SF_LANCE_BAD(error, "id: expected UTF-8, found other bytes");
  if (!text->has_payload)
    return SF_OK;
  payload->length = 0;
  if (!sf_buffer_append(payload, place_of(text->payload), text->payload.length))
    return sf_fail_memory(error, "payload");
  return sf_json_check_object((const char *)payload->data, payload->length, "payload", SF_DB_ADAPTER_ERROR, error);
}

/* `row` is that of the fragment. */
static sf_code check_row(const sf_lance_fragment *fragment, uint64_t row, row_reader *reader, sf_buffer *payload,
                         sf_row_failures *failures, sf_error *error) {
  row_text text;
  SF_TRY(read_row_of(fragment, row, reader, &text, error));
  sf_error failure;
  sf_code code = check_text(&text, payload, &failure);
  if (code == SF_DB_ADAPTER_ERROR)
    sf_error_prefix(&failure, "%s: row %llu", sf_lance_object_name(fragment->files[0].object), (unsigned long long)row);
  return sf_row_failures_add(failures, code, &failure, error);
}

/* The live rows of a page that has rows (sf_lance_fragment_has_rows): there can't be endlessly many. */
static sf_code check_page(const sf_lance_fragment *fragment, const sf_lance_page *page, row_reader *reader,
                          sf_row_failures *failures, const sf_cancellation *cancellation, sf_error *error) {
  size_t num_rows = (size_t)page->num_rows;
  uint8_t *deleted = sf_calloc(num_rows / 8 + 1, 1);
  if (deleted == NULL)
    return sf_fail_memory(error, "a bitmap of rows");
  sf_lance_deletions_mark(&fragment->deletions, page->first_row, num_rows, deleted);
  sf_buffer payload = {0};
  sf_code code = SF_OK;
  for (size_t row = 0; row < num_rows && code == SF_OK; row++) {
    if (row % 1024 == 0)
      code = sf_cancellation_check(cancellation, error);
    if (code == SF_OK && !sf_lance_bit(deleted, row))
      code = check_row(fragment, page->first_row + row, reader, &payload, failures, error);
  }
  sf_buffer_free(&payload);
  free(deleted);
  return code;
}

sf_code sf_lance_rows_check(const sf_lance_rows *from, const sf_cancellation *cancellation, sf_error *error) {
  row_reader reader = {.ids = {.cancellation = cancellation}, .payloads = {.cancellation = cancellation}};
  sf_row_failures failures = {0};
  sf_code code = SF_OK;
  for (size_t i = 0; i < from->num_fragments && code == SF_OK; i++) {
    const sf_lance_fragment *fragment = &from->fragments[i];
    for (size_t page = 0; page < fragment->vectors.num_pages && code == SF_OK; page++)
      if (sf_lance_fragment_has_rows(fragment, page))
        code = check_page(fragment, &fragment->vectors.pages[page], &reader, &failures, cancellation, error);
  }
  row_reader_free(&reader);
  return code == SF_OK ? sf_row_failures_report(&failures, error) : code;
}
