/*
 * What a manifest says of lists beside the shards (docs/lists-format.md): custom["vector"]["lists"]. Where they lie, how
 * they are known to be whole, and how many of them give which recall. Readers that know nothing of lists ignore it.
 */
#ifndef SF_SNAPSHOT_MANIFEST_LISTS_H
#define SF_SNAPSHOT_MANIFEST_LISTS_H

#include "base/json.h"
#include "base/memory.h"

/* The version that is written, of this member and of the objects; others are as if there were no lists. */
#define SF_MANIFEST_LISTS_VERSION 2

enum { SF_MAX_CALIBRATED_TOP_KS = 8, SF_MAX_CALIBRATED_TARGETS = 32 };

/* How many lists of all shards together a search reads for a recall. */
typedef struct sf_list_calibration {
  uint32_t num_top_ks;
  uint32_t num_targets;
  uint32_t top_ks[SF_MAX_CALIBRATED_TOP_KS];                            /* ascending */
  uint32_t targets[SF_MAX_CALIBRATED_TARGETS];                          /* thousandths, ascending */
  uint32_t counts[SF_MAX_CALIBRATED_TOP_KS][SF_MAX_CALIBRATED_TARGETS]; /* 0: an exact search reads less */
} sf_list_calibration;

/* Lists of a shard, as an object. */
typedef struct sf_stored_lists {
  char *ref;              /* NULL: there are none */
  uint64_t size;          /* bytes of the object */
  uint64_t head_size;     /* of its head */
  uint64_t head_checksum; /* XXH3-64 of the head */
} sf_stored_lists;

typedef struct sf_manifest_lists {
  sf_stored_lists *shards; /* num_dbs, by db_id; NULL: the manifest names no lists */
  sf_list_calibration calibration;
} sf_manifest_lists;

/* Reads the member, NULL: there is none. What is malformed is SF_MANIFEST_PARSE_ERROR. */
sf_code sf_manifest_lists_parse(const json_t *member, uint32_t num_dbs, const char *what, sf_manifest_lists *lists,
                                sf_error *error);
void sf_manifest_lists_free(sf_manifest_lists *lists, uint32_t num_dbs);

/* The member as JSON. */
sf_code sf_manifest_lists_write(const sf_manifest_lists *lists, uint32_t num_dbs, sf_buffer *json, sf_error *error);

/* A copy of a manifest, which has been parsed, whose lists are those of `json`. */
sf_code sf_manifest_with_lists(const void *bytes, size_t length, const char *json, const char *created_at,
                               sf_buffer *manifest, sf_error *error);

#endif
