/* Options for work that outlives the call that gave them. */
#ifndef SF_STORAGE_S3_OPTIONS_H
#define SF_STORAGE_S3_OPTIONS_H

#include "base/error.h"
#include "shardyfusion/storage.h"

/* A copy that owns its strings; NULL for NULL. */
sf_code sf_s3_options_copy(const sf_s3_options *given, sf_s3_options **copy, sf_error *error);
void sf_s3_options_free(const sf_s3_options *copy); /* wipes the secrets; NULL is allowed */

/* What a caller gave, who may have been compiled against an older header, and NULL: the rest keep their defaults. */
sf_code sf_s3_options_read(const sf_s3_options *given, sf_s3_options *options, sf_error *error);

/* Wipes a text and frees it; NULL is allowed. */
void sf_s3_free_secret(char *secret);

#endif
