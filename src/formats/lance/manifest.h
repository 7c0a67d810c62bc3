/* The manifest of a Lance dataset, and which of a folder of them is the newest. */
#ifndef SF_FORMATS_LANCE_MANIFEST_H
#define SF_FORMATS_LANCE_MANIFEST_H

#include "formats/lance/bytes.h"

#include "lance_manifest.pb-c.h"

/*
 * The version that a name in `_versions/` stands for, in either naming scheme: `7.manifest` is version 7; in the newer
 * one, 2^64 − 1 − version in 20 digits, so that the newest comes first in a listing. False for anything else, such as
 * the `d<version>.manifest` of a version that is on no branch.
 */
bool sf_lance_manifest_version(const char *name, uint64_t *version);

typedef enum sf_lance_item_type {
  SF_LANCE_FLOAT16,
  SF_LANCE_BFLOAT16,
  SF_LANCE_FLOAT32,
  SF_LANCE_FLOAT64,
} sf_lance_item_type;

/* Bytes of one item. */
size_t sf_lance_item_size(sf_lance_item_type type);

typedef enum sf_lance_column_role { SF_LANCE_ID, SF_LANCE_VECTOR, SF_LANCE_PAYLOAD } sf_lance_column_role;
#define SF_LANCE_NUM_COLUMNS 3
const char *sf_lance_column_name(sf_lance_column_role role); /* "id", "vector", "payload" */

typedef struct sf_lance_manifest {
  Sf__Lance__Manifest *message;            /* owned; checked: no file has a NULL path or unequal lists */
  int32_t field_ids[SF_LANCE_NUM_COLUMNS]; /* by role; -1: the dataset has no `payload` */
  sf_lance_item_type item_type;            /* of `vector` */
  uint32_t dim;
} sf_lance_manifest;

/*
 * Reads a whole manifest file. Refused: a reader feature flag that is not known (by its number), files of another
 * format than "lance", files below another base path, and a schema other than `id: string, vector:
 * fixed_size_list<float16, bfloat16, float32 or float64>, payload: string`. Zero-initialise `manifest`; free it
 * whatever happened.
 */
sf_code sf_lance_manifest_parse(sf_lance_bytes file, sf_lance_manifest *manifest, sf_error *error);
void sf_lance_manifest_free(sf_lance_manifest *manifest);

/* Which of a fragment's files has a column, and where. NULL: none has it, and all its values are null. */
const Sf__Lance__DataFile *sf_lance_fragment_file(const Sf__Lance__Fragment *fragment, int32_t field_id,
                                                  uint32_t *column_index);

#endif
