/*
 * shard.sidecar, beside a shard.db: pages that every search by ranges of the file reads first, so that a reader gets them in one request.
 * Version 8 of the format "SQPC": a head that says the page size and for which version of the database's object it is, then one zstd
 * frame with the pages' numbers, the chains of overflow pages, and the pages themselves without their gaps.
 */
#ifndef SF_FORMATS_SQLITE_VEC_WRITE_SIDECAR_H
#define SF_FORMATS_SQLITE_VEC_WRITE_SIDECAR_H

#include "formats/shard_writer.h"

extern const sf_shard_sidecar sf_sqlite_vec_sidecar;

#endif
