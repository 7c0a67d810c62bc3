#include "vectors/panels.h"

#include "base/assert.h"
#include "base/memory.h"
#include "vectors/distance.h"

#include <string.h>

struct sf_panels {
  const sf_kernels *kernels;
  size_t dim;
  size_t width;      /* a multiple of SF_TILE_COLUMNS */
  float *components; /* one panel after the other: each is dim × its number of columns */
};

/* The most columns that any kernels' panel has. */
enum { MAX_COLUMNS = 64 };

sf_code sf_panels_create(size_t count, size_t dim, sf_panels **created, sf_error *error) {
  size_t width;
  size_t size;
  if (!sf_add_size(count, SF_TILE_COLUMNS - 1, &width))
    return sf_fail_memory(error, "packed vectors");
  width -= width % SF_TILE_COLUMNS;
  sf_panels *panels = sf_calloc(1, sizeof(*panels));
  if (panels == NULL)
    return sf_fail_memory(error, "packed vectors");
  *panels = (sf_panels){.kernels = sf_kernels_get(), .dim = dim, .width = width};
  if (sf_multiply_size(width, dim, &size))
    panels->components = sf_calloc(size, sizeof(float));
  if (panels->components == NULL) {
    free(panels);
    return sf_fail_memory(error, "packed vectors");
  }
  *created = panels;
  return SF_OK;
}

void sf_panels_free(sf_panels *panels) {
  if (panels == NULL)
    return;
  free(panels->components);
  free(panels);
}

size_t sf_panels_width(const sf_panels *panels) {
  return panels->width;
}

static size_t columns_from(const sf_panels *panels, size_t first) {
  size_t rest = panels->width - first;
  return rest < panels->kernels->panel_columns ? rest : panels->kernels->panel_columns;
}

void sf_panels_set(sf_panels *panels, size_t index, const float *vector) {
  SF_ASSERT(index < panels->width);
  size_t first = index - index % panels->kernels->panel_columns;
  size_t num_columns = columns_from(panels, first);
  float *column = panels->components + first * panels->dim + (index - first);
  for (size_t i = 0; i < panels->dim; i++)
    column[i * num_columns] = vector[i];
}

void sf_panels_products(const sf_panels *panels, const float *const *rows, size_t num_rows, float *products) {
  float tile[SF_TILE_ROWS * MAX_COLUMNS];
  SF_ASSERT(panels->kernels->panel_columns <= MAX_COLUMNS);
  for (size_t first = 0; first < panels->width; first += panels->kernels->panel_columns) {
    size_t num_columns = columns_from(panels, first);
    const float *panel = panels->components + first * panels->dim;
    for (size_t row = 0; row < num_rows; row += SF_TILE_ROWS) {
      const float *of_tile[SF_TILE_ROWS];
      for (size_t i = 0; i < SF_TILE_ROWS; i++)
        of_tile[i] = rows[row + i < num_rows ? row + i : num_rows - 1];
      panels->kernels->dot_tile(of_tile, panel, num_columns, panels->dim, tile);
      for (size_t i = 0; i < SF_TILE_ROWS && row + i < num_rows; i++)
        memcpy(products + (row + i) * panels->width + first, tile + i * num_columns, num_columns * sizeof(float));
    }
  }
}
