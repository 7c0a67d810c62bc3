/*
 * Versioned structs of the public interface: options and requests whose first member is their size, as the caller's header
 * had it. Members are only ever added at the end, so that the size tells which members a caller knows.
 */
#ifndef SF_BASE_OPTIONS_H
#define SF_BASE_OPTIONS_H

#include "base/error.h"

#include <stddef.h>

/* How large a struct is that ends with this member: the first version that was released. */
#define SF_SIZE_WITH(type, last_member) (offsetof(type, last_member) + sizeof(((type *)NULL)->last_member))

/* Fails with SF_CONFIG_VALIDATION_ERROR unless the caller's struct is there and holds at least `first_size` bytes. The message
 * is "<expected> initialised, found …", `expected` being "reader options: expected them". */
sf_code sf_options_check(const void *given, size_t first_size, const char *expected, sf_error *error);

/* Checks the caller's struct and copies the members that its version has over `options`, which holds this version's defaults
 * and its size; both stay where the caller's version is older. */
sf_code sf_options_read(const void *given, size_t first_size, void *options, const char *expected, sf_error *error);

#endif
