#include "faults/responses.h"

#include <string.h>

static bool same_text(const char *left, size_t left_length, const char *right, size_t right_length) {
  if (left == NULL || right == NULL)
    return left == right;
  return left_length == right_length && memcmp(left, right, left_length) == 0;
}

static bool same_vector(const sf_search_result *left, const sf_search_result *right) {
  if (left->vector == NULL || right->vector == NULL)
    return left->vector == right->vector;
  return left->dim == right->dim && memcmp(left->vector, right->vector, left->dim * sizeof(float)) == 0;
}

static bool same_result(const sf_search_result *left, const sf_search_result *right) {
  return left->id_type == right->id_type && left->id_integer == right->id_integer &&
         same_text(left->id_string, left->id_length, right->id_string, right->id_length) &&
         memcmp(&left->score, &right->score, sizeof(double)) == 0 &&
         same_text(left->payload, left->payload_length, right->payload, right->payload_length) &&
         left->shard_id == right->shard_id && left->is_missing == right->is_missing && same_vector(left, right);
}

bool responses_equal(const sf_search_response *left, const sf_search_response *right) {
  if (left == NULL || right == NULL || sf_search_response_count(left) != sf_search_response_count(right) ||
      sf_search_response_num_shards_queried(left) != sf_search_response_num_shards_queried(right))
    return false;
  for (size_t i = 0; i < sf_search_response_count(left); i++)
    if (!same_result(sf_search_response_result(left, i), sf_search_response_result(right, i)))
      return false;
  return true;
}
