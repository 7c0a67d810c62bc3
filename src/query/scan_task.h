/* How a segment is cut into what one thread scans at a time. */
#ifndef SF_QUERY_SCAN_TASK_H
#define SF_QUERY_SCAN_TASK_H

#include "formats/shard.h"

/* No slice holds fewer bytes of vectors, unless it is the last. */
#define SF_LEAST_TASK_BYTES ((size_t)4 << 20)

/*
 * Rows of the slice that begins at `row`, which is in the segment: whole windows (vectors/lazy_norms.h), or what is left. It
 * depends on nothing else, since searches that scan together have the same slices.
 */
size_t sf_scan_task_rows(const sf_vector_segment *segment, uint32_t dim, size_t row);

#endif
