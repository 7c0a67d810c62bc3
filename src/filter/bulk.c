#include "filter/bulk.h"

#include "base/memory.h"
#include "cel/evaluator.h"
#include "cel/functions.h"
#include "cel/limits.h"

#include <string.h>

enum { BLOCK_WORDS = 32, BLOCK_ROWS = 64 * BLOCK_WORDS };

typedef enum bulk_kind { BULK_AND, BULK_OR, BULK_NOT, BULK_CONDITIONAL, BULK_LEAF, BULK_UNKNOWN } bulk_kind;

struct sf_bulk_node {
  bulk_kind kind;
  uint32_t num_children;
  sf_bulk_node **children;
  const sf_cel_node *expression; /* LEAF */
  uint32_t number;               /* LEAF: counted from 0 */
  uint32_t num_variables;        /* LEAF: that it reads */
  uint32_t variables[2 * SF_MAX_FILTER_PATHS];
  uint32_t depth; /* 1 without children */
};

/* ---------------------------------------------------------------------------------------------------------- Compiling */

typedef struct compilation {
  const sf_filter_paths *paths;
  sf_cel_arena *arena;
  uint32_t num_leaves;
} compilation;

static bool is_call_of(const sf_cel_node *node, const char *name) {
  return node->kind == SF_CEL_NODE_CALL && node->as.call.function != NULL &&
         strcmp(node->as.call.function->name, name) == 0;
}

static bool logic_of(const sf_cel_node *node, bulk_kind *kind) {
  if (node->kind == SF_CEL_NODE_AND)
    *kind = BULK_AND;
  else if (node->kind == SF_CEL_NODE_OR)
    *kind = BULK_OR;
  else if (node->kind == SF_CEL_NODE_CONDITIONAL)
    *kind = BULK_CONDITIONAL;
  else if (is_call_of(node, "!_"))
    *kind = BULK_NOT;
  else
    return false;
  return true;
}

static void add_variable(sf_bulk_node *leaf, uint32_t variable) {
  for (uint32_t i = 0; i < leaf->num_variables; i++)
    if (leaf->variables[i] == variable)
      return;
  leaf->variables[leaf->num_variables++] = variable;
}

/* The variables of paths below a node; one that reads the payload otherwise makes the leaf an unknown. */
static void find_variables(const compilation *made, const sf_cel_node *node, sf_bulk_node *leaf) {
  if (node->kind == SF_CEL_NODE_IDENTIFIER && node->as.identifier.scope == SF_CEL_SCOPE_VARIABLE) {
    if (node->as.identifier.slot < made->paths->first_variable)
      leaf->kind = BULK_UNKNOWN;
    else
      add_variable(leaf, node->as.identifier.slot - made->paths->first_variable);
  }
  for (uint32_t i = 0; i < node->children.count; i++)
    if (node->children.nodes[i] != NULL)
      find_variables(made, node->children.nodes[i], leaf);
}

/* NULL when memory is out. Recursion is bounded by the tree's depth. */
static sf_bulk_node *compile(compilation *made, const sf_cel_node *node) {
  sf_bulk_node *compiled = sf_cel_arena_zeroed(made->arena, 1, sizeof(*compiled));
  if (compiled == NULL)
    return NULL;
  compiled->depth = 1;
  if (!logic_of(node, &compiled->kind)) {
    compiled->kind = BULK_LEAF;
    compiled->expression = node;
    compiled->number = made->num_leaves++;
    find_variables(made, node, compiled);
    return compiled;
  }
  compiled->num_children = node->children.count;
  compiled->children = sf_cel_arena_allocate(made->arena, node->children.count, sizeof(sf_bulk_node *));
  for (uint32_t i = 0; compiled->children != NULL && i < node->children.count; i++) {
    compiled->children[i] = compile(made, node->children.nodes[i]);
    if (compiled->children[i] == NULL)
      return NULL;
    if (compiled->children[i]->depth >= compiled->depth)
      compiled->depth = compiled->children[i]->depth + 1;
  }
  return compiled->children == NULL ? NULL : compiled;
}

const sf_bulk_node *sf_bulk_compile(const sf_filter_paths *paths) {
  compilation made = {.paths = paths, .arena = &paths->program->arena};
  return compile(&made, paths->program->root);
}

/* --------------------------------------------------------------------------------------------------------- Evaluating */

typedef enum outcome { NOT_EVALUATED, IS_FALSE, IS_TRUE, IS_ERROR, IS_UNKNOWN } outcome;

/* The outcomes of a block of rows; an error is none of the three. */
typedef struct block {
  uint64_t is_true[BLOCK_WORDS];
  uint64_t is_false[BLOCK_WORDS];
  uint64_t is_unknown[BLOCK_WORDS];
} block;

/* What is known of a leaf that reads one column. */
typedef struct leaf_memory {
  uint8_t by_tag[SF_NUM_COLUMN_TAGS]; /* of the tags that are values */
  uint8_t *by_string;                 /* of each string of the dictionary; NULL: none, or memory was out */
} leaf_memory;

typedef struct bulk_pass {
  const sf_bulk_params *params;
  uint64_t *steps;
  sf_cel_evaluation evaluation;
  sf_cel_arena arena;
  sf_cel_value *values; /* of each variable */
  leaf_memory *leaves;
  size_t num_leaves;
  block *blocks; /* two for each level of the tree */
} bulk_pass;

static const sf_column *column_of(const bulk_pass *pass, uint32_t variable) {
  return &pass->params->columns[pass->params->paths->variables[variable].path];
}

static bool bind_list(bulk_pass *pass, const sf_column *column, uint64_t number, sf_cel_value *value) {
  size_t count = sf_column_list(column, number, NULL);
  sf_cel_value *items = sf_cel_arena_allocate(&pass->arena, count, sizeof(*items));
  if (items == NULL)
    return false;
  sf_column_list(column, number, items);
  *value = sf_cel_list(items, count);
  return true;
}

/* Binds a variable to what its column has in a row; false where the column doesn't tell. */
static bool bind(bulk_pass *pass, uint32_t variable, uint64_t row) {
  const sf_column *column = column_of(pass, variable);
  sf_column_tag tag = (sf_column_tag)column->tags[row];
  sf_cel_value *value = &pass->values[variable];
  const sf_cel_value **bound = &pass->evaluation.variables[pass->params->paths->first_variable + variable];
  *bound = value;
  if (tag == SF_COLUMN_BROKEN)
    *bound = NULL;
  else if (pass->params->paths->variables[variable].is_has)
    *value = sf_cel_bool(tag != SF_COLUMN_MISSING);
  else if (tag == SF_COLUMN_MISSING)
    *bound = NULL;
  else if (tag == SF_COLUMN_OTHER || (tag == SF_COLUMN_LIST && !bind_list(pass, column, column->bits[row], value)))
    return false;
  else if (tag != SF_COLUMN_LIST)
    *value = sf_column_scalar(column, tag, column->bits[row]);
  return true;
}

/* A limit that is reached, or a failed allocation, is for the ordinary evaluation to report. */
static outcome evaluate_bound(bulk_pass *pass, const sf_bulk_node *leaf) {
  sf_cel_evaluation *evaluation = &pass->evaluation;
  int64_t available = *pass->steps < SF_CEL_MAX_STEPS ? (int64_t)*pass->steps : SF_CEL_MAX_STEPS;
  sf_cel_value value;
  evaluation->budget.steps = available;
  evaluation->regex = NULL;
  evaluation->fatal = false;
  bool evaluated = sf_cel_evaluate_node(evaluation, pass->params->paths->program, leaf->expression, &value);
  *pass->steps -= (uint64_t)(evaluation->budget.steps < 0 ? available : available - evaluation->budget.steps);
  if (evaluation->fatal)
    return IS_UNKNOWN;
  if (!evaluated || value.kind != SF_CEL_BOOL)
    return IS_ERROR;
  return value.as.boolean ? IS_TRUE : IS_FALSE;
}

static outcome evaluate_row(bulk_pass *pass, const sf_bulk_node *leaf, uint64_t row) {
  if (pass->arena.used > 0) {
    sf_cel_arena_free(&pass->arena);
    sf_cel_arena_init(&pass->arena, NULL, 0, SF_CEL_MAX_MEMORY_BYTES);
  }
  for (uint32_t i = 0; i < leaf->num_variables; i++)
    if (!bind(pass, leaf->variables[i], row))
      return IS_UNKNOWN;
  return evaluate_bound(pass, leaf);
}

/* Where the outcome of a leaf with one column is kept, for a value that other rows have, too; NULL: it is not. */
static uint8_t *memory_of(const bulk_pass *pass, const sf_bulk_node *leaf, uint64_t row) {
  leaf_memory *memory = &pass->leaves[leaf->number];
  if (leaf->num_variables != 1)
    return leaf->num_variables == 0 ? &memory->by_tag[0] : NULL;
  const sf_column *column = column_of(pass, leaf->variables[0]);
  sf_column_tag tag = (sf_column_tag)column->tags[row];
  if (tag == SF_COLUMN_STRING && !pass->params->paths->variables[leaf->variables[0]].is_has)
    return memory->by_string == NULL ? NULL : &memory->by_string[column->bits[row]];
  bool has_bits = tag == SF_COLUMN_INT || tag == SF_COLUMN_UINT || tag == SF_COLUMN_DOUBLE || tag == SF_COLUMN_LIST;
  return has_bits && !pass->params->paths->variables[leaf->variables[0]].is_has ? NULL : &memory->by_tag[tag];
}

static outcome outcome_of(bulk_pass *pass, const sf_bulk_node *leaf, uint64_t row) {
  uint8_t *memory = memory_of(pass, leaf, row);
  if (memory == NULL)
    return evaluate_row(pass, leaf, row);
  if (*memory == NOT_EVALUATED)
    *memory = (uint8_t)evaluate_row(pass, leaf, row);
  return (outcome)*memory;
}

static void evaluate_leaf(bulk_pass *pass, const sf_bulk_node *leaf, uint64_t first, size_t count, block *result) {
  memset(result, 0, sizeof(*result));
  for (size_t i = 0; i < count; i++) {
    uint64_t bit = UINT64_C(1) << (i % 64);
    switch (outcome_of(pass, leaf, first + i)) {
    case IS_TRUE:
      result->is_true[i / 64] |= bit;
      break;
    case IS_FALSE:
      result->is_false[i / 64] |= bit;
      break;
    case IS_UNKNOWN:
      result->is_unknown[i / 64] |= bit;
      break;
    default:
      break;
    }
  }
}

/* An operand that decides does, whatever the others are; else one that is unknown leaves the row unknown, and an error is one. */
static void combine(bulk_kind kind, const block *operand, block *result) {
  for (size_t i = 0; i < BLOCK_WORDS; i++) {
    uint64_t *decided = kind == BULK_AND ? &result->is_false[i] : &result->is_true[i];
    uint64_t *open = kind == BULK_AND ? &result->is_true[i] : &result->is_false[i];
    *decided |= kind == BULK_AND ? operand->is_false[i] : operand->is_true[i];
    *open &= kind == BULK_AND ? operand->is_true[i] : operand->is_false[i];
    *open &= ~*decided;
    result->is_unknown[i] = (result->is_unknown[i] | operand->is_unknown[i]) & ~*decided;
  }
}

/* `result` has what follows the colon. */
static void choose(const block *condition, const block *value, block *result) {
  for (size_t i = 0; i < BLOCK_WORDS; i++) {
    uint64_t then = condition->is_true[i];
    uint64_t otherwise = condition->is_false[i];
    result->is_true[i] = (then & value->is_true[i]) | (otherwise & result->is_true[i]);
    result->is_false[i] = (then & value->is_false[i]) | (otherwise & result->is_false[i]);
    result->is_unknown[i] =
        condition->is_unknown[i] | (then & value->is_unknown[i]) | (otherwise & result->is_unknown[i]);
  }
}

static void negate(block *result) {
  for (size_t i = 0; i < BLOCK_WORDS; i++) {
    uint64_t was_true = result->is_true[i];
    result->is_true[i] = result->is_false[i];
    result->is_false[i] = was_true;
  }
}

/* Recursion is bounded by the tree's depth; each level has two blocks for its operands. */
static void evaluate(bulk_pass *pass, const sf_bulk_node *node, uint64_t first, size_t count, block *result) {
  block *operand = &pass->blocks[2 * (node->depth - 1)];
  switch (node->kind) {
  case BULK_LEAF:
    evaluate_leaf(pass, node, first, count, result);
    return;
  case BULK_UNKNOWN:
    memset(result, 0, sizeof(*result));
    memset(result->is_unknown, 0xFF, sizeof(result->is_unknown));
    return;
  case BULK_NOT:
    evaluate(pass, node->children[0], first, count, result);
    negate(result);
    return;
  case BULK_AND:
  case BULK_OR:
    evaluate(pass, node->children[0], first, count, result);
    for (uint32_t i = 1; i < node->num_children; i++) {
      evaluate(pass, node->children[i], first, count, operand);
      combine(node->kind, operand, result);
    }
    return;
  case BULK_CONDITIONAL:
    evaluate(pass, node->children[node->num_children - 1], first, count, result);
    for (uint32_t i = node->num_children - 1; i > 0; i -= 2) {
      evaluate(pass, node->children[i - 2], first, count, operand);
      evaluate(pass, node->children[i - 1], first, count, operand + 1);
      choose(operand, operand + 1, result);
    }
    return;
  }
}

/* ------------------------------------------------------------------------------------------------------------ A pass */

static size_t count_leaves(const sf_bulk_node *node) {
  size_t count = node->kind == BULK_LEAF || node->kind == BULK_UNKNOWN;
  for (uint32_t i = 0; i < node->num_children; i++)
    count += count_leaves(node->children[i]);
  return count;
}

/* Of a leaf that reads strings of one column. */
static bool add_memory(bulk_pass *pass, const sf_bulk_node *node) {
  for (uint32_t i = 0; i < node->num_children; i++)
    if (!add_memory(pass, node->children[i]))
      return false;
  if (node->kind != BULK_LEAF || node->num_variables != 1)
    return true;
  const sf_column *column = column_of(pass, node->variables[0]);
  leaf_memory *memory = &pass->leaves[node->number];
  if (column->num_strings > 0)
    memory->by_string = sf_calloc((size_t)column->num_strings, 1);
  return column->num_strings == 0 || memory->by_string != NULL;
}

static void end_pass(bulk_pass *pass) {
  for (size_t i = 0; pass->leaves != NULL && i < pass->num_leaves; i++)
    free(pass->leaves[i].by_string);
  sf_cel_match_memory_free(&pass->evaluation.match_memory);
  sf_cel_arena_free(&pass->arena);
  free(pass->evaluation.variables);
  free(pass->evaluation.locals);
  free(pass->values);
  free(pass->leaves);
  free(pass->blocks);
}

static sf_code begin_pass(bulk_pass *pass, sf_error *error) {
  const sf_cel_program *program = pass->params->paths->program;
  pass->num_leaves = count_leaves(pass->params->root);
  pass->evaluation.arena = &pass->arena;
  sf_cel_arena_init(&pass->arena, NULL, 0, SF_CEL_MAX_MEMORY_BYTES);
  pass->evaluation.variables = sf_calloc(program->num_variables, sizeof(sf_cel_value *));
  pass->evaluation.locals = sf_calloc(program->num_locals, sizeof(sf_cel_value));
  pass->values = sf_calloc(program->num_variables, sizeof(sf_cel_value));
  pass->leaves = sf_calloc(pass->num_leaves, sizeof(*pass->leaves));
  pass->blocks = sf_calloc(2 * (size_t)pass->params->root->depth + 1, sizeof(*pass->blocks));
  if (pass->evaluation.variables == NULL || pass->evaluation.locals == NULL || pass->values == NULL ||
      pass->leaves == NULL || pass->blocks == NULL || !add_memory(pass, pass->params->root))
    return sf_fail_memory(error, "filter");
  return SF_OK;
}

/* Of the rows of a block, those that there are: a row without a number in the columns is none. */
static uint64_t live_rows(const bulk_pass *pass, uint64_t first, size_t count) {
  const sf_column *column = &pass->params->columns[0];
  uint64_t live = 0;
  for (size_t i = 0; i < count && i < 64; i++)
    live |= (uint64_t)(column->tags[first + i] != SF_COLUMN_NO_ROW) << i;
  return live;
}

/* Blocks begin at multiples of 64 rows, and so of 8 bytes of the bitmap, which is padded. */
static void store(const bulk_pass *pass, const block *result, uint64_t first, size_t count, sf_row_bitmap *matching,
                  sf_row_bitmap *unknown) {
  for (size_t i = 0; i * 64 < count; i++) {
    uint64_t live = live_rows(pass, first + i * 64, count - i * 64);
    uint64_t is_true = result->is_true[i] & live;
    uint64_t is_unknown = result->is_unknown[i] & live;
    memcpy(matching->bits + first / 8 + i * 8, &is_true, sizeof(is_true));
    memcpy(unknown->bits + first / 8 + i * 8, &is_unknown, sizeof(is_unknown));
    matching->num_matching += (uint64_t)__builtin_popcountll(is_true);
    unknown->num_matching += (uint64_t)__builtin_popcountll(is_unknown);
  }
}

static sf_code evaluate_all(bulk_pass *pass, const sf_cancellation *cancellation, sf_row_bitmap *matching,
                            sf_row_bitmap *unknown, sf_error *error) {
  uint64_t num_rows = pass->params->num_rows;
  block *result = &pass->blocks[2 * pass->params->root->depth];
  for (uint64_t first = 0; first < num_rows; first += BLOCK_ROWS) {
    size_t count = num_rows - first < BLOCK_ROWS ? (size_t)(num_rows - first) : BLOCK_ROWS;
    SF_TRY(sf_cancellation_check(cancellation, error));
    evaluate(pass, pass->params->root, first, count, result);
    store(pass, result, first, count, matching, unknown);
  }
  return SF_OK;
}

sf_code sf_bulk_evaluate(const sf_bulk_params *params, uint64_t *steps, const sf_cancellation *cancellation,
                         sf_row_bitmap *matching, sf_row_bitmap *unknown, sf_error *error) {
  bulk_pass pass = {.params = params};
  pass.steps = steps;
  sf_code code = begin_pass(&pass, error);
  if (code == SF_OK)
    code = evaluate_all(&pass, cancellation, matching, unknown, error);
  end_pass(&pass);
  return code;
}
