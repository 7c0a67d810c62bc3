/* Manifests that the caller read. */
#ifndef SF_READER_MANIFEST_SOURCE_H
#define SF_READER_MANIFEST_SOURCE_H

#include "base/error.h"
#include "shardyfusion/reader.h"

/* Fails unless it is initialised and complete. */
sf_code sf_manifest_source_check(const sf_manifest_source *source, sf_error *error);

/* A copy in one block, bytes and reference included, to free(). NULL for NULL, and when memory is out. */
sf_manifest_source *sf_manifest_source_copy(const sf_manifest_source *source);

#endif
