/* What --s3-option says, NAME=VALUE, as the library's options have it. */
#ifndef SF_CLI_S3_SETTINGS_H
#define SF_CLI_S3_SETTINGS_H

#include "shardyfusion/storage.h"

/* Reads one setting into `options`, which borrow from `text`. False when there is no such name, or the value does not fit.
 * Keys are not among them: a command line is seen by every user of the machine. */
bool sf_cli_s3_setting_store(const char *text, sf_s3_options *options);

/* What there is, for messages. */
#define SF_CLI_S3_SETTING_NAMES                                                                                        \
  "endpoint_url, region_name, addressing_style, signature_version, verify_ssl, connect_timeout, read_timeout, "        \
  "max_attempts, max_connections, anonymous or requester_pays"

#endif
