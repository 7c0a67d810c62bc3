/* A snapshot's metadata, loaded and checked: the manifest that is served, its routing artifacts and its router. */
#ifndef SF_SNAPSHOT_SNAPSHOT_H
#define SF_SNAPSHOT_SNAPSHOT_H

#include "base/report.h"
#include "routing/router.h"
#include "snapshot/manifest.h"
#include "snapshot/npy.h"
#include "snapshot/pointer.h"
#include "storage/storage.h"

#define SF_DEFAULT_FALLBACK_ATTEMPTS 3

/* Immutable once loaded: any thread. */
typedef struct sf_snapshot {
  sf_manifest manifest;
  char *manifest_ref; /* as `_CURRENT` has it; of a fallback, below the manifest's own s3_prefix */
  double published_seconds;
  sf_npy artifact; /* the strategy's; empty: it has none */
  sf_router *router;
} sf_snapshot;

typedef struct sf_snapshot_load_options {
  uint32_t max_fallback_attempts;
  const char *known_ref; /* a manifest that is already served: when it is still live, nothing is loaded. May be NULL */
  /* What to load instead of what `_CURRENT` points to; checked. NULL: that. */
  const sf_manifest_source *given;
  const sf_log *log;               /* may be NULL */
  const sf_event_listener *events; /* may be NULL */
} sf_snapshot_load_options;

/* Loads what `_CURRENT` points to, or, where that manifest is malformed, the newest older one that is not. When
 * known_ref is still live, *snapshot is NULL. */
sf_code sf_snapshot_load(sf_storage *storage, const sf_snapshot_load_options *options,
                         const sf_cancellation *cancellation, sf_snapshot **snapshot, sf_error *error);
void sf_snapshot_free(sf_snapshot *snapshot); /* NULL is allowed */

/* Reads `_CURRENT`. Missing is SF_READER_STATE_ERROR. */
sf_code sf_snapshot_read_pointer(sf_storage *storage, const sf_cancellation *cancellation, sf_pointer *pointer,
                                 sf_error *error);

/* Reads the manifest at `key`. Missing is SF_MANIFEST_STORE_ERROR. Messages call it `ref`. */
sf_code sf_snapshot_read_manifest(sf_storage *storage, const char *key, const char *ref,
                                  const sf_cancellation *cancellation, sf_manifest *manifest, sf_error *error);

/* Reads a routing artifact and checks that it is num_rows × dim. Anything amiss with it is SF_READER_STATE_ERROR. */
sf_code sf_snapshot_read_artifact(sf_storage *storage, const sf_manifest *manifest, const char *reference,
                                  const char *what, size_t num_rows, const sf_cancellation *cancellation, sf_npy *array,
                                  sf_error *error);

/* The artifacts that the strategy needs, and the router. The snapshot's manifest is set. */
sf_code sf_snapshot_load_routing(sf_storage *storage, const sf_cancellation *cancellation, sf_snapshot *snapshot,
                                 sf_error *error);

/* Names of published manifests ("<timestamp>_run_id=<id>"), newest first. */
typedef struct sf_name_list {
  char **names;
  size_t count;
  size_t capacity;
  bool out_of_memory;
} sf_name_list;

/* Those whose names sort after `after` ("": all). */
sf_code sf_snapshot_list_manifests(sf_storage *storage, const char *after, const sf_cancellation *cancellation,
                                   sf_name_list *list, sf_error *error);
void sf_name_list_free(sf_name_list *list);

#endif
