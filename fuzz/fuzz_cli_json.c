/* What the command passes on from shards and reads from callers: payloads made compact, strings, queries. */
#include "base/json_writer.h"
#include "cli/json_text.h"
#include "cli/query_text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition)
    abort();
}

/* What is printed is JSON, takes one line, and making it compact again changes nothing. */
static void check_compact(const char *text, size_t length) {
  sf_buffer once = {0};
  sf_buffer twice = {0};
  if (sf_cli_json_append_compact(&once, text, length, "payload", NULL) == SF_OK) {
    require(memchr(once.data, '\n', once.length) == NULL);
    require(sf_cli_json_is_valid((const char *)once.data, once.length));
    require(sf_cli_json_append_compact(&twice, (const char *)once.data, once.length, "payload", NULL) == SF_OK);
    require(twice.length == once.length && memcmp(once.data, twice.data, once.length) == 0);
  }
  sf_buffer_free(&once);
  sf_buffer_free(&twice);
}

/* Whatever the bytes, a string comes out as JSON. */
static void check_string(const char *text, size_t length) {
  sf_buffer written = {0};
  require(sf_json_append_string(&written, text, length));
  require(sf_cli_json_is_valid((const char *)written.data, written.length));
  sf_buffer_free(&written);
}

/* A query that is read is JSON. */
static void check_query(const char *text, size_t length) {
  double *values = NULL;
  size_t count = 0;
  if (sf_cli_query_parse(text, length, &values, &count, NULL) != SF_OK)
    return;
  require(count <= length && sf_cli_json_is_valid(text, length));
  free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = sf_memdup_string(data, size);
  require(text != NULL);
  check_compact(text, size);
  check_string(text, size);
  check_query(text, size);
  free(text);
  return 0;
}
