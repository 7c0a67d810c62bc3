/* The vocabulary of a snapshot: metrics, sharding strategies and the types of components and ids. */
#ifndef SHARDYFUSION_TYPES_H
#define SHARDYFUSION_TYPES_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sf_metric { SF_METRIC_COSINE = 0, SF_METRIC_L2 = 1, SF_METRIC_DOT_PRODUCT = 2 } sf_metric;
SF_API const char *sf_metric_name(sf_metric metric); /* "cosine", "l2", "dot_product" */

typedef enum sf_sharding_strategy {
  SF_SHARDING_CLUSTER = 0,
  SF_SHARDING_LSH = 1,
  SF_SHARDING_EXPLICIT = 2,
  SF_SHARDING_CEL = 3,
} sf_sharding_strategy;
SF_API const char *sf_sharding_strategy_name(sf_sharding_strategy strategy); /* "cluster", "lsh", "explicit", "cel" */

/* SF_FLOAT16 is only for rows that are added to a builder, not for queries. */
typedef enum sf_element_type { SF_FLOAT32 = 0, SF_FLOAT64 = 1, SF_FLOAT16 = 2 } sf_element_type;

/* An id is an integer or a string: the writer of a snapshot chooses for each row. */
typedef enum sf_id_type { SF_ID_INTEGER = 0, SF_ID_STRING = 1 } sf_id_type;

typedef struct sf_row_id {
  sf_id_type type;
  int64_t integer;    /* SF_ID_INTEGER */
  const char *string; /* SF_ID_STRING: UTF-8, `length` bytes, which may include NULs */
  size_t length;
} sf_row_id;

/* The distance kernels in use ("avx512vnni", "avx512", "avx2", "neon", "portable"). The environment variable SHARDYFUSION_KERNEL
 * forces one. Static storage. */
SF_API const char *sf_kernel_name(void);

#ifdef __cplusplus
}
#endif

#endif
