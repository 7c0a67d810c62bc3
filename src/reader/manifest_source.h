/* Manifests whose bytes the caller gives, instead of a reference to read. */
#ifndef SF_READER_MANIFEST_SOURCE_H
#define SF_READER_MANIFEST_SOURCE_H

#include "base/error.h"
#include "shardyfusion/reader.h"

/* Fails unless it is initialised and has a reference and bytes. */
sf_code sf_manifest_source_check(const sf_manifest_source *source, sf_error *error);

/* A copy in one block to free(), with its bytes and reference. NULL for NULL, and when memory is out. */
sf_manifest_source *sf_manifest_source_copy(const sf_manifest_source *source);

#endif
