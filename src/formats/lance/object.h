/*
 * The bytes of one object of a shard: mapped where the object is a file of this machine, else read range by range.
 *
 * Mapping rests on an assumption: what a snapshot has published is never changed in place, only deleted as a whole (and
 * a deleted file stays mapped). The size is checked when the object is opened, against the manifest's where it has one.
 * A file that is truncated afterwards would raise SIGBUS.
 */
#ifndef SF_FORMATS_LANCE_OBJECT_H
#define SF_FORMATS_LANCE_OBJECT_H

#include "formats/lance/bytes.h"
#include "storage/storage.h"

/* The footer, the tables and the metadata of three columns are together at the end of a data file: one request fetches
 * as much of it. */
#define SF_LANCE_TAIL_LENGTH ((uint64_t)64 << 10)

typedef struct sf_lance_object sf_lance_object;

/* Bytes that were read: in the mapping, or owned. Zero-initialise; release whatever happened. */
typedef struct sf_lance_slice {
  sf_lance_bytes bytes;
  uint8_t *owned; /* NULL: they are in a mapping */
} sf_lance_slice;

void sf_lance_slice_release(sf_lance_slice *slice);

/* Whether a storage's objects are files on this machine. */
bool sf_lance_storage_is_local(const sf_storage *storage);

/* `name` is its name in messages; `expected_size` 0: not known. A missing object is SF_DB_ADAPTER_ERROR. */
sf_code sf_lance_object_open(sf_storage *storage, const char *key, const char *name, uint64_t expected_size,
                             const sf_cancellation *cancellation, sf_lance_object **object, sf_error *error);

typedef struct sf_lance_range {
  uint64_t offset;
  uint64_t length;
} sf_lance_range;

/* A mapping of which some ranges hold an object's bytes, at their offsets. */
typedef struct sf_lance_mirror_mapping {
  void *mapping;
  size_t length;
  sf_lance_range *ranges; /* ascending, apart from one another; owned, for free() */
  size_t num_ranges;
} sf_lance_mirror_mapping;

/* An object of which a part is mirrored on this machine: other parts are read from the storage.
 * Takes over the mirror, also when it fails. */
sf_code sf_lance_object_open_mirrored(sf_storage *storage, const char *key, const char *name, uint64_t size,
                                      const sf_lance_mirror_mapping *mirror, sf_lance_object **object, sf_error *error);
void sf_lance_mirror_unmap(sf_lance_mirror_mapping *mirror);

/* An object of bytes in memory, borrowed. */
sf_code sf_lance_object_open_bytes(sf_lance_bytes bytes, const char *name, sf_lance_object **object, sf_error *error);

void sf_lance_object_close(sf_lance_object *object); /* NULL is allowed */

const char *sf_lance_object_name(const sf_lance_object *object);
uint64_t sf_lance_object_size(const sf_lance_object *object);
/* The address of a range of the object, or NULL where it is not mapped. */
const uint8_t *sf_lance_object_mapped(const sf_lance_object *object, uint64_t offset, uint64_t length);

#define SF_LANCE_CACHE_NAME_SIZE 64

/* The name of an object's file in the local cache, "lance-<hash of the object's name>.<kind>". A hash, because the name
 * comes from a manifest, and the folder is flat. `kind` is a short word. */
void sf_lance_cache_name(const char *name, const char *kind, char cache_name[SF_LANCE_CACHE_NAME_SIZE]);

/* Bytes [offset, offset + length), which must be within the object. From any thread. */
sf_code sf_lance_object_read(const sf_lance_object *object, uint64_t offset, uint64_t length,
                             const sf_cancellation *cancellation, sf_lance_slice *slice, sf_error *error);
/* The same, into memory of the caller's. */
sf_code sf_lance_object_copy(const sf_lance_object *object, uint64_t offset, uint64_t length,
                             const sf_cancellation *cancellation, void *bytes, sf_error *error);

#endif
