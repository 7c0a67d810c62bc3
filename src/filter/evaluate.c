/* Evaluates a filter for the rows of a shard. */
#include "base/json_text.h"
#include "base/time.h"
#include "cel/limits.h"
#include "cel/value.h"
#include "filter/column_set.h"
#include "filter/payload_value.h"
#include "filter/program.h"

/* The ordinary evaluation, row by row. */
typedef struct row_pass {
  sf_row_visitor visitor; /* first: reading passes it back */
  const sf_filter *filter;
  bool has_integer_ids;
  sf_cel_evaluator *evaluator;
  sf_payload_values payload;
  uint64_t *steps_left;
  const sf_row_bitmap *unknown; /* the rows to evaluate; NULL: all */
  sf_row_bitmap *bitmap;
  sf_filter_account *account;
} row_pass;

static sf_cel_value id_value(const row_pass *pass, const sf_row_text *text) {
  int64_t integer;
  if (text->id_type == SF_ID_INTEGER)
    return sf_cel_int(text->id_integer);
  if (pass->has_integer_ids && sf_json_text_to_int64((sf_json_text){text->id_string, text->id_length}, &integer))
    return sf_cel_int(integer);
  return sf_cel_string(text->id_string, text->id_length);
}

/* Without a payload it is the empty map; one that is malformed has no value. */
static sf_code bind_payload(row_pass *pass, const sf_row_text *text, sf_cel_binding *bindings, size_t *count,
                            sf_error *error) {
  bool is_valid = true;
  sf_cel_value map = sf_cel_map(NULL, 0);
  if (text->payload != NULL)
    SF_TRY(sf_payload_value(&pass->payload, text->payload, text->payload_length, &is_valid, &map, error));
  if (is_valid)
    bindings[(*count)++] = (sf_cel_binding){.name = "payload", .value = map};
  return SF_OK;
}

static sf_code fail_limit(const row_pass *pass, sf_code code, const sf_error *failure, sf_error *error) {
  if (code == SF_OUT_OF_MEMORY_ERROR)
    return sf_fail_memory(error, "filter");
  if (*pass->steps_left == 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR,
                   "filter: the evaluation takes more than %d steps a row on average", SF_FILTER_STEPS_PER_ROW);
  return sf_fail(error, code, "filter: %s", failure->message);
}

static sf_code visit(sf_row_visitor *visitor, uint64_t row, const sf_row_text *text, sf_error *error) {
  row_pass *pass = (row_pass *)visitor;
  if (pass->unknown != NULL && !sf_row_bitmap_has(pass->unknown, row))
    return SF_OK;
  sf_cel_binding bindings[2];
  size_t count = 0;
  bindings[count++] = (sf_cel_binding){.name = "id", .value = id_value(pass, text)};
  if (visitor->wants_payloads)
    SF_TRY(bind_payload(pass, text, bindings, &count, error));
  const sf_cel_value *value;
  bool is_limit;
  sf_error failure;
  sf_code code = sf_cel_evaluator_run(pass->evaluator, bindings, count, pass->steps_left, &value, &is_limit, &failure);
  if (is_limit)
    return fail_limit(pass, code, &failure, error);
  if (code == SF_OK && value->kind == SF_CEL_BOOL && value->as.boolean) {
    sf_row_bitmap_set(pass->bitmap, row);
    pass->bitmap->num_matching++;
  }
  pass->account->num_rows_one_by_one++;
  return SF_OK;
}

/* Of the rows that are unknown; NULL: of all. */
static sf_code evaluate_rows(const sf_filter *filter, const sf_filter_params *params, const sf_row_bitmap *unknown,
                             uint64_t *steps, const sf_cancellation *cancellation, sf_row_bitmap *bitmap,
                             sf_filter_account *account, sf_error *error) {
  row_pass pass = {.visitor = {.wants_ids = filter->reads_id, .wants_payloads = filter->reads_payload, .visit = visit},
                   .filter = filter,
                   .has_integer_ids = params->has_integer_ids,
                   .unknown = unknown,
                   .bitmap = bitmap,
                   .account = account};
  pass.steps_left = steps;
  SF_TRY(sf_cel_evaluator_create(filter->program, &pass.evaluator, error));
  sf_code code = sf_shard_read_rows(params->shard, &pass.visitor, cancellation, error);
  sf_cel_evaluator_free(pass.evaluator);
  sf_payload_values_free(&pass.payload);
  return code;
}

static uint64_t most_steps(const sf_row_bitmap *bitmap) {
  return bitmap->num_rows * SF_FILTER_STEPS_PER_ROW + SF_CEL_MAX_STEPS;
}

sf_code sf_filter_evaluate_one_by_one(const sf_filter *filter, const sf_filter_params *params,
                                      const sf_cancellation *cancellation, sf_row_bitmap **evaluated, sf_error *error) {
  sf_filter_account account = {0};
  SF_TRY(sf_row_bitmap_create(params->shard->row_span, evaluated, error));
  uint64_t steps = most_steps(*evaluated);
  sf_code code = evaluate_rows(filter, params, NULL, &steps, cancellation, *evaluated, &account, error);
  if (code != SF_OK)
    free(*evaluated);
  return code;
}

static double milliseconds_since(uint64_t started) {
  return (double)(sf_monotonic_nanoseconds() - started) / 1e6;
}

/* Over columns, and row by row what they don't tell. */
static sf_code evaluate_columns(const sf_filter *filter, const sf_filter_params *params, const sf_column_set *columns,
                                uint64_t *steps, const sf_cancellation *cancellation, sf_row_bitmap *bitmap,
                                sf_filter_account *account, sf_error *error) {
  const sf_bulk_params bulk = {
      .paths = &filter->paths, .root = filter->bulk, .columns = columns->columns, .num_rows = bitmap->num_rows};
  sf_row_bitmap *unknown;
  SF_TRY(sf_row_bitmap_create(bitmap->num_rows, &unknown, error));
  sf_code code = sf_bulk_evaluate(&bulk, steps, cancellation, bitmap, unknown, error);
  if (code == SF_OK && unknown->num_matching > 0)
    code = evaluate_rows(filter, params, unknown, steps, cancellation, bitmap, account, error);
  free(unknown);
  return code;
}

static sf_code evaluate(const sf_filter *filter, const sf_filter_params *params, const sf_cancellation *cancellation,
                        sf_row_bitmap *bitmap, sf_filter_account *account, sf_error *error) {
  uint64_t steps = most_steps(bitmap);
  uint64_t started = sf_monotonic_nanoseconds();
  sf_column_set columns = {0};
  sf_code code = SF_OK;
  if (filter->bulk != NULL)
    code = sf_column_set_open(&filter->paths, params, cancellation, &columns, error);
  account->columns_made = columns.num_made;
  account->decode_ms = milliseconds_since(started);
  started = sf_monotonic_nanoseconds();
  if (code == SF_OK && filter->bulk != NULL)
    code = evaluate_columns(filter, params, &columns, &steps, cancellation, bitmap, account, error);
  else if (code == SF_OK)
    code = evaluate_rows(filter, params, NULL, &steps, cancellation, bitmap, account, error);
  account->evaluate_ms = milliseconds_since(started);
  sf_column_set_free(&columns);
  return code;
}

sf_code sf_filter_evaluate(const sf_filter *filter, const sf_filter_params *params, const sf_cancellation *cancellation,
                           sf_row_bitmap **evaluated, sf_filter_account *account, sf_error *error) {
  sf_row_bitmap *bitmap;
  *account = (sf_filter_account){0};
  SF_TRY(sf_row_bitmap_create(params->shard->row_span, &bitmap, error));
  account->num_rows = bitmap->num_rows;
  sf_code code = evaluate(filter, params, cancellation, bitmap, account, error);
  if (code == SF_OK)
    *evaluated = bitmap;
  else
    free(bitmap);
  return code;
}
