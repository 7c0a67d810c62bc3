/* Protobuf messages that are not trusted. */
#ifndef SF_FORMATS_LANCE_WIRE_H
#define SF_FORMATS_LANCE_WIRE_H

#include "formats/lance/bytes.h"

#include <protobuf-c/protobuf-c.h>

/*
 * Unpacks a message with protobuf-c, which recurses as deep as the input asks it to and merges repeated messages in
 * quadratic time. So the input is checked first: more than 32 messages inside one another, or the same single
 * message twice (which no writer does), is refused. Memory is bounded by the message's length.
 *
 * `what` begins the message of a failure. The caller frees with sf_lance_wire_free.
 */
sf_code sf_lance_wire_unpack(const ProtobufCMessageDescriptor *descriptor, sf_lance_bytes bytes, const char *what,
                             void *message, sf_error *error);

/* NULL is allowed. */
void sf_lance_wire_free(void *message);

#endif
