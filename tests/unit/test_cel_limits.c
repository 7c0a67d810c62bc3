/* Regular expressions of CEL, and the limits on sources, nesting, steps and memory. */
#include "base/memory.h"
#include "cel/cel.h"
#include "cel/limits.h"
#include "cel/value.h"
#include "cmocka_includes.h"
#include "support/cel_expressions.h"

#include <string.h>

/* ----------------------------------------------------------------------------------------------- Regular expressions */

static void patterns_mean_what_they_mean_in_re2(void **state) {
  (void)state;
  cel_expect_true("s.matches('^tenant-[0-9]+$') && matches(s, 't.n')");
  cel_expect_true("!'a\\n'.matches('a$') && 'a\\n'.matches('(?m)a$')"); /* $ is the very end */
  cel_expect_true("!'\\v'.matches(r'\\s') && '\\v'.matches(r'\\v') && '\\v'.matches(r'[[:space:]]')");
  cel_expect_true(
      "!'\xc3\xa9'.matches(r'\\w') && '\xc3\xa9'.matches(r'^\\pL$') && '\xc3\x89'.matches('(?i)^\xc3\xa9$')");
  cel_expect_true("'\xc5\xbf'.matches(r'(?i)^\\w$') && !'\xc5\xbf'.matches(r'(?i)\\W') && '\xc5\xbf'.matches(r'\\W')");
  cel_expect_true("'a{,2}'.matches('^a{,2}$')"); /* no repetition without a least count */
  cel_expect_true("'a.b'.matches(r'^\\Qa.b\\E$') && 'ab'.matches('(?P<x>a)(?<y>b)') && ']'.matches('[]]')");
  cel_expect_true("'\\x00'.matches(r'^\\x00$') && ''.matches('') && 'A'.matches(r'\\101')");
}

static void what_re2_has_not_is_refused_by_its_name(void **state) {
  (void)state;
  static const char *const refused[][2] = {
      {"(a)\\1", "byte 3: \\1, a backreference, is not in RE2's syntax"},
      {"(?=a)", "byte 0: lookahead ((?=...) is not in RE2's syntax"},
      {"(?<!a)", "byte 0: lookbehind ((?<!...) is not in RE2's syntax"},
      {"a++", "byte 1: a possessive repetition is not in RE2's syntax"},
      {"(?>a)", "byte 0: an atomic group ((?>...) is not in RE2's syntax"},
      {"(?R)", "byte 0: recursion ((?R...) is not in RE2's syntax"},
      {"(?1)", "byte 0: recursion (?1...) is not in RE2's syntax"},
      {"(?C1)", "byte 0: a callout ((?C...) is not in RE2's syntax"},
      {"(?(1)a)", "byte 0: a condition ((?(...) is not in RE2's syntax"},
      {"(?#a)", "byte 0: a comment ((?#...) is not in RE2's syntax"},
      {"(*ACCEPT)", "byte 0: a verb (*...) is not in RE2's syntax"},
      {"(?x)a", "byte 0: the flag x is not in RE2's syntax"},
      {"\\C", "byte 0: \\C, a match of single bytes (\\C), is not in RE2's syntax"},
      {"a\\Kb", "byte 1: \\K, a reset of the match's start, is not in RE2's syntax"},
      {"a**", "byte 1: a repetition of a repetition is not in RE2's syntax"},
      {"*a", "byte 0: nothing stands before this repetition"},
      {"a{1001}", "byte 1: a repetition of at most 1000 was expected"},
      {"(a{100}){11}", "byte 8: nested repetitions of at most 1000 in all were expected"},
      {"(a", "byte 2: a ')' was expected"},
      {"a)", "byte 1: unmatched ')'"},
      {"[a", "byte 0: a ']' was expected for this '['"},
      {"[b-a]", "byte 1: the range is out of order"},
  };
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
    char *expression = sf_format("s.matches(r'%s')", refused[i][0]);
    char *message = sf_format("CEL: 1:11: regular expression, %s", refused[i][1]);
    cel_expect_compile_failure(expression, message);
    free(expression);
    free(message);
  }
}

static void a_pattern_that_is_computed_is_checked_when_evaluated(void **state) {
  (void)state;
  cel_expect_true("s.matches('^' + s)");
  cel_expect_failure("s.matches('(' + s)", "CEL: 1:3: regular expression, byte 9: a ')' was expected");
  cel_expect_true("s.matches('(' + s) || true");
}

static void a_pattern_that_backtracks_without_end_runs_out_of_steps(void **state) {
  (void)state;
  cel_expect_failure("('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab').matches('^(a+)+$')",
                     "CEL: 1:47: the evaluation takes more than 1000000 steps");
}

static void patterns_and_their_subjects_have_a_longest_size(void **state) {
  (void)state;
  char *pattern = cel_repeated("s.matches('", "a", SF_CEL_MAX_PATTERN_BYTES + 1, "')");
  cel_expect_compile_failure(pattern, "CEL: 1:11: regular expression: at most 1024 bytes were expected, found 1025");
  free(pattern);
  char *subject = cel_repeated("('", "a", SF_CEL_MAX_LITERAL_BYTES, "' + 'a').matches('a')");
  cel_expect_failure(subject, "CEL: 1:16396: matches() of a string of at most 16384 bytes was expected, found 16385");
  free(subject);
  char *groups = cel_repeated("s.matches('", "(", SF_CEL_MAX_PATTERN_DEPTH + 1, "')");
  cel_expect_compile_failure(groups, "CEL: 1:11: regular expression, byte 64: groups are nested deeper than 64 levels");
  free(groups);
}

/* ---------------------------------------------------------------------------------------------------------- Limits */

static void a_source_beyond_its_limit_is_refused(void **state) {
  (void)state;
  cel_expect_repeated_failure("a", "+a", 100000, "",
                              "CEL: 1:1: an expression of at most 65536 bytes was expected, found 200001");
}

static void nesting_beyond_its_limit_is_refused(void **state) {
  (void)state;
  cel_expect_repeated_failure("", "(", 60000, "1", "CEL: 1:251: the expression is nested deeper than 250 levels");
  cel_expect_repeated_failure("", "[", 60000, "", "CEL: 1:251: the expression is nested deeper than 250 levels");
  cel_expect_repeated_failure("", "{1:", 20000, "", "CEL: 1:749: the expression is nested deeper than 250 levels");
  cel_expect_repeated_failure("", "!", 60000, "b", "CEL: 1:250: the expression is nested deeper than 250 levels");
  cel_expect_repeated_failure("", "-", 60000, "i", "CEL: 1:250: the expression is nested deeper than 250 levels");
  cel_expect_repeated_failure("i", "+i", 30000, "", "CEL: 1:500: the expression is nested deeper than 250 levels");
  cel_expect_repeated_failure("m", ".k", 30000, "", "CEL: 1:501: the expression is nested deeper than 250 levels");
  cel_expect_repeated_failure("l", "[0]", 20000, "", "CEL: 1:749: the expression is nested deeper than 250 levels");
  cel_expect_repeated_failure("", "size(", 10000, "", "CEL: 1:1251: the expression is nested deeper than 250 levels");
}

static void nesting_up_to_its_limit_is_evaluated(void **state) {
  (void)state;
  char *sum = cel_repeated("i", "+i", SF_CEL_MAX_DEPTH - 1, "");
  cel_expect_result(sum, sf_cel_int(42 * SF_CEL_MAX_DEPTH));
  free(sum);
  char *parentheses = cel_repeated("", "(", SF_CEL_MAX_DEPTH - 1, "1");
  char *closed = cel_repeated(parentheses, ")", SF_CEL_MAX_DEPTH - 1, "");
  cel_expect_result(closed, sf_cel_int(1));
  free(parentheses);
  free(closed);
}

static void long_rows_of_logic_and_conditions_are_not_deep(void **state) {
  (void)state;
  char *disjunction = cel_repeated("", "i == 1 || ", 5000, "i == 42");
  cel_expect_true(disjunction);
  free(disjunction);
  char *conditions = cel_repeated("", "i == 1 ? 1 : ", 4000, "2");
  cel_expect_result(conditions, sf_cel_int(2));
  free(conditions);
}

static void literals_beyond_their_limits_are_refused(void **state) {
  (void)state;
  cel_expect_repeated_failure("'", "a", SF_CEL_MAX_LITERAL_BYTES + 1, "'",
                              "CEL: 1:1: a literal of at most 16384 bytes was expected, found 16385");
  cel_expect_repeated_failure("[", "1,", SF_CEL_MAX_LITERAL_ELEMENTS + 1, "]",
                              "CEL: 1:1: a list literal has more than 8192 elements");
  cel_expect_repeated_failure("{", "1:1,", SF_CEL_MAX_LITERAL_ELEMENTS + 1, "}",
                              "CEL: 1:1: a map literal has more than 8192 entries");
  cel_expect_repeated_failure("size(1", ",1", SF_CEL_MAX_ARGUMENTS, ")",
                              "CEL: 1:134: a call has more than 64 arguments");
}

/* Each level makes the type of one map that of the next one's keys, and of its values: it doubles. */
static void types_that_grow_without_end_are_refused(void **state) {
  (void)state;
  char *expression = sf_format("true");
  for (int i = 40; i > 0; i--) {
    char *outer =
        sf_format("[{}].all(v%d, v%d in v%d && v%d[v%d] == v%d && %s)", i, i - 1, i, i, i - 1, i - 1, expression);
    free(expression);
    expression = outer;
  }
  char *whole = sf_format("[{}].all(v0, %s)", expression);
  cel_expect_compile_failure(whole, "CEL: 1:6: checking the types takes more than 4000000 steps");
  free(whole);
  free(expression);
}

static void nested_comprehensions_run_out_of_steps(void **state) {
  (void)state;
  char *range = cel_repeated("[", "1,", 999, "1]");
  char *expression = sf_format("%s.all(x, %s.all(y, %s.all(z, x + y + z > 0)))", range, range, range);
  sf_cel_result *result = NULL;
  sf_error error;
  assert_int_equal(cel_run_bytes(expression, strlen(expression), false, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "the evaluation takes more than 1000000 steps"));
  free(expression);
  free(range);
}

static void a_spent_budget_is_not_hidden_by_logic(void **state) {
  (void)state;
  char *range = cel_repeated("[", "1,", 1500, "1]");
  char *expression = sf_format("%s.all(x, %s.all(y, x + y > 0)) || true", range, range);
  sf_cel_result *result = NULL;
  sf_error error;
  assert_int_equal(cel_run_bytes(expression, strlen(expression), false, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "the evaluation takes more than 1000000 steps"));
  free(expression);
  free(range);
}

static void growing_values_run_out_of_memory_or_steps(void **state) {
  (void)state;
  cel_expect_repeated_failure("['0123456789abcdef']", ".map(x, x + x)", 24, "",
                              "CEL: 1:283: the evaluation needs more than 16777216 bytes of memory");
  /* Each step doubles what the list would take when copied, while its parts are shared. */
  cel_expect_repeated_failure("[1]", ".map(x, [x, x])", 40, "",
                              "CEL: 1:597: the evaluation needs more than 16777216 bytes of memory");
}

static void comparing_shared_values_runs_out_of_steps(void **state) {
  (void)state;
  char *doubled = cel_repeated("[1]", ".map(x, [x, x])", 40, "");
  char *expression = sf_format("%s == %s", doubled, doubled);
  cel_expect_failure(expression, "CEL: 1:605: the evaluation takes more than 1000000 steps");
  free(expression);
  free(doubled);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patterns_mean_what_they_mean_in_re2),
      cmocka_unit_test(what_re2_has_not_is_refused_by_its_name),
      cmocka_unit_test(a_pattern_that_is_computed_is_checked_when_evaluated),
      cmocka_unit_test(a_pattern_that_backtracks_without_end_runs_out_of_steps),
      cmocka_unit_test(patterns_and_their_subjects_have_a_longest_size),
      cmocka_unit_test(a_source_beyond_its_limit_is_refused),
      cmocka_unit_test(nesting_beyond_its_limit_is_refused),
      cmocka_unit_test(nesting_up_to_its_limit_is_evaluated),
      cmocka_unit_test(long_rows_of_logic_and_conditions_are_not_deep),
      cmocka_unit_test(literals_beyond_their_limits_are_refused),
      cmocka_unit_test(types_that_grow_without_end_are_refused),
      cmocka_unit_test(nested_comprehensions_run_out_of_steps),
      cmocka_unit_test(a_spent_budget_is_not_hidden_by_logic),
      cmocka_unit_test(growing_values_run_out_of_memory_or_steps),
      cmocka_unit_test(comparing_shared_values_runs_out_of_steps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
