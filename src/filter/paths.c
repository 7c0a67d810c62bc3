#include "filter/paths.h"

#include "base/memory.h"
#include "cel/functions.h"

#include <stdio.h>
#include <string.h>

/* The most names of a path. */
enum { MAX_MEMBERS = 16 };

/* The names of a selection, from the payload on. */
typedef struct selection {
  sf_cel_text names[MAX_MEMBERS];
  size_t count;
  bool is_has;
} selection;

typedef struct path_search {
  sf_filter_paths *found;
  uint32_t num_variables;
  bool fits;
  bool is_out_of_memory;
} path_search;

static bool is_variable(const sf_cel_program *program, const sf_cel_node *node, const char *name) {
  return node->kind == SF_CEL_NODE_IDENTIFIER && node->as.identifier.scope == SF_CEL_SCOPE_VARIABLE &&
         strcmp(program->variables[node->as.identifier.slot].name, name) == 0;
}

/* The name that a node selects of its first child: .name, or ["name"]. */
static bool selected_name(const sf_cel_node *node, sf_cel_text *name) {
  if (node->kind == SF_CEL_NODE_SELECT) {
    *name = node->as.select.field;
    return true;
  }
  if (node->kind != SF_CEL_NODE_CALL || node->as.call.function == NULL ||
      strcmp(node->as.call.function->name, "_[_]") != 0)
    return false;
  const sf_cel_node *index = node->children.nodes[1];
  if (index->kind != SF_CEL_NODE_CONSTANT || index->as.constant.kind != SF_CEL_STRING)
    return false;
  *name = sf_cel_value_text(&index->as.constant);
  return true;
}

/* Whether the node selects a member of the payload by constant names. has() is for the last of them only. */
static bool read_selection(const sf_cel_program *program, const sf_cel_node *node, selection *selected) {
  size_t capacity = sizeof(selected->names) / sizeof(selected->names[0]);
  size_t first = capacity;
  selected->is_has = node->kind == SF_CEL_NODE_SELECT && node->as.select.test_only;
  for (; !is_variable(program, node, "payload"); node = node->children.nodes[0]) {
    if (first == 0 || !selected_name(node, &selected->names[first - 1]) ||
        memchr(selected->names[first - 1].data, '\0', selected->names[first - 1].length) != NULL)
      return false;
    first--;
  }
  selected->count = capacity - first;
  memmove(selected->names, selected->names + first, selected->count * sizeof(selected->names[0]));
  return selected->count > 0;
}

/* "4:lang", a name after the other: distinct for distinct names. */
static char *make_text(sf_cel_arena *arena, const selection *selected) {
  size_t length = 1;
  for (size_t i = 0; i < selected->count; i++)
    length += selected->names[i].length + 24;
  char *text = sf_cel_arena_allocate(arena, length, 1);
  size_t used = 0;
  for (size_t i = 0; text != NULL && i < selected->count; i++) {
    used += (size_t)snprintf(text + used, length - used, "%zu:", selected->names[i].length);
    memcpy(text + used, selected->names[i].data, selected->names[i].length);
    used += selected->names[i].length;
  }
  if (text != NULL)
    text[used] = '\0';
  return text;
}

static const char **make_members(sf_cel_arena *arena, const selection *selected) {
  const char **members = sf_cel_arena_allocate(arena, selected->count, sizeof(char *));
  for (size_t i = 0; members != NULL && i < selected->count; i++) {
    char *member = sf_cel_arena_allocate(arena, selected->names[i].length + 1, 1);
    if (member == NULL)
      return NULL;
    memcpy(member, selected->names[i].data, selected->names[i].length);
    member[selected->names[i].length] = '\0';
    members[i] = member;
  }
  return members;
}

/* The number of a path, which is added where it is new. False when it does not fit, or memory is out. */
static bool path_number(path_search *search, const char *text, const selection *selected, uint32_t *number) {
  sf_filter_paths *found = search->found;
  *number = 0;
  while (*number < found->num_paths && strcmp(found->paths[*number].text, text) != 0)
    (*number)++;
  if (*number < found->num_paths)
    return true;
  search->fits = found->num_paths < SF_MAX_FILTER_PATHS;
  if (!search->fits)
    return false;
  sf_filter_path path = {.text = text};
  if (selected != NULL) {
    path.members = make_members(&found->program->arena, selected);
    path.num_members = selected->count;
    search->is_out_of_memory = path.members == NULL;
  }
  found->paths[found->num_paths++] = path;
  return !search->is_out_of_memory;
}

/* Makes the node the variable of a path. */
static bool become_variable(path_search *search, sf_cel_node *node, const char *text, const selection *selected) {
  sf_path_variable variable = {.is_has = selected != NULL && selected->is_has};
  if (!path_number(search, text, selected, &variable.path))
    return false;
  uint32_t slot = 0;
  while (slot < search->num_variables && (search->found->variables[slot].path != variable.path ||
                                          search->found->variables[slot].is_has != variable.is_has))
    slot++;
  if (slot == search->num_variables)
    search->found->variables[search->num_variables++] = variable;
  *node = (sf_cel_node){.kind = SF_CEL_NODE_IDENTIFIER, .depth = node->depth, .position = node->position};
  node->as.identifier.scope = SF_CEL_SCOPE_VARIABLE;
  node->as.identifier.slot = search->found->first_variable + slot;
  return true;
}

/* False when it does not fit, or memory is out. Recursion is bounded by the tree's depth. */
static bool rewrite(path_search *search, sf_cel_node *node) {
  sf_cel_program *program = search->found->program;
  selection selected;
  if (is_variable(program, node, "id"))
    return become_variable(search, node, "id", NULL);
  if (read_selection(program, node, &selected)) {
    char *text = make_text(&program->arena, &selected);
    search->is_out_of_memory = text == NULL;
    return text != NULL && become_variable(search, node, text, &selected);
  }
  for (uint32_t i = 0; i < node->children.count; i++)
    if (node->children.nodes[i] != NULL && !rewrite(search, node->children.nodes[i]))
      return false;
  return true;
}

/* The program's list of variables, with those of the paths behind it. */
static bool add_variables(path_search *search) {
  sf_filter_paths *found = search->found;
  sf_cel_program *program = found->program;
  uint32_t count = found->first_variable + search->num_variables;
  sf_cel_variable *variables = sf_cel_arena_allocate(&program->arena, count, sizeof(*variables));
  if (variables == NULL)
    return false;
  if (found->first_variable > 0)
    memcpy(variables, program->variables, found->first_variable * sizeof(*variables));
  for (uint32_t i = 0; i < search->num_variables; i++) {
    const char *text = found->paths[found->variables[i].path].text;
    variables[found->first_variable + i] =
        (sf_cel_variable){.name = text, .name_length = strlen(text), .declared = true, .is_dyn = true};
  }
  program->variables = variables;
  program->num_variables = program->variables_capacity = count;
  return true;
}

sf_code sf_filter_paths_find(sf_cel_program *program, sf_filter_paths *paths, bool *fits, sf_error *error) {
  *paths = (sf_filter_paths){.program = program, .first_variable = program->num_variables};
  path_search search = {.found = paths, .fits = true};
  bool found = rewrite(&search, program->root) && add_variables(&search);
  *fits = search.fits;
  if (found)
    return SF_OK;
  sf_filter_paths_free(paths);
  return search.fits ? sf_fail_memory(error, "filter") : SF_OK;
}

void sf_filter_paths_free(sf_filter_paths *paths) {
  sf_cel_program_free(paths->program);
  *paths = (sf_filter_paths){0};
}
