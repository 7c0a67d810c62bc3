/* What a store or a program says, made fit to be shown: in error messages, in logs, on terminals. */
#ifndef SF_STORAGE_S3_SHOWN_H
#define SF_STORAGE_S3_SHOWN_H

#include <stddef.h>

/*
 * Copies `length` bytes of `text` into `shown` (`size` bytes with the NUL), on one line: space around it goes, control
 * characters and what is not UTF-8 become "\\x1b", and what is too long ends in "…".
 *
 * What may give access is left out, with "…" in its place: values of parameters, headers and elements whose names speak
 * of signatures, credentials, tokens, secrets or passwords ("X-Amz-Signature=…"), access key ids of AWS's form, long
 * hexadecimal and base64 texts (signatures, secrets, tokens), and the user part of URLs. Ids of requests and objects'
 * names stay.
 */
void sf_s3_show(char *shown, size_t size, const void *text, size_t length);

#endif
