#include "cel/ast.h"

#include "cel/limits.h"

#include <string.h>

#define FIRST_CAPACITY 4

sf_code sf_cel_fail_program_memory(const sf_cel_arena *arena, sf_error *error) {
  if (!arena->limit_reached)
    return sf_fail_memory(error, "a CEL program");
  return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "CEL: 1:1: the program needs more than %d bytes",
                 SF_CEL_MAX_PROGRAM_BYTES);
}

sf_code sf_cel_node_create(sf_cel_arena *arena, sf_cel_node_kind kind, sf_cel_position position,
                           sf_cel_children children, sf_cel_node **node, sf_error *error) {
  uint32_t depth = 0;
  for (uint32_t i = 0; i < children.count; i++) {
    if (children.nodes[i] != NULL && children.nodes[i]->depth > depth)
      depth = children.nodes[i]->depth;
  }
  if (depth >= SF_CEL_MAX_DEPTH)
    return sf_cel_fail(error, position, "the expression is nested deeper than %d levels", SF_CEL_MAX_DEPTH);
  sf_cel_node *created = sf_cel_arena_zeroed(arena, 1, sizeof(*created));
  if (created == NULL)
    return sf_cel_fail_program_memory(arena, error);
  created->kind = kind;
  created->depth = depth + 1;
  created->position = position;
  created->children = children;
  *node = created;
  return SF_OK;
}

sf_code sf_cel_node_list_add(sf_cel_node_list *list, sf_cel_arena *arena, sf_cel_node *node, sf_error *error) {
  if (list->children.count == list->capacity) {
    uint32_t capacity = list->capacity == 0 ? FIRST_CAPACITY : list->capacity * 2;
    sf_cel_node **nodes = sf_cel_arena_allocate(arena, capacity, sizeof(sf_cel_node *));
    if (nodes == NULL)
      return sf_cel_fail_program_memory(arena, error);
    if (list->children.count > 0)
      memcpy(nodes, list->children.nodes, list->children.count * sizeof(sf_cel_node *));
    list->children.nodes = nodes;
    list->capacity = capacity;
  }
  list->children.nodes[list->children.count++] = node;
  return SF_OK;
}

/* From the end of the buffer towards its start, which is the order in which a row of selections is met. */
static bool prepend(char *buffer, size_t *start, sf_cel_text text) {
  if (text.length > *start)
    return false;
  *start -= text.length;
  memcpy(buffer + *start, text.data, text.length);
  return true;
}

bool sf_cel_qualified_name(const sf_cel_node *node, char *buffer, size_t capacity) {
  size_t start = capacity - 1;
  buffer[start] = '\0';
  for (; node->kind == SF_CEL_NODE_SELECT && !node->as.select.test_only; node = node->children.nodes[0]) {
    if (!prepend(buffer, &start, node->as.select.field) || !prepend(buffer, &start, (sf_cel_text){".", 1}))
      return false;
  }
  if (node->kind != SF_CEL_NODE_IDENTIFIER || !prepend(buffer, &start, node->as.identifier.name))
    return false;
  memmove(buffer, buffer + start, capacity - start);
  return true;
}
