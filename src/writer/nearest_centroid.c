#include "writer/nearest_centroid.h"

#include "base/memory.h"
#include "kmeans/nearest.h"
#include "vectors/metrics.h"

#include <math.h>

struct sf_nearest_centroid {
  sf_router_params params;
  double *norms; /* num_dbs */
  sf_nearest *nearest;
  sf_nearest_rule rule;
};

static double reader_distance(const void *context, const float *row, uint32_t id) {
  const sf_nearest_centroid *nearest = context;
  return sf_route_centroid_distance(&nearest->params, nearest->norms, row, id);
}

/*
 * The points that are scored. For cosine, centroids of length 1, whose products are in the order of the cosines. The
 * format's cosine, x·c / (|c||x| + ε) with ε = 10⁻¹⁰, times |x|, is at most ε/|c| away from such a product.
 */
static sf_code set_points(sf_nearest_centroid *nearest, sf_error *error) {
  static const double format_epsilon = 1e-10;
  const sf_router_params *params = &nearest->params;
  float *points = sf_calloc(params->num_dbs, params->dim * sizeof(float));
  if (points == NULL)
    return sf_fail_memory(error, "centroids");
  for (size_t i = 0; i < params->num_dbs; i++) {
    bool is_scaled = sf_scoring_of_metric(params->metric)->is_normalised && nearest->norms[i] > 0;
    double length = is_scaled ? nearest->norms[i] : 1;
    if (is_scaled)
      nearest->rule.score_error = fmax(nearest->rule.score_error, format_epsilon / length);
    for (size_t j = 0; j < params->dim; j++)
      points[i * params->dim + j] = (float)(params->artifact[i * params->dim + j] / length);
  }
  sf_nearest_set_points(nearest->nearest, points);
  free(points);
  return SF_OK;
}

sf_code sf_nearest_centroid_create(const sf_router_params *params, sf_nearest_centroid **created, sf_error *error) {
  sf_nearest_centroid *nearest = sf_calloc(1, sizeof(*nearest));
  if (nearest == NULL)
    return sf_fail_memory(error, "centroids");
  nearest->params = *params;
  nearest->rule = (sf_nearest_rule){.distance = reader_distance, .context = nearest};
  nearest->norms = sf_calloc(params->num_dbs, sizeof(double));
  sf_code code = nearest->norms == NULL ? sf_fail_memory(error, "norms of centroids") : SF_OK;
  for (size_t i = 0; code == SF_OK && i < params->num_dbs; i++)
    nearest->norms[i] = sf_route_centroid_norm(params->artifact + i * params->dim, params->dim);
  if (code == SF_OK)
    code = sf_nearest_create(params->num_dbs, params->dim, sf_scoring_of_metric(params->metric)->is_of_differences,
                             &nearest->nearest, error);
  if (code == SF_OK)
    code = set_points(nearest, error);
  if (code == SF_OK)
    *created = nearest;
  else
    sf_nearest_centroid_free(nearest);
  return code;
}

void sf_nearest_centroid_free(sf_nearest_centroid *nearest) {
  if (nearest == NULL)
    return;
  sf_nearest_free(nearest->nearest);
  free(nearest->norms);
  free(nearest);
}

sf_code sf_nearest_centroid_assign(const sf_nearest_centroid *nearest, const float *rows, size_t num_rows,
                                   uint32_t *shard_ids, sf_error *error) {
  size_t max_rows = sf_nearest_max_rows(nearest->nearest);
  float *scratch = sf_calloc(sf_nearest_scratch_size(nearest->nearest), sizeof(float));
  const float **of_block = sf_calloc(max_rows, sizeof(*of_block));
  sf_nearest_answer *answers = sf_calloc(max_rows, sizeof(*answers));
  sf_code code = SF_OK;
  if (scratch == NULL || of_block == NULL || answers == NULL) {
    code = sf_fail_memory(error, "assignment of rows");
    goto done;
  }
  for (size_t first = 0; first < num_rows; first += max_rows) {
    size_t count = num_rows - first < max_rows ? num_rows - first : max_rows;
    for (size_t i = 0; i < count; i++)
      of_block[i] = rows + (first + i) * nearest->params.dim;
    sf_nearest_find(nearest->nearest, &nearest->rule, of_block, NULL, count, scratch, answers);
    for (size_t i = 0; i < count; i++)
      shard_ids[first + i] = answers[i].id;
  }
done:
  free(scratch);
  free((void *)of_block);
  free(answers);
  return code;
}
