/*
 * Data files of a storage that is not on this machine, mirrored in the local cache: the `vector` column and the end of
 * the file, fetched by ranges, several at a time; or the whole file, where the rest is so small that fetching ids and
 * payloads of results would cost more.
 *
 * A mirror is a sparse file with the bytes that it has at their own offsets. After them, at a multiple of 8, follow
 * the ranges (pairs of u64) and a trailer with their number and a checksum, which is verified when the mirror is mapped
 * (docs/cache-format.md).
 */
#ifndef SF_FORMATS_LANCE_MIRROR_H
#define SF_FORMATS_LANCE_MIRROR_H

#include "formats/lance/manifest.h"
#include "formats/lance/object.h"
#include "formats/shard.h"

/* The part of a file that is not vectors is mirrored as well up to this size. */
#define SF_LANCE_SMALL_REST ((uint64_t)4 << 20)

/* Opens a data file through its mirror, which is made where it is missing. With params->verify_only, the whole file is
 * fetched into a file that has no name. */
sf_code sf_lance_mirror_open(const sf_shard_params *params, const sf_lance_manifest *manifest,
                             const Sf__Lance__DataFile *file, const char *key, const char *name,
                             const sf_cancellation *cancellation, sf_lance_object **object, sf_error *error);

#endif
