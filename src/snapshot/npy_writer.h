/* Routing artifacts as NumPy's .npy files, version 1.0, C order, little-endian float32. */
#ifndef SF_SNAPSHOT_NPY_WRITER_H
#define SF_SNAPSHOT_NPY_WRITER_H

#include "base/memory.h"

/* Appends the file to `bytes`. False when memory is out. */
bool sf_npy_append(const float *values, size_t num_rows, size_t num_columns, sf_buffer *bytes);

#endif
