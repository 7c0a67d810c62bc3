#include "base/memory.h"
#include "cel/cel.h"
#include "cel/limits.h"
#include "cel/value.h"
#include "cmocka_includes.h"

#include <pthread.h>
#include <string.h>

static const sf_cel_declaration declarations[] = {
    {"i", SF_CEL_INT},    {"u", SF_CEL_UINT},      {"d", SF_CEL_DOUBLE}, {"b", SF_CEL_BOOL},
    {"s", SF_CEL_STRING}, {"y", SF_CEL_BYTES},     {"l", SF_CEL_LIST},   {"m", SF_CEL_MAP},
    {"a.b", SF_CEL_INT},  {"type", SF_CEL_STRING}, {"n", SF_CEL_NULL},   {"absent", SF_CEL_INT},
};

#define NUM_DECLARATIONS (sizeof(declarations) / sizeof(declarations[0]))
#define NUM_BINDINGS 11

static const sf_cel_value items[] = {
    {.kind = SF_CEL_INT, .as.integer = 10},
    {.kind = SF_CEL_STRING, .as.text = {"x", 1}},
};

static const sf_cel_value pairs[] = {
    {.kind = SF_CEL_STRING, .as.text = {"k", 1}},
    {.kind = SF_CEL_INT, .as.integer = 5},
};

/* All that is declared but `absent`. */
static const sf_cel_binding bindings[NUM_BINDINGS] = {
    {"i", {.kind = SF_CEL_INT, .as.integer = 42}},
    {"u", {.kind = SF_CEL_UINT, .as.unsigned_integer = 7}},
    {"d", {.kind = SF_CEL_DOUBLE, .as.number = 1.5}},
    {"b", {.kind = SF_CEL_BOOL, .as.boolean = true}},
    {"s", {.kind = SF_CEL_STRING, .as.text = {"tenant-1", 8}}},
    {"y", {.kind = SF_CEL_BYTES, .as.text = {"\0\xff\x10", 3}}},
    {"l", {.kind = SF_CEL_LIST, .as.list = {items, 2}}},
    {"m", {.kind = SF_CEL_MAP, .as.list = {pairs, 1}}},
    {"a.b", {.kind = SF_CEL_INT, .as.integer = 9}},
    {"type", {.kind = SF_CEL_STRING, .as.text = {"gold", 4}}},
    {"n", {.kind = SF_CEL_NULL}},
};

static sf_code compile_bytes(const char *expression, size_t length, bool lenient, sf_cel_program **program,
                             sf_error *error) {
  sf_cel_options options = {.skip_type_check = lenient};
  return sf_cel_compile(expression, length, declarations, NUM_DECLARATIONS, &options, program, error);
}

static sf_code run_bytes(const char *expression, size_t length, bool lenient, sf_cel_result **result, sf_error *error) {
  sf_cel_program *program = NULL;
  SF_TRY(compile_bytes(expression, length, lenient, &program, error));
  sf_code code = sf_cel_evaluate(program, bindings, NUM_BINDINGS, result, error);
  sf_cel_program_free(program);
  return code;
}

static void expect_result(const char *expression, sf_cel_value expected) {
  sf_cel_result *result = NULL;
  sf_error error = {.message = ""};
  sf_code code = run_bytes(expression, strlen(expression), false, &result, &error);
  if (code != SF_OK)
    fail_msg("%s: %s", expression, error.message);
  sf_cel_budget budget = {.steps = SF_CEL_MAX_STEPS};
  const sf_cel_value *value = sf_cel_result_value(result);
  if (value->kind != expected.kind || !sf_cel_equal(value, &expected, &budget))
    fail_msg("%s: another value of type %s", expression, sf_cel_kind_name(value->kind));
  sf_cel_result_free(result);
}

static void expect_text(const char *expression, const char *expected) {
  expect_result(expression, sf_cel_string(expected, strlen(expected)));
}

static void expect_true(const char *expression) {
  expect_result(expression, sf_cel_bool(true));
}

static void expect_failure_of_bytes(const char *expression, size_t length, bool lenient, const char *message) {
  sf_cel_result *result = NULL;
  sf_error error = {.message = ""};
  assert_int_equal(run_bytes(expression, length, lenient, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  if (strcmp(error.message, message) != 0)
    fail_msg("%.60s: \"%s\" was expected, found \"%s\"", expression, message, error.message);
}

static void expect_failure(const char *expression, const char *message) {
  expect_failure_of_bytes(expression, strlen(expression), false, message);
}

static void expect_compile_failure(const char *expression, const char *message) {
  sf_cel_program *program = NULL;
  sf_error error = {.message = ""};
  assert_int_equal(compile_bytes(expression, strlen(expression), false, &program, &error), SF_CONFIG_VALIDATION_ERROR);
  if (strcmp(error.message, message) != 0)
    fail_msg("%.60s: \"%s\" was expected, found \"%s\"", expression, message, error.message);
}

/* `count` times `text`, between two others; to be freed. */
static char *repeated(const char *before, const char *text, size_t count, const char *after) {
  sf_buffer buffer = {0};
  assert_true(sf_buffer_append_text(&buffer, before));
  for (size_t i = 0; i < count; i++)
    assert_true(sf_buffer_append_text(&buffer, text));
  assert_true(sf_buffer_append_text(&buffer, after));
  return (char *)buffer.data;
}

static void expect_repeated_failure(const char *before, const char *text, size_t count, const char *after,
                                    const char *message) {
  char *expression = repeated(before, text, count, after);
  expect_failure(expression, message);
  free(expression);
}

/* --------------------------------------------------------------------------------------------------------- Routing */

/* The figures are those of xxh3_64_intdigest of the Python package xxhash. */
static void shard_hash_is_xxh3_of_a_texts_bytes(void **state) {
  (void)state;
  expect_result("shard_hash('')", sf_cel_uint(3244421341483603138u));
  expect_result("shard_hash(s)", sf_cel_uint(7061958536135975107u));
  expect_result("shard_hash('na\xc3\xafve')", sf_cel_uint(14757376859149137928u));
  expect_result("shard_hash(y)", sf_cel_uint(11833089303367654703u));
  expect_result("shard_hash(b'tenant-1')", sf_cel_uint(7061958536135975107u));
}

static void shard_hash_of_an_integer_is_that_of_eight_bytes(void **state) {
  (void)state;
  expect_result("shard_hash(0)", sf_cel_uint(14374147212387527897u));
  expect_result("shard_hash(i)", sf_cel_uint(15395265915043915720u));
  expect_result("shard_hash(42u)", sf_cel_uint(15395265915043915720u));
  expect_result("shard_hash(-1)", sf_cel_uint(5841669975847748627u));
  expect_result("shard_hash(9223372036854775807)", sf_cel_uint(11687913294787043142u));
  expect_result("shard_hash(9223372036854775807u)", sf_cel_uint(11687913294787043142u));
  expect_result("shard_hash(-9223372036854775808)", sf_cel_uint(9407778237848358495u));
}

static void shard_hash_refuses_a_uint_beyond_the_ints(void **state) {
  (void)state;
  expect_failure("shard_hash(9223372036854775808u)", "CEL: 1:1: shard_hash() of a uint up to 9223372036854775807 was "
                                                     "expected, found 9223372036854775808");
  expect_compile_failure("shard_hash(1.0)", "CEL: 1:1: no matching overload for shard_hash applied to (double)");
}

static void a_routing_expression_gives_a_shard(void **state) {
  (void)state;
  expect_result("int(shard_hash(s) % 5u)", sf_cel_int(2));
  expect_text("s.startsWith('tenant-') ? 'eu' : 'us'", "eu");
  expect_result("{'tenant-1': 3, 'tenant-2': 4}[s]", sf_cel_int(3));
  expect_result("bytes(s)", sf_cel_bytes("tenant-1", 8));
}

/* ------------------------------------------------------------------------------------------------------- Variables */

static void variables_of_every_type_are_read(void **state) {
  (void)state;
  expect_true("i == 42 && u == 7u && d == 1.5 && b && s == 'tenant-1' && y == b'\\x00\\xff\\x10' && n == null");
  expect_true("l[0] == 10 && 'x' in l && m.k == 5 && m['k'] == 5");
  expect_true("[1].all(i, i == 1) && [1].all(i, .i == 42)"); /* a comprehension's variable hides one, but not .i */
}

static void a_declared_name_comes_before_a_field_or_a_type(void **state) {
  (void)state;
  expect_result("a.b + 1", sf_cel_int(10));
  expect_text("type", "gold");
  expect_true("type(1) == int");
}

static void a_missing_variable_fails_only_where_it_is_needed(void **state) {
  (void)state;
  expect_failure("absent + 1", "CEL: 1:1: variable 'absent' has no value");
  expect_true("absent == 1 || true");
  expect_result("b ? 1 : absent", sf_cel_int(1));
}

static void a_binding_of_another_type_is_refused(void **state) {
  (void)state;
  sf_cel_program *program = NULL;
  sf_cel_result *result = NULL;
  sf_error error;
  sf_cel_binding wrong = {"i", {.kind = SF_CEL_STRING, .as.text = {"1", 1}}};
  assert_int_equal(compile_bytes("i == 1 || true", 14, false, &program, &error), SF_OK);
  assert_int_equal(sf_cel_evaluate(program, &wrong, 1, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, "CEL: 1:1: variable 'i' of type int was expected, found string");
  sf_cel_program_free(program);
}

static void a_bound_string_must_be_utf8(void **state) {
  (void)state;
  sf_cel_program *program = NULL;
  sf_cel_result *result = NULL;
  sf_error error;
  sf_cel_binding wrong = {"s", {.kind = SF_CEL_STRING, .as.text = {"a\xff", 2}}};
  assert_int_equal(compile_bytes("size(s)", 7, false, &program, &error), SF_OK);
  assert_int_equal(sf_cel_evaluate(program, &wrong, 1, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, "CEL: 1:1: variable 's' has a string that is not UTF-8");
  sf_cel_program_free(program);
}

static void bindings_nested_too_deep_are_refused(void **state) {
  (void)state;
  sf_cel_value lists[SF_CEL_MAX_BINDING_DEPTH + 1];
  lists[0] = sf_cel_list(NULL, 0);
  for (int i = 1; i <= SF_CEL_MAX_BINDING_DEPTH; i++)
    lists[i] = sf_cel_list(&lists[i - 1], 1);
  sf_cel_program *program = NULL;
  sf_cel_result *result = NULL;
  sf_error error;
  assert_int_equal(compile_bytes("size(l)", 7, false, &program, &error), SF_OK);
  sf_cel_binding fits = {"l", lists[SF_CEL_MAX_BINDING_DEPTH - 1]};
  assert_int_equal(sf_cel_evaluate(program, &fits, 1, &result, &error), SF_OK);
  sf_cel_result_free(result);
  sf_cel_binding deep = {"l", lists[SF_CEL_MAX_BINDING_DEPTH]};
  assert_int_equal(sf_cel_evaluate(program, &deep, 1, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, "CEL: 1:1: variable 'l' has lists and maps nested deeper than 64 levels");
  sf_cel_program_free(program);
}

static void a_result_outlives_its_program_and_bindings(void **state) {
  (void)state;
  char text[] = "abc";
  sf_cel_binding binding = {"s", sf_cel_string(text, 3)};
  sf_cel_program *program = NULL;
  sf_cel_result *result = NULL;
  sf_error error;
  assert_int_equal(compile_bytes("[s, 'constant', {'k': [s]}]", 27, false, &program, &error), SF_OK);
  assert_int_equal(sf_cel_evaluate(program, &binding, 1, &result, &error), SF_OK);
  sf_cel_program_free(program);
  memset(text, '!', sizeof(text));
  const sf_cel_value *list = sf_cel_result_value(result);
  assert_int_equal(list->as.list.count, 3);
  assert_memory_equal(list->as.list.items[0].as.text.data, "abc", 3);
  assert_memory_equal(list->as.list.items[1].as.text.data, "constant", 8);
  assert_memory_equal(list->as.list.items[2].as.list.items[1].as.list.items[0].as.text.data, "abc", 3);
  sf_cel_result_free(result);
}

static void names_declared_twice_are_refused(void **state) {
  (void)state;
  sf_cel_declaration twice[] = {{"x", SF_CEL_INT}, {"x", SF_CEL_STRING}};
  sf_cel_program *program = NULL;
  sf_error error;
  assert_int_equal(sf_cel_compile("1", 1, twice, 2, NULL, &program, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, "CEL: 1:1: variable 'x' is declared twice");
}

/* ---------------------------------------------------------------------------------------------------------- Values */

static void null_and_types_are_results(void **state) {
  (void)state;
  expect_result("null", sf_cel_null());
  expect_result("[null][0]", sf_cel_null());
  expect_result("n", sf_cel_null());
  expect_result("int", sf_cel_type_of(SF_CEL_INT));
}

static void strings_count_code_points_and_hold_nul(void **state) {
  (void)state;
  expect_result("size('\xf0\x9f\x90\xb1\xc3\xa9')", sf_cel_int(2));
  expect_result("'\\x00a'.size()", sf_cel_int(2));
  expect_result("'a\\x00b'", sf_cel_string("a\0b", 3));
  expect_true("'a\\x00b' != 'a\\x00c' && 'a\\x00b'.contains('\\x00b')");
}

static void doubles_are_written_as_the_reference_does(void **state) {
  (void)state;
  expect_text("string(100000.0)", "100000");
  expect_text("string(1000000.0)", "1e+06");
  expect_text("string(0.0001)", "0.0001");
  expect_text("string(0.00001)", "1e-05");
  expect_text("string(0.1 + 0.2)", "0.30000000000000004");
  expect_text("string(-0.0)", "-0");
  expect_text("string(1.0 / 0.0) + string(-1.0 / 0.0) + string(0.0 / 0.0)", "+Inf-InfNaN");
  expect_text("string(5e-324)", "5e-324");
}

static void text_that_is_no_number_is_an_error(void **state) {
  (void)state;
  expect_failure("int(' 1')", "CEL: 1:1: string \" 1\" is no int");
  expect_failure("int('9223372036854775808')", "CEL: 1:1: string \"9223372036854775808\" is no int");
  expect_failure("uint('-1')", "CEL: 1:1: string \"-1\" is no uint");
  expect_failure("double('0x10')", "CEL: 1:1: string \"0x10\" is no double");
  expect_failure("double('1e999')", "CEL: 1:1: string \"1e999\" is no double");
  expect_failure("int(0.0 / 0.0)", "CEL: 1:1: double NaN is out of the range of int");
}

static void has_asks_for_a_maps_field(void **state) {
  (void)state;
  expect_true("has(m.k) && !has(m.other) && !has({}.a)");
  expect_compile_failure("has(m)", "CEL: 1:1: has() needs a field selection, as in has(a.b)");
  expect_compile_failure("has(s.x)", "CEL: 1:7: a map, to select a field of, was expected, found string");
}

static void map_takes_a_predicate(void **state) {
  (void)state;
  expect_true("[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]");
}

static void a_map_with_a_key_twice_is_an_error(void **state) {
  (void)state;
  expect_failure("{1: 2, 1u: 3}", "CEL: 1:8: the map has this key twice");
  expect_failure("{i: 2, 42: 3}", "CEL: 1:8: the map has this key twice");
  expect_compile_failure("{1.0: 2}", "CEL: 1:2: a key of type int, uint, bool or string was expected, found double");
}

/* ---------------------------------------------------------------------------------------------------------- Errors */

static void type_errors_name_function_and_types(void **state) {
  (void)state;
  expect_compile_failure("1 + 'a'", "CEL: 1:3: no matching overload for _+_ applied to (int, string)");
  expect_compile_failure("s.contains(1)", "CEL: 1:3: no matching overload for contains applied to string.(int)");
  expect_compile_failure("[1] + ['a']", "CEL: 1:5: no matching overload for _+_ applied to (list(int), list(string))");
  expect_compile_failure("b ? 1 : 'a'", "CEL: 1:3: no matching overload for _?_:_ applied to (bool, int, string)");
  expect_compile_failure("-u", "CEL: 1:1: no matching overload for -_ applied to (uint)");
  expect_compile_failure("size(s, 1)", "CEL: 1:1: no matching overload for size: 1 arguments were expected, found 2");
  expect_compile_failure("b && 1", "CEL: 1:6: a bool before or after && was expected, found int");
  expect_compile_failure("i.all(x, true)", "CEL: 1:1: a list or map to go through was expected, found int");
  expect_compile_failure("unknown + 1", "CEL: 1:1: undeclared reference to 'unknown'");
  expect_compile_failure("unknown(1)", "CEL: 1:1: undeclared reference to function 'unknown'");
}

static void without_the_check_types_fail_when_evaluated(void **state) {
  (void)state;
  expect_failure_of_bytes("1 + 'a'", 7, true, "CEL: 1:3: no matching overload for _+_ applied to (int, string)");
  expect_failure_of_bytes("'a'.contains(1)", 15, true,
                          "CEL: 1:5: no matching overload for contains applied to string.(int)");
  expect_failure_of_bytes("unknown", 7, true, "CEL: 1:1: variable 'unknown' has no value");
  expect_failure_of_bytes("f(1)", 4, true, "CEL: 1:1: unknown function 'f'");
  expect_failure_of_bytes("size(1, 2)", 10, true, "CEL: 1:1: the function takes another number of arguments");
}

static void positions_count_lines_and_code_points(void **state) {
  (void)state;
  expect_compile_failure("'\xc3\xa9' +\n  // \xc3\xa9\n  1 ?", "CEL: 3:6: an expression was expected, found the end of "
                                                               "the expression");
  expect_compile_failure("'\xf0\x9f\x90\xb1' + 1", "CEL: 1:5: no matching overload for _+_ applied to (string, int)");
  expect_failure("1 +\n i / 0", "CEL: 2:4: division by zero");
}

static void syntax_errors_say_what_was_expected(void **state) {
  (void)state;
  expect_compile_failure("", "CEL: 1:1: an expression was expected, found the end of the expression");
  expect_compile_failure("1 2", "CEL: 1:3: an operator or the end was expected, found '2'");
  expect_compile_failure("(1", "CEL: 1:3: ')' was expected, found the end of the expression");
  expect_compile_failure("if", "CEL: 1:1: 'if' is a reserved word");
  expect_compile_failure("a.in", "CEL: 1:3: a field's name was expected, found in");
  expect_compile_failure("'abc", "CEL: 1:1: unterminated string");
  expect_compile_failure("b'''abc''", "CEL: 1:1: unterminated bytes");
  expect_compile_failure("'a\nb'", "CEL: 1:1: a string that ends on its line was expected, found a line break");
  expect_compile_failure("'\\s'", "CEL: 1:1: invalid escape sequence \\s");
  expect_compile_failure("'\\uD83D'",
                         "CEL: 1:1: invalid escape sequence \\uD83D: not a code point that a string can have");
  expect_compile_failure("b'\\u0041'", "CEL: 1:1: invalid escape sequence \\u0041: bytes have no code points");
  expect_compile_failure("9223372036854775808", "CEL: 1:1: 9223372036854775808 is out of the range of int");
  expect_compile_failure("i # 1", "CEL: 1:3: unexpected character '#'");
  expect_compile_failure("!-i", "CEL: 1:3: a number was expected, found 'i'");
}

static void bytes_that_are_no_text_are_refused(void **state) {
  (void)state;
  expect_failure_of_bytes("'\xff'", 3, false, "CEL: 1:1: the expression is not UTF-8 from byte 1 on");
  expect_failure_of_bytes("1\0+1", 4, false, "CEL: 1:2: unexpected character U+0000");
  expect_failure_of_bytes("\0", 1, false, "CEL: 1:1: unexpected character U+0000");
}

static void what_is_left_out_is_refused_by_its_name(void **state) {
  (void)state;
  expect_compile_failure("timestamp('2020-01-01T00:00:00Z')", "CEL: 1:1: timestamp() is not supported");
  expect_compile_failure("1 + duration('1s')", "CEL: 1:5: duration() is not supported");
  expect_compile_failure("s.getFullYear()", "CEL: 1:3: getFullYear() is not supported");
  expect_compile_failure("Foo{a: 1}", "CEL: 1:1: messages (Foo{...}) are not supported");
  expect_compile_failure("x.y.Foo{}", "CEL: 1:5: messages (x.y.Foo{...}) are not supported");
  expect_compile_failure("google.protobuf.Timestamp", "CEL: 1:17: messages (google.protobuf.Timestamp) are not "
                                                      "supported");
  expect_compile_failure("m.?k", "CEL: 1:3: optional fields (a.?b) are not supported");
  expect_compile_failure("m[?'k']", "CEL: 1:3: optional indices (a[?b]) are not supported");
  expect_compile_failure("[?i]", "CEL: 1:2: optional elements ([?a]) are not supported");
  expect_compile_failure("{?1: i}", "CEL: 1:2: optional entries ({?k: v}) are not supported");
  expect_compile_failure("optional.of(1)", "CEL: 1:10: optional.of() is not supported");
  expect_compile_failure("math.greatest(1, 2)", "CEL: 1:6: math.greatest() is not supported");
  expect_compile_failure("s.split(',')", "CEL: 1:3: split() is not supported");
  expect_compile_failure("l.exists(i, v, true)", "CEL: 1:3: exists() with two variables is not supported");
  expect_compile_failure("m.`a-b`", "CEL: 1:3: quoted names (`...`) are not supported");
  expect_failure_of_bytes("timestamp(1)", 12, true, "CEL: 1:1: timestamp() is not supported");
}

/* ----------------------------------------------------------------------------------------------- Regular expressions */

static void patterns_mean_what_they_mean_in_re2(void **state) {
  (void)state;
  expect_true("s.matches('^tenant-[0-9]+$') && matches(s, 't.n')");
  expect_true("!'a\\n'.matches('a$') && 'a\\n'.matches('(?m)a$')"); /* $ is the very end */
  expect_true("!'\\v'.matches(r'\\s') && '\\v'.matches(r'\\v') && '\\v'.matches(r'[[:space:]]')");
  expect_true("!'\xc3\xa9'.matches(r'\\w') && '\xc3\xa9'.matches(r'^\\pL$') && '\xc3\x89'.matches('(?i)^\xc3\xa9$')");
  expect_true("'\xc5\xbf'.matches(r'(?i)^\\w$') && !'\xc5\xbf'.matches(r'(?i)\\W') && '\xc5\xbf'.matches(r'\\W')");
  expect_true("'a{,2}'.matches('^a{,2}$')"); /* no repetition without a least count */
  expect_true("'a.b'.matches(r'^\\Qa.b\\E$') && 'ab'.matches('(?P<x>a)(?<y>b)') && ']'.matches('[]]')");
  expect_true("'\\x00'.matches(r'^\\x00$') && ''.matches('') && 'A'.matches(r'\\101')");
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
    expect_compile_failure(expression, message);
    free(expression);
    free(message);
  }
}

static void a_pattern_that_is_computed_is_checked_when_evaluated(void **state) {
  (void)state;
  expect_true("s.matches('^' + s)");
  expect_failure("s.matches('(' + s)", "CEL: 1:3: regular expression, byte 9: a ')' was expected");
  expect_true("s.matches('(' + s) || true");
}

static void a_pattern_that_backtracks_without_end_runs_out_of_steps(void **state) {
  (void)state;
  expect_failure("('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab').matches('^(a+)+$')",
                 "CEL: 1:47: the evaluation takes more than 1000000 steps");
}

static void patterns_and_their_subjects_have_a_longest_size(void **state) {
  (void)state;
  char *pattern = repeated("s.matches('", "a", SF_CEL_MAX_PATTERN_BYTES + 1, "')");
  expect_compile_failure(pattern, "CEL: 1:11: regular expression: at most 1024 bytes were expected, found 1025");
  free(pattern);
  char *subject = repeated("('", "a", SF_CEL_MAX_LITERAL_BYTES, "' + 'a').matches('a')");
  expect_failure(subject, "CEL: 1:16396: matches() of a string of at most 16384 bytes was expected, found 16385");
  free(subject);
  char *groups = repeated("s.matches('", "(", SF_CEL_MAX_PATTERN_DEPTH + 1, "')");
  expect_compile_failure(groups, "CEL: 1:11: regular expression, byte 64: groups are nested deeper than 64 levels");
  free(groups);
}

/* ---------------------------------------------------------------------------------------------------------- Limits */

static void a_source_beyond_its_limit_is_refused(void **state) {
  (void)state;
  expect_repeated_failure("a", "+a", 100000, "",
                          "CEL: 1:1: an expression of at most 65536 bytes was expected, found 200001");
}

static void nesting_beyond_its_limit_is_refused(void **state) {
  (void)state;
  expect_repeated_failure("", "(", 60000, "1", "CEL: 1:251: the expression is nested deeper than 250 levels");
  expect_repeated_failure("", "[", 60000, "", "CEL: 1:251: the expression is nested deeper than 250 levels");
  expect_repeated_failure("", "{1:", 20000, "", "CEL: 1:749: the expression is nested deeper than 250 levels");
  expect_repeated_failure("", "!", 60000, "b", "CEL: 1:250: the expression is nested deeper than 250 levels");
  expect_repeated_failure("", "-", 60000, "i", "CEL: 1:250: the expression is nested deeper than 250 levels");
  expect_repeated_failure("i", "+i", 30000, "", "CEL: 1:500: the expression is nested deeper than 250 levels");
  expect_repeated_failure("m", ".k", 30000, "", "CEL: 1:501: the expression is nested deeper than 250 levels");
  expect_repeated_failure("l", "[0]", 20000, "", "CEL: 1:749: the expression is nested deeper than 250 levels");
  expect_repeated_failure("", "size(", 10000, "", "CEL: 1:1251: the expression is nested deeper than 250 levels");
}

static void nesting_up_to_its_limit_is_evaluated(void **state) {
  (void)state;
  char *sum = repeated("i", "+i", SF_CEL_MAX_DEPTH - 1, "");
  expect_result(sum, sf_cel_int(42 * SF_CEL_MAX_DEPTH));
  free(sum);
  char *parentheses = repeated("", "(", SF_CEL_MAX_DEPTH - 1, "1");
  char *closed = repeated(parentheses, ")", SF_CEL_MAX_DEPTH - 1, "");
  expect_result(closed, sf_cel_int(1));
  free(parentheses);
  free(closed);
}

static void long_rows_of_logic_and_conditions_are_not_deep(void **state) {
  (void)state;
  char *disjunction = repeated("", "i == 1 || ", 5000, "i == 42");
  expect_true(disjunction);
  free(disjunction);
  char *conditions = repeated("", "i == 1 ? 1 : ", 4000, "2");
  expect_result(conditions, sf_cel_int(2));
  free(conditions);
}

static void literals_beyond_their_limits_are_refused(void **state) {
  (void)state;
  expect_repeated_failure("'", "a", SF_CEL_MAX_LITERAL_BYTES + 1, "'",
                          "CEL: 1:1: a literal of at most 16384 bytes was expected, found 16385");
  expect_repeated_failure("[", "1,", SF_CEL_MAX_LITERAL_ELEMENTS + 1, "]",
                          "CEL: 1:1: a list literal has more than 8192 elements");
  expect_repeated_failure("{", "1:1,", SF_CEL_MAX_LITERAL_ELEMENTS + 1, "}",
                          "CEL: 1:1: a map literal has more than 8192 entries");
  expect_repeated_failure("size(1", ",1", SF_CEL_MAX_ARGUMENTS, ")", "CEL: 1:134: a call has more than 64 arguments");
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
  expect_compile_failure(whole, "CEL: 1:6: checking the types takes more than 4000000 steps");
  free(whole);
  free(expression);
}

static void nested_comprehensions_run_out_of_steps(void **state) {
  (void)state;
  char *range = repeated("[", "1,", 999, "1]");
  char *expression = sf_format("%s.all(x, %s.all(y, %s.all(z, x + y + z > 0)))", range, range, range);
  sf_cel_result *result = NULL;
  sf_error error;
  assert_int_equal(run_bytes(expression, strlen(expression), false, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "the evaluation takes more than 1000000 steps"));
  free(expression);
  free(range);
}

static void a_spent_budget_is_not_hidden_by_logic(void **state) {
  (void)state;
  char *range = repeated("[", "1,", 1500, "1]");
  char *expression = sf_format("%s.all(x, %s.all(y, x + y > 0)) || true", range, range);
  sf_cel_result *result = NULL;
  sf_error error;
  assert_int_equal(run_bytes(expression, strlen(expression), false, &result, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_non_null(strstr(error.message, "the evaluation takes more than 1000000 steps"));
  free(expression);
  free(range);
}

static void growing_values_run_out_of_memory_or_steps(void **state) {
  (void)state;
  expect_repeated_failure("['0123456789abcdef']", ".map(x, x + x)", 24, "",
                          "CEL: 1:283: the evaluation needs more than 16777216 bytes of memory");
  /* Each step doubles what the list would take when copied, while its parts are shared. */
  expect_repeated_failure("[1]", ".map(x, [x, x])", 40, "",
                          "CEL: 1:597: the evaluation needs more than 16777216 bytes of memory");
}

static void comparing_shared_values_runs_out_of_steps(void **state) {
  (void)state;
  char *doubled = repeated("[1]", ".map(x, [x, x])", 40, "");
  char *expression = sf_format("%s == %s", doubled, doubled);
  expect_failure(expression, "CEL: 1:605: the evaluation takes more than 1000000 steps");
  free(expression);
  free(doubled);
}

/* --------------------------------------------------------------------------------------------------------- Threads */

static void *evaluate_many_times(void *program) {
  for (int i = 0; i < 500; i++) {
    sf_cel_result *result = NULL;
    if (sf_cel_evaluate(program, bindings, NUM_BINDINGS, &result, NULL) != SF_OK)
      return program;
    sf_cel_result_free(result);
  }
  return NULL;
}

static void a_program_serves_several_threads(void **state) {
  (void)state;
  static const char expression[] = "s.matches('^tenant-[0-9]+$') ? int(shard_hash(s) % 5u) : l.size()";
  sf_cel_program *program = NULL;
  sf_error error;
  pthread_t threads[4];
  assert_int_equal(compile_bytes(expression, strlen(expression), false, &program, &error), SF_OK);
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, evaluate_many_times, program), 0);
  for (int i = 0; i < 4; i++) {
    void *failed = NULL;
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    assert_null(failed);
  }
  sf_cel_program_free(program);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shard_hash_is_xxh3_of_a_texts_bytes),
      cmocka_unit_test(shard_hash_of_an_integer_is_that_of_eight_bytes),
      cmocka_unit_test(shard_hash_refuses_a_uint_beyond_the_ints),
      cmocka_unit_test(a_routing_expression_gives_a_shard),
      cmocka_unit_test(variables_of_every_type_are_read),
      cmocka_unit_test(a_declared_name_comes_before_a_field_or_a_type),
      cmocka_unit_test(a_missing_variable_fails_only_where_it_is_needed),
      cmocka_unit_test(a_binding_of_another_type_is_refused),
      cmocka_unit_test(a_bound_string_must_be_utf8),
      cmocka_unit_test(bindings_nested_too_deep_are_refused),
      cmocka_unit_test(a_result_outlives_its_program_and_bindings),
      cmocka_unit_test(names_declared_twice_are_refused),
      cmocka_unit_test(null_and_types_are_results),
      cmocka_unit_test(strings_count_code_points_and_hold_nul),
      cmocka_unit_test(doubles_are_written_as_the_reference_does),
      cmocka_unit_test(text_that_is_no_number_is_an_error),
      cmocka_unit_test(has_asks_for_a_maps_field),
      cmocka_unit_test(map_takes_a_predicate),
      cmocka_unit_test(a_map_with_a_key_twice_is_an_error),
      cmocka_unit_test(type_errors_name_function_and_types),
      cmocka_unit_test(without_the_check_types_fail_when_evaluated),
      cmocka_unit_test(positions_count_lines_and_code_points),
      cmocka_unit_test(syntax_errors_say_what_was_expected),
      cmocka_unit_test(bytes_that_are_no_text_are_refused),
      cmocka_unit_test(what_is_left_out_is_refused_by_its_name),
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
      cmocka_unit_test(a_program_serves_several_threads),
  };
  return cmocka_run_group_tests_name("cel", tests, NULL, NULL);
}
