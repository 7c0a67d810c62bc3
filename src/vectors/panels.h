/* A set of vectors packed by components, so that a tile kernel computes many rows' dot products with all of them:
 * matrix multiplication with a packed panel (Goto, van de Geijn, Anatomy of High-Performance Matrix Multiplication,
 * 2008). */
#ifndef SF_VECTORS_PANELS_H
#define SF_VECTORS_PANELS_H

#include "base/error.h"

/* Immutable between calls of sf_panels_set: any thread. */
typedef struct sf_panels sf_panels;

/* Room for `count` vectors of `dim` components, all zero. Free with sf_panels_free, which allows NULL. */
sf_code sf_panels_create(size_t count, size_t dim, sf_panels **panels, sf_error *error);
void sf_panels_free(sf_panels *panels);

void sf_panels_set(sf_panels *panels, size_t index, const float *vector);

/* How many products a row has: `count`, padded with zeros to whole tiles. */
size_t sf_panels_width(const sf_panels *panels);

/* products[row × width + index] = Σ rowᵢ vectorᵢ in float32, within sf_dot_error_bound, of `num_rows` rows that may be
 * anywhere. Works best with some dozens of rows at once; each result is the same for any number of them. */
void sf_panels_products(const sf_panels *panels, const float *const *rows, size_t num_rows, float *products);

#endif
