#include "snapshot/manifest_lists.h"

#include "base/json_text.h"
#include "base/json_writer.h"

#include <stdio.h>
#include <string.h>

static const sf_code malformed = SF_MANIFEST_PARSE_ERROR;

/* ------------------------------------------------------------------------------------------------------------- Reading */

/* An array of integers from `minimum` on, of at most `most`. */
static sf_code read_integers(const json_t *object, const char *name, uint32_t minimum, uint32_t most, bool is_ascending,
                             const char *what, uint32_t *values, uint32_t *count, sf_error *error) {
  const json_t *array = sf_json_member(object, name);
  if (!json_is_array(array) || json_array_size(array) < 1 || json_array_size(array) > most)
    return sf_fail(error, malformed, "%s: expected %s to be a list of 1 to %u integers, found %s", what, name,
                   (unsigned)most, sf_json_show(array).text);
  *count = (uint32_t)json_array_size(array);
  for (uint32_t i = 0; i < *count; i++) {
    const json_t *element = json_array_get(array, i);
    int64_t value;
    if (!sf_json_to_int64(element, &value) || value < minimum || value > UINT32_MAX ||
        (is_ascending && i > 0 && value <= values[i - 1]))
      return sf_fail(error, malformed, "%s: expected %s to be %sintegers from %u on, found %s", what, name,
                     is_ascending ? "ascending " : "", (unsigned)minimum, sf_json_show(element).text);
    values[i] = (uint32_t)value;
  }
  return SF_OK;
}

static sf_code read_calibration(const json_t *object, const char *what, sf_list_calibration *calibration,
                                sf_error *error) {
  SF_TRY(read_integers(object, "top_k", 1, SF_MAX_CALIBRATED_TOP_KS, true, what, calibration->top_ks,
                       &calibration->num_top_ks, error));
  SF_TRY(read_integers(object, "recall_thousandths", 1, SF_MAX_CALIBRATED_TARGETS, true, what, calibration->targets,
                       &calibration->num_targets, error));
  for (uint32_t k = 0; k < calibration->num_top_ks; k++) {
    char name[32];
    uint32_t count;
    snprintf(name, sizeof(name), "lists_for_%u", (unsigned)calibration->top_ks[k]);
    SF_TRY(
        read_integers(object, name, 0, SF_MAX_CALIBRATED_TARGETS, false, what, calibration->counts[k], &count, error));
    if (count != calibration->num_targets)
      return sf_fail(error, malformed, "%s: expected %s to have %u integers, found %u", what, name,
                     (unsigned)calibration->num_targets, (unsigned)count);
  }
  return SF_OK;
}

static sf_code read_checksum(const json_t *object, const char *what, uint64_t *checksum, sf_error *error) {
  const char *text;
  SF_TRY(sf_json_string(object, "head_checksum", true, what, malformed, &text, error));
  *checksum = 0;
  if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
    return sf_fail(error, malformed, "%s: expected head_checksum to be 16 hexadecimal digits, found %s", what, text);
  for (size_t i = 0; i < 16; i++)
    *checksum = *checksum << 4 | (uint64_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
  return SF_OK;
}

static sf_code read_shard(const json_t *object, uint32_t num_dbs, const char *what, sf_manifest_lists *lists,
                          sf_error *error) {
  int64_t db_id;
  int64_t size;
  int64_t head_size;
  const char *ref;
  if (!json_is_object(object))
    return sf_fail(error, malformed, "%s: expected shards to be objects, found %s", what, sf_json_show(object).text);
  SF_TRY(sf_json_integer(object, "db_id", true, 0, (int64_t)num_dbs - 1, what, malformed, &db_id, error));
  SF_TRY(sf_json_integer(object, "size", true, 1, INT64_MAX, what, malformed, &size, error));
  SF_TRY(sf_json_integer(object, "head_size", true, 1, size, what, malformed, &head_size, error));
  SF_TRY(sf_json_string(object, "ref", true, what, malformed, &ref, error));
  sf_stored_lists *stored = &lists->shards[db_id];
  if (stored->ref != NULL)
    return sf_fail(error, malformed, "%s: expected each db_id once, found %lld again", what, (long long)db_id);
  SF_TRY(read_checksum(object, what, &stored->head_checksum, error));
  stored->size = (uint64_t)size;
  stored->head_size = (uint64_t)head_size;
  stored->ref = sf_strdup(ref);
  return stored->ref != NULL ? SF_OK : sf_fail_memory(error, what);
}

static sf_code read_lists(const json_t *member, uint32_t num_dbs, const char *what, sf_manifest_lists *lists,
                          sf_error *error) {
  const json_t *shards = sf_json_member(member, "shards");
  if (!json_is_array(shards))
    return sf_fail(error, malformed, "%s: expected shards to be a list, found %s", what, sf_json_show(shards).text);
  lists->shards = sf_calloc(num_dbs, sizeof(*lists->shards));
  if (lists->shards == NULL)
    return sf_fail_memory(error, what);
  for (size_t i = 0; i < json_array_size(shards); i++)
    SF_TRY(read_shard(json_array_get(shards, i), num_dbs, what, lists, error));
  return read_calibration(member, what, &lists->calibration, error);
}

sf_code sf_manifest_lists_parse(const json_t *member, uint32_t num_dbs, const char *what, sf_manifest_lists *lists,
                                sf_error *error) {
  int64_t version = 0;
  if (member == NULL)
    return SF_OK;
  char *named = sf_format("%s: lists", what);
  if (named == NULL)
    return sf_fail_memory(error, what);
  sf_code code = json_is_object(member)
                     ? SF_OK
                     : sf_fail(error, malformed, "%s: expected an object, found %s", named, sf_json_show(member).text);
  if (code == SF_OK)
    code = sf_json_integer(member, "version", true, 0, INT64_MAX, named, malformed, &version, error);
  if (code == SF_OK && version == SF_MANIFEST_LISTS_VERSION)
    code = read_lists(member, num_dbs, named, lists, error);
  free(named);
  return code;
}

void sf_manifest_lists_free(sf_manifest_lists *lists, uint32_t num_dbs) {
  for (uint32_t i = 0; lists->shards != NULL && i < num_dbs; i++)
    free(lists->shards[i].ref);
  free(lists->shards);
  *lists = (sf_manifest_lists){0};
}

/* ------------------------------------------------------------------------------------------------------------- Writing */

static bool append_integers(sf_buffer *json, const char *name, const uint32_t *values, uint32_t count) {
  bool done = sf_buffer_append_format(json, ", \"%s\": [", name);
  for (uint32_t i = 0; done && i < count; i++)
    done = sf_buffer_append_format(json, "%s%u", i > 0 ? ", " : "", (unsigned)values[i]);
  return done && sf_buffer_append_text(json, "]");
}

static bool append_calibration(sf_buffer *json, const sf_list_calibration *calibration) {
  bool done = append_integers(json, "top_k", calibration->top_ks, calibration->num_top_ks) &&
              append_integers(json, "recall_thousandths", calibration->targets, calibration->num_targets);
  for (uint32_t k = 0; done && k < calibration->num_top_ks; k++) {
    char name[32];
    snprintf(name, sizeof(name), "lists_for_%u", (unsigned)calibration->top_ks[k]);
    done = append_integers(json, name, calibration->counts[k], calibration->num_targets);
  }
  return done;
}

static bool append_shards(sf_buffer *json, const sf_manifest_lists *lists, uint32_t num_dbs) {
  bool done = sf_buffer_append_text(json, ", \"shards\": [");
  const char *comma = "";
  for (uint32_t i = 0; done && i < num_dbs; i++) {
    const sf_stored_lists *stored = &lists->shards[i];
    if (stored->ref == NULL)
      continue;
    done = sf_buffer_append_format(
               json, "%s{\"db_id\": %u, \"size\": %llu, \"head_size\": %llu, \"head_checksum\": \"%016llx\", \"ref\": ",
               comma, (unsigned)i, (unsigned long long)stored->size, (unsigned long long)stored->head_size,
               (unsigned long long)stored->head_checksum) &&
           sf_json_append_string(json, stored->ref, strlen(stored->ref)) && sf_buffer_append_text(json, "}");
    comma = ", ";
  }
  return done && sf_buffer_append_text(json, "]");
}

sf_code sf_manifest_lists_write(const sf_manifest_lists *lists, uint32_t num_dbs, sf_buffer *json, sf_error *error) {
  bool done = sf_buffer_append_format(json, "{\"version\": %d", SF_MANIFEST_LISTS_VERSION) &&
              append_calibration(json, &lists->calibration) && append_shards(json, lists, num_dbs) &&
              sf_buffer_append_text(json, "}");
  return done ? SF_OK : sf_fail_memory(error, "lists of a manifest");
}
