#include "cel/cel.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "cel/checker.h"
#include "cel/constants.h"
#include "cel/evaluator.h"
#include "cel/limits.h"
#include "cel/parser.h"
#include "cel/program.h"
#include "cel/resolver.h"

#include <string.h>

/* The first block of the evaluation's memory comes with the result: most evaluations allocate nothing else. */
struct sf_cel_result {
  sf_cel_value value;
  sf_cel_arena arena;
  uint64_t first_block[SF_CEL_FIRST_BLOCK_BYTES / sizeof(uint64_t)];
};

static const sf_cel_position beginning = {.line = 1, .column = 1};

/* --------------------------------------------------------------------------------------------------------- Compile */

static sf_code check_source(const char *expression, size_t length, sf_error *error) {
  size_t invalid_at;
  if (length > SF_CEL_MAX_SOURCE_BYTES)
    return sf_cel_fail(error, beginning, "an expression of at most %d bytes was expected, found %zu",
                       SF_CEL_MAX_SOURCE_BYTES, length);
  if (!sf_utf8_valid(expression, length, &invalid_at))
    return sf_cel_fail(error, beginning, "the expression is not UTF-8 from byte %zu on", invalid_at);
  return SF_OK;
}

static sf_code check_declarations(const sf_cel_declaration *declarations, size_t count, sf_error *error) {
  if (count > SF_CEL_MAX_DECLARATIONS)
    return sf_cel_fail(error, beginning, "at most %d variables were expected, found %zu", SF_CEL_MAX_DECLARATIONS,
                       count);
  for (size_t i = 0; i < count; i++) {
    if (!declarations[i].is_dyn && (unsigned)declarations[i].type >= SF_CEL_NUM_KINDS)
      return sf_cel_fail(error, beginning, "variable '%.40s' has no known type", declarations[i].name);
    for (size_t j = 0; j < i; j++) {
      if (strcmp(declarations[i].name, declarations[j].name) == 0)
        return sf_cel_fail(error, beginning, "variable '%.40s' is declared twice", declarations[i].name);
    }
  }
  return SF_OK;
}

/* The tree's names point into the source, so the program keeps a copy. */
static sf_code copy_source(sf_cel_program *program, const char *expression, size_t length, sf_error *error) {
  char *copy = sf_cel_arena_allocate(&program->arena, length + 1, 1);
  if (copy == NULL)
    return sf_cel_fail_program_memory(&program->arena, error);
  if (length > 0)
    memcpy(copy, expression, length);
  copy[length] = '\0';
  program->source = copy;
  return SF_OK;
}

sf_code sf_cel_compile(const char *expression, size_t length, const sf_cel_declaration *declarations,
                       size_t num_declarations, const sf_cel_options *options, sf_cel_program **program,
                       sf_error *error) {
  bool lenient = options != NULL && options->skip_type_check;
  SF_TRY(check_source(expression, length, error));
  SF_TRY(check_declarations(declarations, num_declarations, error));
  sf_cel_program *compiled = sf_calloc(1, sizeof(*compiled));
  if (compiled == NULL)
    return sf_fail_memory(error, "a CEL program");
  sf_cel_arena_init(&compiled->arena, NULL, 0, SF_CEL_MAX_PROGRAM_BYTES);
  sf_code code = copy_source(compiled, expression, length, error);
  if (code == SF_OK)
    code = sf_cel_parse(compiled->source, length, &compiled->arena, &compiled->root, error);
  if (code == SF_OK)
    code = sf_cel_resolve(compiled, declarations, num_declarations, options, error);
  if (code == SF_OK && !lenient)
    code = sf_cel_check(compiled, options != NULL && options->expects_bool, error);
  if (code == SF_OK)
    code = sf_cel_fold_constants(compiled, error);
  if (code == SF_OK)
    *program = compiled;
  else
    sf_cel_program_free(compiled);
  return code;
}

void sf_cel_program_free(sf_cel_program *program) {
  if (program == NULL)
    return;
  for (sf_cel_regex_list *entry = program->regexes; entry != NULL; entry = entry->next)
    sf_cel_regex_free(entry->regex);
  sf_cel_arena_free(&program->arena);
  free(program);
}

size_t sf_cel_program_num_bytes(const sf_cel_program *program) {
  return sizeof(*program) + program->arena.used;
}

bool sf_cel_program_reads(const sf_cel_program *program, const char *name) {
  for (uint32_t i = 0; i < program->num_variables; i++)
    if (strcmp(program->variables[i].name, name) == 0)
      return true;
  return false;
}

/* -------------------------------------------------------------------------------------------------------- Evaluate */

static bool evaluate(sf_cel_evaluation *evaluation, const sf_cel_program *program, const sf_cel_binding *bindings,
                     size_t num_bindings, sf_cel_value *value) {
  evaluation->variables = sf_cel_allocate(evaluation, program->num_variables, sizeof(sf_cel_value *));
  evaluation->locals = sf_cel_allocate(evaluation, program->num_locals, sizeof(sf_cel_value));
  return evaluation->variables != NULL && evaluation->locals != NULL &&
         sf_cel_bind(evaluation, program, bindings, num_bindings) &&
         sf_cel_evaluate_node(evaluation, program, program->root, value) && sf_cel_own(evaluation, value);
}

sf_code sf_cel_evaluate(const sf_cel_program *program, const sf_cel_binding *bindings, size_t num_bindings,
                        sf_cel_result **result, sf_error *error) {
  sf_cel_result *made = malloc(sizeof(*made));
  if (made == NULL)
    return sf_fail_memory(error, "the result of a CEL evaluation");
  sf_cel_arena_init(&made->arena, made->first_block, sizeof(made->first_block), SF_CEL_MAX_MEMORY_BYTES);
  sf_cel_evaluation evaluation;
  evaluation.arena = &made->arena;
  evaluation.budget.steps = SF_CEL_MAX_STEPS;
  evaluation.position = beginning;
  evaluation.regex = NULL;
  evaluation.match_memory = (sf_cel_match_memory){0};
  evaluation.fatal = false;
  bool evaluated = evaluate(&evaluation, program, bindings, num_bindings, &made->value);
  sf_cel_match_memory_free(&evaluation.match_memory);
  if (evaluated) {
    *result = made;
    return SF_OK;
  }
  sf_cel_result_free(made);
  if (error != NULL)
    *error = evaluation.error;
  return evaluation.error.code;
}

const sf_cel_value *sf_cel_result_value(const sf_cel_result *result) {
  return &result->value;
}

void sf_cel_result_free(sf_cel_result *result) {
  if (result == NULL)
    return;
  sf_cel_arena_free(&result->arena);
  free(result);
}

/* -------------------------------------------------------------------------------------------- Evaluate over and over */

struct sf_cel_evaluator {
  const sf_cel_program *program;
  sf_cel_arena arena;
  sf_cel_evaluation evaluation;
  sf_cel_value value;
  uint64_t first_block[SF_CEL_FIRST_BLOCK_BYTES / sizeof(uint64_t)];
  const sf_cel_value *slots[]; /* variables, then locals */
};

sf_code sf_cel_evaluator_create(const sf_cel_program *program, sf_cel_evaluator **evaluator, sf_error *error) {
  size_t variables = program->num_variables * sizeof(sf_cel_value *);
  size_t locals = program->num_locals * sizeof(sf_cel_value);
  sf_cel_evaluator *made = sf_calloc(1, sizeof(*made) + variables + locals);
  if (made == NULL)
    return sf_fail_memory(error, "a CEL evaluator");
  made->program = program;
  made->evaluation.arena = &made->arena;
  made->evaluation.variables = made->slots;
  made->evaluation.locals = (sf_cel_value *)(void *)(made->slots + program->num_variables);
  sf_cel_arena_init(&made->arena, made->first_block, sizeof(made->first_block), SF_CEL_MAX_MEMORY_BYTES);
  *evaluator = made;
  return SF_OK;
}

void sf_cel_evaluator_free(sf_cel_evaluator *evaluator) {
  if (evaluator == NULL)
    return;
  sf_cel_match_memory_free(&evaluator->evaluation.match_memory);
  sf_cel_arena_free(&evaluator->arena);
  free(evaluator);
}

static void bind_trusted(sf_cel_evaluation *evaluation, const sf_cel_program *program, const sf_cel_binding *bindings,
                         size_t num_bindings) {
  for (uint32_t slot = 0; slot < program->num_variables; slot++) {
    evaluation->variables[slot] = NULL;
    for (size_t i = 0; i < num_bindings && evaluation->variables[slot] == NULL; i++)
      if (strcmp(bindings[i].name, program->variables[slot].name) == 0)
        evaluation->variables[slot] = &bindings[i].value;
  }
}

/* Forgets what the last run made. */
static void begin_run(sf_cel_evaluator *evaluator, int64_t steps) {
  sf_cel_evaluation *evaluation = &evaluator->evaluation;
  sf_cel_arena_free(&evaluator->arena);
  sf_cel_arena_init(&evaluator->arena, evaluator->first_block, sizeof(evaluator->first_block), SF_CEL_MAX_MEMORY_BYTES);
  evaluation->budget.steps = steps;
  evaluation->position = beginning;
  evaluation->regex = NULL;
  evaluation->fatal = false;
}

sf_code sf_cel_evaluator_run(sf_cel_evaluator *evaluator, const sf_cel_binding *bindings, size_t num_bindings,
                             uint64_t *steps, const sf_cel_value **value, bool *is_limit, sf_error *error) {
  sf_cel_evaluation *evaluation = &evaluator->evaluation;
  int64_t available = *steps < SF_CEL_MAX_STEPS ? (int64_t)*steps : SF_CEL_MAX_STEPS;
  begin_run(evaluator, available);
  bind_trusted(evaluation, evaluator->program, bindings, num_bindings);
  bool evaluated = sf_cel_evaluate_node(evaluation, evaluator->program, evaluator->program->root, &evaluator->value);
  *steps -= (uint64_t)(evaluation->budget.steps < 0 ? available : available - evaluation->budget.steps);
  *value = &evaluator->value;
  *is_limit = !evaluated && evaluation->fatal;
  if (evaluated)
    return SF_OK;
  if (error != NULL)
    *error = evaluation->error;
  return evaluation->error.code;
}
