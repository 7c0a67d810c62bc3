#include "formats/lance/wire.h"

#include "base/memory.h"

#define MAX_DEPTH 32
/* Messages of ours have fewer fields. */
#define MAX_FIELDS 64

typedef enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 } wire_type;

static bool read_varint(sf_cursor *cursor, uint64_t *value) {
  *value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte;
    if (!sf_cursor_u8(cursor, &byte))
      return false;
    *value |= (uint64_t)(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0)
      return true;
  }
  return false;
}

/* The payload of a field; for all but lengths, `payload` is only skipped. */
static bool take_payload(sf_cursor *cursor, unsigned type, sf_lance_bytes *payload) {
  uint64_t number;
  switch (type) {
  case WIRE_VARINT:
    return read_varint(cursor, &number);
  case WIRE_FIXED64:
    return sf_cursor_take(cursor, 8) != NULL;
  case WIRE_FIXED32:
    return sf_cursor_take(cursor, 4) != NULL;
  case WIRE_LENGTH:
    if (!read_varint(cursor, &number) || number > sf_cursor_remaining(cursor))
      return false;
    payload->length = (size_t)number;
    payload->data = sf_cursor_take(cursor, payload->length);
    return payload->data != NULL;
  default:
    return false; /* groups, which proto3 does not have */
  }
}

static sf_code check_message(const ProtobufCMessageDescriptor *descriptor, sf_lance_bytes bytes, unsigned depth,
                             const char *what, sf_error *error) {
  if (depth > MAX_DEPTH)
    return SF_LANCE_BAD(error, "%s: messages lie more than %d deep in one another", what, MAX_DEPTH);
  uint64_t seen = 0;
  sf_cursor cursor = sf_cursor_over(bytes.data, bytes.length);
  while (sf_cursor_remaining(&cursor) > 0) {
    uint64_t tag;
    sf_lance_bytes payload = {0};
    if (!read_varint(&cursor, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3 ||
        !take_payload(&cursor, tag & 7, &payload))
      return SF_LANCE_BAD(error, "%s: broken protobuf message %s", what, descriptor->short_name);
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
    if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE || (tag & 7) != WIRE_LENGTH)
      continue;
    size_t index = (size_t)(field - descriptor->fields);
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
      if (index >= MAX_FIELDS || (seen >> index & 1) != 0)
        return SF_LANCE_BAD(error, "%s: %s has the field %s twice", what, descriptor->short_name, field->name);
      seen |= (uint64_t)1 << index;
    }
    SF_TRY(check_message(field->descriptor, payload, depth + 1, what, error));
  }
  return SF_OK;
}

/* protobuf-c returns NULL for a message that is broken and for one that there is no memory for: only the allocator
 * knows. */
static void *allocate(void *is_out_of_memory, size_t size) {
  void *memory = malloc(size > 0 ? size : 1);
  if (memory == NULL)
    *(bool *)is_out_of_memory = true;
  return memory;
}

static void release(void *is_out_of_memory, void *memory) {
  (void)is_out_of_memory;
  free(memory);
}

sf_code sf_lance_wire_unpack(const ProtobufCMessageDescriptor *descriptor, sf_lance_bytes bytes, const char *what,
                             void *message, sf_error *error) {
  SF_TRY(check_message(descriptor, bytes, 1, what, error));
  bool is_out_of_memory = false;
  ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = &is_out_of_memory};
  ProtobufCMessage *unpacked = protobuf_c_message_unpack(descriptor, &allocator, bytes.length, bytes.data);
  if (unpacked == NULL && is_out_of_memory)
    return sf_fail_memory(error, what);
  if (unpacked == NULL)
    return SF_LANCE_BAD(error, "%s: broken protobuf message %s", what, descriptor->short_name);
  memcpy(message, &unpacked, sizeof(void *));
  return SF_OK;
}

void sf_lance_wire_free(void *message) {
  if (message != NULL)
    protobuf_c_message_free_unpacked(message, NULL); /* its own allocator frees with free(), too */
}
