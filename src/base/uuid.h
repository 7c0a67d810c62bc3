/* Random bytes, and the UUIDs made of them (RFC 9562, version 4). */
#ifndef SF_BASE_UUID_H
#define SF_BASE_UUID_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SF_UUID_BYTES 16
#define SF_UUID_SIZE 37 /* "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx" */

sf_code sf_random_bytes(uint8_t *bytes, size_t length, sf_error *error);

/* Two digits a byte, and a zero. */
void sf_print_hexadecimal(const uint8_t *bytes, size_t length, char *text);

sf_code sf_uuid_bytes_make(uint8_t uuid[SF_UUID_BYTES], sf_error *error);
void sf_uuid_print(const uint8_t uuid[SF_UUID_BYTES], char text[SF_UUID_SIZE]);

#endif
