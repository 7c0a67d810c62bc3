/* Builds a snapshot of 1,000 vectors in 4 cluster shards below a root (a directory or s3://bucket/prefix) and makes it the
 * live one.
 *
 *     example_build ROOT
 */
#include <shardyfusion.h>

#include <stdio.h>

enum { ROWS = 1000, DIM = 16 };

/* A pseudorandom number from -0.5 to 0.5. */
static float fraction(unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 16) / 65536.0f - 0.5f;
}

static sf_code build(const char *root, const sf_row_batch *rows, sf_build_result **result, sf_error *error) {
  sf_build_options options = SF_BUILD_OPTIONS_INIT;
  options.metric = SF_METRIC_COSINE;
  options.strategy = SF_SHARDING_CLUSTER;
  options.num_dbs = 4;
  sf_builder *builder = NULL;
  sf_code code = sf_builder_create(root, &options, &builder, error);
  if (code == SF_OK)
    code = sf_builder_train(builder, rows, error);
  if (code == SF_OK)
    code = sf_builder_add(builder, rows, error);
  if (code == SF_OK)
    code = sf_builder_finish(builder, result, error);
  sf_builder_free(builder);
  return code;
}

int main(int argc, char **argv) {
  static float vectors[ROWS][DIM];
  static int64_t ids[ROWS];
  unsigned state = 1;
  for (int i = 0; i < ROWS; i++) {
    ids[i] = 10000 + i;
    for (int j = 0; j < DIM; j++)
      vectors[i][j] = fraction(&state);
  }
  sf_row_batch rows = SF_ROW_BATCH_INIT;
  rows.count = ROWS;
  rows.vectors = vectors;
  rows.dim = DIM;
  rows.integer_ids = ids;
  sf_error error;
  sf_build_result *result = NULL;
  sf_code code = build(argc > 1 ? argv[1] : "built", &rows, &result, &error);
  if (code == SF_OK)
    printf("%llu rows in %u shards: %s\n", (unsigned long long)result->num_rows, (unsigned)result->num_shards,
           result->manifest_ref);
  else
    fprintf(stderr, "%s: %s\n", sf_code_name(code), error.message);
  sf_free(result);
  return code == SF_OK ? 0 : 1;
}
