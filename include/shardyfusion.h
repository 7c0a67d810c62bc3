/*
 * shardyfusion: nearest-neighbour search over sharded vector snapshots.
 *
 * A snapshot is a pointer, a manifest, routing artifacts and shards below one root (a directory, or an object store's
 * prefix). A reader opens the live snapshot, routes each query to shards, and returns the nearest neighbours, exact within
 * the shards that are searched.
 *
 * Conventions
 * - Every function that can fail returns an sf_code and fills the caller's sf_error (which may be NULL).
 * - Out-parameters are valid on success only, unless a comment says otherwise. On failure they are unchanged, except that
 *   handles may be set to NULL.
 * - Any handle may be used from any thread unless its comment says otherwise.
 * - Every blocking call has an asynchronous twin, `..._submit`, which returns an sf_operation immediately.
 * - Strings are UTF-8 and NUL-terminated unless they come with a length.
 * - Options structs begin with `size`. Initialise them with their `_INIT` macro, so that fields added later keep the ABI.
 * - Structs that the library fills may get members at the end in later versions. Arrays of them have the element size of the
 *   library at run time: read their elements through the accessor that is declared beside the struct, such as
 *   sf_search_response_result. Indexing the array itself is right only if the program was compiled against the same version.
 * - After a fork, the child can't use the handles that it inherits: calls fail with SF_READER_STATE_ERROR or return NULL
 *   or false, and functions that free a handle leave it unchanged. Nothing hangs.
 * - Vectors are contiguous rows of `dim` components in native byte order.
 */
#ifndef SHARDYFUSION_H
#define SHARDYFUSION_H

#include "shardyfusion/async.h"
#include "shardyfusion/build.h"
#include "shardyfusion/distributed.h"
#include "shardyfusion/error.h"
#include "shardyfusion/objects.h"
#include "shardyfusion/reader.h"
#include "shardyfusion/routing.h"
#include "shardyfusion/search.h"
#include "shardyfusion/storage.h"
#include "shardyfusion/types.h"

#define SF_VERSION_MAJOR 0
#define SF_VERSION_MINOR 1
#define SF_VERSION_PATCH 0
#define SF_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library at run time, such as "0.1.0"; SF_VERSION_STRING is that of the header at compile time. */
SF_API const char *sf_version(void);

#ifdef __cplusplus
}
#endif

#endif
