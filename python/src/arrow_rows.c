#include "arrow_rows.h"

#include "numbers.h"

#include <string.h>

static const struct ArrowSchema *schema_of(const sf_py_arrow_slice *of, int64_t place) {
  return of->schema->children[place];
}

static sf_py_arrow_column column_of(const sf_py_arrow_slice *of, int64_t place) {
  return (sf_py_arrow_column){.schema = of->schema->children[place],
                              .array = of->chunk->children[place],
                              .type = sf_py_arrow_type_of(of->schema->children[place])};
}

static sf_py_place place_of(const sf_py_arrow_slice *of, const sf_py_arrow_column *column, size_t row) {
  return (sf_py_place){.row = row, .name = sf_py_arrow_name(column->schema), .number = of->number + row};
}

static int fail_null(const sf_py_arrow_slice *of, const sf_py_arrow_column *column, size_t row, const char *expected) {
  sf_py_place place = place_of(of, column, row);
  return sf_py_rows_fail(of->rows, &place, "expected %s, found null", expected);
}

static int fail_outside(const sf_py_arrow_slice *of, const sf_py_arrow_column *column, size_t row) {
  sf_py_place place = place_of(of, column, row);
  return sf_py_rows_fail(of->rows, &place, "expected a value within the column's array, found one outside");
}

/* -------------------------------------------------------------------------------------------------------------- Vectors */

/* The vectors of a slice. */
typedef struct vector_lists {
  sf_py_arrow_column lists;
  sf_py_arrow_column components;
  sf_py_number number; /* what these are */
  bool is_native;
  sf_element_type type; /* that they are converted to */
} vector_lists;

static int check_components(const sf_py_arrow_slice *of, const vector_lists *vectors, int64_t first, size_t row) {
  size_t dim = of->rows->dim;
  for (size_t i = 0; vectors->components.array->null_count != 0 && i < dim; i++) {
    if (!sf_py_arrow_is_null(&vectors->components, first + (int64_t)i))
      continue;
    sf_py_place place = place_of(of, &vectors->lists, row);
    return sf_py_rows_fail(of->rows, &place, "component %zu: expected a number, found null", i);
  }
  return 0;
}

/* Whether the vector of a row is one, with as many components as are wanted; *first is where they begin. */
static int check_vector(const sf_py_arrow_slice *of, const vector_lists *vectors, size_t row, int64_t *first) {
  int64_t count;
  if (sf_py_arrow_is_null(&vectors->lists, of->first + (int64_t)row))
    return fail_null(of, &vectors->lists, row, "a vector");
  if (!sf_py_arrow_list(&vectors->lists, of->first + (int64_t)row, first, &count))
    return fail_outside(of, &vectors->lists, row);
  if ((size_t)count == of->rows->dim)
    return check_components(of, vectors, *first, row);
  sf_py_place place = place_of(of, &vectors->lists, row);
  return sf_py_rows_fail(of->rows, &place, "expected %zu components, found %zu", of->rows->dim, (size_t)count);
}

static vector_lists vectors_of(const sf_py_arrow_slice *of) {
  vector_lists vectors = {.lists = column_of(of, of->columns->vector)};
  vectors.components = sf_py_arrow_child(&vectors.lists, 0);
  const sf_py_arrow_type *type = &vectors.components.type;
  vectors.number = (sf_py_number){.kind = type->kind == SF_PY_ARROW_FLOAT ? SF_PY_FLOAT
                                          : type->is_signed               ? SF_PY_SIGNED
                                                                          : SF_PY_UNSIGNED,
                                  .width = type->width};
  vectors.is_native = sf_py_number_is_native(&vectors.number, &vectors.type);
  return vectors;
}

static const char *components_at(const vector_lists *vectors, int64_t first) {
  const struct ArrowArray *array = vectors->components.array;
  return (const char *)array->buffers[1] + (size_t)(array->offset + first) * vectors->number.width;
}

/* Copies the vectors one after the other, as numbers that the builder takes. */
static int copy_vectors(const sf_py_arrow_slice *of, const vector_lists *vectors, size_t count) {
  sf_py_rows *rows = of->rows;
  size_t row_size = rows->dim * sf_py_element_size(vectors->type);
  PyMem_Free(rows->strided);
  rows->strided = count > PY_SSIZE_T_MAX / row_size ? NULL : PyMem_Malloc(count * row_size);
  if (rows->strided == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (size_t row = 0; row < count; row++) {
    int64_t first = 0;
    if (check_vector(of, vectors, row, &first) < 0)
      return -1;
    sf_py_numbers_convert(&vectors->number, components_at(vectors, first), (Py_ssize_t)vectors->number.width, rows->dim,
                          vectors->type, (char *)rows->strided + row * row_size);
  }
  rows->batch.vectors = rows->strided;
  return 0;
}

/* Lists without nulls mostly follow one another in their child: the slice's vectors are then one array, in place. */
static int fill_vectors(const sf_py_arrow_slice *of, size_t count) {
  vector_lists vectors = vectors_of(of);
  int64_t first = 0;
  bool is_in_place = vectors.is_native;
  for (size_t row = 0; row < count; row++) {
    int64_t begin = 0;
    if (check_vector(of, &vectors, row, &begin) < 0)
      return -1;
    first = row == 0 ? begin : first;
    is_in_place = is_in_place && begin == first + (int64_t)(row * of->rows->dim);
  }
  sf_row_batch *batch = &of->rows->batch;
  batch->dim = of->rows->dim;
  batch->vector_type = vectors.type;
  batch->vectors = components_at(&vectors, first);
  if (is_in_place && (uintptr_t)batch->vectors % vectors.number.width == 0)
    return 0;
  return copy_vectors(of, &vectors, count);
}

/* ------------------------------------------------------------------------------------------------- Ids, payloads, routing */

/* The column and the row of a value that must not be null. */
static int find_value(const sf_py_arrow_slice *of, const sf_py_arrow_column *column, size_t row, const char *expected,
                      sf_py_arrow_column *values, int64_t *at) {
  *values = *column;
  *at = of->first + (int64_t)row;
  if (!sf_py_arrow_resolve(values, at))
    return fail_outside(of, column, row);
  return sf_py_arrow_is_null(values, *at) ? fail_null(of, column, row, expected) : 0;
}

static int fill_integers(const sf_py_arrow_slice *of, const sf_py_arrow_column *column, size_t count,
                         int64_t *integers) {
  for (size_t row = 0; row < count; row++) {
    sf_py_arrow_column values;
    int64_t at;
    if (find_value(of, column, row, "an integer", &values, &at) < 0)
      return -1;
    if (sf_py_arrow_integer(&values, at, &integers[row]))
      continue;
    sf_py_place place = place_of(of, column, row);
    return sf_py_rows_fail(of->rows, &place, "expected an integer of at most 2^63 - 1, found %llu",
                           (unsigned long long)integers[row]);
  }
  return 0;
}

static int fill_ids(const sf_py_arrow_slice *of, size_t count) {
  sf_py_rows *rows = of->rows;
  sf_py_arrow_column column = column_of(of, of->columns->id);
  sf_py_arrow_kind kind = sf_py_arrow_type_of(sf_py_arrow_values(column.schema)).kind;
  if (kind == SF_PY_ARROW_INTEGER) {
    rows->batch.integer_ids = rows->integer_ids;
    return fill_integers(of, &column, count, rows->integer_ids);
  }
  rows->batch.string_ids = rows->string_ids;
  rows->batch.string_id_lengths = rows->id_lengths;
  for (size_t row = 0; row < count; row++) {
    sf_py_arrow_column values;
    int64_t at;
    if (find_value(of, &column, row, "an id", &values, &at) < 0)
      return -1;
    if (kind == SF_PY_ARROW_UUID) {
      char text[SF_PY_ARROW_MAX_TEXT];
      sf_py_arrow_put_text(&values, at, false, 0, text);
      rows->id_lengths[row] = strlen(text);
      rows->string_ids[row] = sf_py_rows_keep_text(rows, text, rows->id_lengths[row]);
      if (rows->string_ids[row] == NULL)
        return -1;
    } else if (!sf_py_arrow_text(&values, at, &rows->string_ids[row], &rows->id_lengths[row]))
      return fail_outside(of, &column, row);
  }
  return 0;
}

/* Keeps what was written to the stream's buffer. */
static const char *keep_json(const sf_py_arrow_slice *of, int written) {
  return written < 0 ? NULL : sf_py_rows_keep_text(of->rows, of->json->text, of->json->length);
}

static int fill_payload(const sf_py_arrow_slice *of, const sf_py_arrow_column *column, size_t row) {
  sf_py_rows *rows = of->rows;
  sf_py_arrow_column values = *column;
  int64_t at = of->first + (int64_t)row;
  const char *text;
  if (!sf_py_arrow_resolve(&values, &at))
    return fail_outside(of, column, row);
  if (sf_py_arrow_is_null(&values, at))
    return 0;
  of->json->length = 0;
  if (values.type.kind == SF_PY_ARROW_STRUCT || values.type.kind == SF_PY_ARROW_MAP) {
    int written = sf_py_json_put(of->json, &values, at);
    rows->payload_lengths[row] = of->json->length;
    rows->payloads[row] = keep_json(of, written);
  } else {
    if (!sf_py_arrow_text(&values, at, &text, &rows->payload_lengths[row]))
      return fail_outside(of, column, row);
    rows->payloads[row] = sf_py_rows_keep_text(rows, text, rows->payload_lengths[row]);
  }
  return rows->payloads[row] != NULL ? 0 : -1;
}

static int fill_payloads(const sf_py_arrow_slice *of, size_t count) {
  sf_py_rows *rows = of->rows;
  sf_py_arrow_column column = column_of(of, of->columns->payload);
  rows->batch.payloads = rows->payloads;
  rows->batch.payload_lengths = rows->payload_lengths;
  for (size_t row = 0; row < count; row++) {
    if (fill_payload(of, &column, row) < 0)
      return -1;
  }
  return 0;
}

/* One JSON object a row, of the columns with these places. */
static int fill_objects(const sf_py_arrow_slice *of, const int64_t *members, size_t num_members, size_t count,
                        const char **texts, size_t *lengths) {
  sf_py_json *json = of->json;
  sf_py_arrow_column *columns = PyMem_Calloc(num_members + 1, sizeof(*columns));
  int result = columns == NULL ? -1 : 0;
  if (result < 0)
    PyErr_NoMemory();
  for (size_t i = 0; i < num_members && result == 0; i++)
    columns[i] = column_of(of, members[i]);
  for (size_t row = 0; row < count && result == 0; row++) {
    json->length = 0;
    texts[row] = keep_json(of, sf_py_json_put_object(json, columns, num_members, of->first + (int64_t)row));
    lengths[row] = json->length;
    result = texts[row] == NULL ? -1 : 0;
  }
  PyMem_Free(columns);
  return result;
}

int sf_py_arrow_slice_fill(const sf_py_arrow_slice *of, size_t count) {
  const sf_py_arrow_selection *columns = of->columns;
  sf_py_rows *rows = of->rows;
  sf_row_batch *batch = &rows->batch;
  batch->count = count;
  batch->vectors_name = sf_py_arrow_name(schema_of(of, columns->vector));
  if (fill_vectors(of, count) < 0)
    return -1;
  if (columns->id >= 0) {
    batch->ids_name = sf_py_arrow_name(schema_of(of, columns->id));
    if (fill_ids(of, count) < 0)
      return -1;
  }
  if (columns->shard_id >= 0) {
    sf_py_arrow_column column = column_of(of, columns->shard_id);
    batch->shard_ids_name = sf_py_arrow_name(column.schema);
    batch->shard_ids = rows->shard_ids;
    if (fill_integers(of, &column, count, rows->shard_ids) < 0)
      return -1;
  }
  if (columns->context_members != NULL) {
    batch->routing_contexts = rows->contexts;
    if (fill_objects(of, columns->context_members, columns->num_context_members, count, rows->contexts,
                     rows->payload_lengths) < 0)
      return -1;
  }
  if (columns->payload >= 0) {
    batch->payloads_name = sf_py_arrow_name(schema_of(of, columns->payload));
    return fill_payloads(of, count);
  }
  if (columns->payload_members == NULL)
    return 0;
  batch->payloads = rows->payloads;
  batch->payload_lengths = rows->payload_lengths;
  return fill_objects(of, columns->payload_members, columns->num_payload_members, count, rows->payloads,
                      rows->payload_lengths);
}
