#include "cli/vector_rows.h"

#include "base/memory.h"

#include <string.h>

enum {
  BATCH_BYTES = 16 << 20,
  MAX_BATCH_ROWS = 16384,
  /* Of a tile that is transposed at a time: its lines of both orders stay in the first-level cache. */
  TILE_ROWS = 64,
  TILE_COLUMNS = 16,
};

static const sf_code invalid = SF_CONFIG_VALIDATION_ERROR;

/* Whether the order of the elements in the file is not that of rows. */
static bool is_transposed(const sf_npy_layout *layout) {
  return layout->is_fortran_order && layout->num_rows > 1 && layout->num_columns > 1;
}

static bool is_in_place(const sf_npy_layout *layout) {
  return layout->type.kind == SF_NPY_FLOAT && !layout->type.is_big_endian && !is_transposed(layout) &&
         layout->offset % layout->type.size == 0;
}

/* The smallest type that holds every element exactly (of integers of 64 bits, to what a double can). */
static sf_element_type type_of_rows(const sf_npy_layout *layout, bool in_place) {
  if (in_place && layout->type.size == 2)
    return SF_FLOAT16;
  return layout->type.size <= (layout->type.kind == SF_NPY_FLOAT ? 4 : 2) ? SF_FLOAT32 : SF_FLOAT64;
}

static size_t size_of_element(sf_element_type type) {
  return type == SF_FLOAT16 ? 2 : type == SF_FLOAT32 ? 4 : 8;
}

sf_code sf_cli_vector_rows_open(sf_cli_vector_rows *rows, const char *path, sf_error *error) {
  *rows = (sf_cli_vector_rows){.path = path};
  SF_TRY(sf_cli_map_array(path, &rows->array, error));
  const sf_npy_layout *layout = &rows->array.layout;
  char found[96];
  sf_npy_describe(layout, found, sizeof(found));
  if (layout->num_dimensions != 2)
    return sf_fail(error, invalid, "%s: expected an array of two dimensions, one vector per row, found %s", path,
                   found);
  rows->num_rows = layout->num_rows;
  rows->dim = layout->num_columns;
  rows->is_in_place = is_in_place(layout);
  rows->type = type_of_rows(layout, rows->is_in_place);
  rows->element_size = size_of_element(rows->type);
  size_t count = (size_t)BATCH_BYTES / (rows->dim * rows->element_size);
  rows->batch_rows = count < 1 ? 1 : count > MAX_BATCH_ROWS ? MAX_BATCH_ROWS : count;
  if (rows->is_in_place)
    return SF_OK;
  rows->converted = sf_calloc(rows->batch_rows, rows->dim * rows->element_size);
  return rows->converted != NULL ? SF_OK : sf_fail_memory(error, path);
}

void sf_cli_vector_rows_close(sf_cli_vector_rows *rows) {
  sf_cli_unmap_array(&rows->array);
  free(rows->converted);
  *rows = (sf_cli_vector_rows){0};
}

/* -------------------------------------------------------------------------------------------------------- Converting */

/* Rows and columns of the array that a tile covers. */
typedef struct tile {
  size_t first_row, num_rows;
  size_t first_column, num_columns;
} tile;

static void convert_tile(const sf_cli_vector_rows *rows, const tile *of) {
  const sf_npy_layout *layout = &rows->array.layout;
  size_t size = layout->type.size;
  size_t row_step = (is_transposed(layout) ? 1 : layout->num_columns) * size;
  size_t column_step = (is_transposed(layout) ? layout->num_rows : 1) * size;
  bool is_copied = layout->type.kind == SF_NPY_FLOAT && size == 4 && !layout->type.is_big_endian;
  for (size_t i = 0; i < of->num_rows; i++) {
    const uint8_t *from = rows->array.elements + (of->first_row + i) * row_step + of->first_column * column_step;
    size_t to = (of->first_row - rows->held_first + i) * rows->dim + of->first_column;
    for (size_t j = 0; j < of->num_columns; j++, from += column_step) {
      if (is_copied)
        memcpy((float *)rows->converted + to + j, from, sizeof(float));
      else if (rows->type == SF_FLOAT32)
        ((float *)rows->converted)[to + j] = (float)sf_npy_number(layout->type, from);
      else
        ((double *)rows->converted)[to + j] = sf_npy_number(layout->type, from);
    }
  }
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Pages that columns were read from are let go at once: each batch touches some of every column. */
static void convert(sf_cli_vector_rows *rows, size_t first, size_t count) {
  rows->held_first = first;
  rows->num_held = count;
  for (size_t row = 0; row < count; row += TILE_ROWS)
    for (size_t column = 0; column < rows->dim; column += TILE_COLUMNS)
      convert_tile(rows, &(tile){first + row, smaller(count - row, TILE_ROWS), column,
                                 smaller(rows->dim - column, TILE_COLUMNS)});
  if (is_transposed(&rows->array.layout))
    sf_cli_mapped_array_release_all(&rows->array);
}

static const void *row_in(const sf_cli_vector_rows *rows, const void *start, size_t row) {
  return (const uint8_t *)start + row * rows->dim * rows->element_size;
}

const void *sf_cli_vector_rows_get(sf_cli_vector_rows *rows, size_t first, size_t count) {
  if (rows->is_in_place)
    return row_in(rows, rows->array.elements, first);
  convert(rows, first, count);
  return rows->converted;
}

const void *sf_cli_vector_rows_one(sf_cli_vector_rows *rows, size_t row) {
  if (rows->is_in_place)
    return row_in(rows, rows->array.elements, row);
  if (row < rows->held_first || row - rows->held_first >= rows->num_held)
    convert(rows, row, is_transposed(&rows->array.layout) ? smaller(rows->batch_rows, rows->num_rows - row) : 1);
  return row_in(rows, rows->converted, row - rows->held_first);
}

/* ------------------------------------------------------------------------------------------------------------- Pages */

void sf_cli_vector_rows_fetch(const sf_cli_vector_rows *rows, size_t first, size_t count) {
  if (!is_transposed(&rows->array.layout))
    sf_cli_mapped_array_fetch(&rows->array, first * rows->dim, count * rows->dim);
}

void sf_cli_vector_rows_release(sf_cli_vector_rows *rows, size_t end) {
  if (!is_transposed(&rows->array.layout))
    sf_cli_mapped_array_release(&rows->array, end * rows->dim);
}

void sf_cli_vector_rows_release_all(sf_cli_vector_rows *rows) {
  sf_cli_mapped_array_release_all(&rows->array);
}
