/*
 * The first line is a filter, the others are payloads of rows (tests/filter_rows.h). What compiles is evaluated over columns and row by
 * row, which must agree in every row, and fail alike.
 */
#include "../tests/filter_rows.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const sf_filter *filter, const sf_filter_params *params) {
  sf_row_bitmap *expected = NULL;
  sf_row_bitmap *found = NULL;
  sf_filter_account account;
  sf_error error;
  sf_code by_rows = sf_filter_evaluate_one_by_one(filter, params, NULL, &expected, &error);
  sf_code by_columns = sf_filter_evaluate(filter, params, NULL, &found, &account, &error);
  /* Where the ordinary evaluation reaches a limit, columns may not: a string that many rows have is looked at once. */
  if (by_columns != SF_OK && by_rows == SF_OK)
    abort();
  if (by_rows == SF_OK && (expected->num_bytes != found->num_bytes || expected->num_matching != found->num_matching ||
                           memcmp(expected->bits, found->bits, found->num_bytes) != 0))
    abort();
  if (by_rows == SF_OK)
    free(expected);
  if (by_columns == SF_OK)
    free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *newline = size == 0 ? NULL : memchr(data, '\n', size);
  if (newline == NULL || size > 1 << 16)
    return 0;
  char *text = malloc(size + 1);
  sf_filter *filter;
  if (text == NULL)
    return 0;
  memcpy(text, data, size);
  text[size] = '\0';
  size_t length = (size_t)(newline - data);
  text[length] = '\0';
  if (sf_filter_compile(text, &filter, NULL) == SF_OK) {
    filter_rows rows;
    make_filter_rows(&rows, text + length + 1, size - length - 1);
    const sf_filter_params params = {.shard = &rows.base, .place.db_url = "lines", .has_integer_ids = size % 2 == 0};
    compare(filter, &params);
    sf_filter_release(filter);
  }
  free(text);
  return 0;
}
