#include "base/memory.h"
#include "cel/cel.h"
#include "cel/limits.h"
#include "cel/value.h"
#include "cmocka_includes.h"
#include "support/cel_expressions.h"

#include <pthread.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------------------- Routing */

/* The figures are those of xxh3_64_intdigest of the Python package xxhash. */
static void shard_hash_is_xxh3_of_a_texts_bytes(void **state) {
  (void)state;
  cel_expect_result("shard_hash('')", sf_cel_uint(3244421341483603138u));
  cel_expect_result("shard_hash(s)", sf_cel_uint(7061958536135975107u));
  cel_expect_result("shard_hash('na\xc3\xafve')", sf_cel_uint(14757376859149137928u));
  cel_expect_result("shard_hash(y)", sf_cel_uint(11833089303367654703u));
  cel_expect_result("shard_hash(b'tenant-1')", sf_cel_uint(7061958536135975107u));
}

static void shard_hash_of_an_integer_is_that_of_eight_bytes(void **state) {
  (void)state;
  cel_expect_result("shard_hash(0)", sf_cel_uint(14374147212387527897u));
  cel_expect_result("shard_hash(i)", sf_cel_uint(15395265915043915720u));
  cel_expect_result("shard_hash(42u)", sf_cel_uint(15395265915043915720u));
  cel_expect_result("shard_hash(-1)", sf_cel_uint(5841669975847748627u));
  cel_expect_result("shard_hash(9223372036854775807)", sf_cel_uint(11687913294787043142u));
  cel_expect_result("shard_hash(9223372036854775807u)", sf_cel_uint(11687913294787043142u));
  cel_expect_result("shard_hash(-9223372036854775808)", sf_cel_uint(9407778237848358495u));
}

static void shard_hash_refuses_a_uint_beyond_the_ints(void **state) {
  (void)state;
  cel_expect_failure("shard_hash(9223372036854775808u)",
                     "CEL: 1:1: shard_hash() of a uint up to 9223372036854775807 was "
                     "expected, found 9223372036854775808");
  cel_expect_compile_failure("shard_hash(1.0)", "CEL: 1:1: no matching overload for shard_hash applied to (double)");
}

static void a_routing_expression_gives_a_shard(void **state) {
  (void)state;
  cel_expect_result("int(shard_hash(s) % 5u)", sf_cel_int(2));
  cel_expect_text("s.startsWith('tenant-') ? 'eu' : 'us'", "eu");
  cel_expect_result("{'tenant-1': 3, 'tenant-2': 4}[s]", sf_cel_int(3));
  cel_expect_result("bytes(s)", sf_cel_bytes("tenant-1", 8));
}

/* ------------------------------------------------------------------------------------------------------- Variables */

static void variables_of_every_type_are_read(void **state) {
  (void)state;
  cel_expect_true("i == 42 && u == 7u && d == 1.5 && b && s == 'tenant-1' && y == b'\\x00\\xff\\x10' && n == null");
  cel_expect_true("l[0] == 10 && 'x' in l && m.k == 5 && m['k'] == 5");
  cel_expect_true("[1].all(i, i == 1) && [1].all(i, .i == 42)"); /* a comprehension's variable hides one, but not .i */
}

static void a_declared_name_comes_before_a_field_or_a_type(void **state) {
  (void)state;
  cel_expect_result("a.b + 1", sf_cel_int(10));
  cel_expect_text("type", "gold");
  cel_expect_true("type(1) == int");
}

static void a_missing_variable_fails_only_where_it_is_needed(void **state) {
  (void)state;
  cel_expect_failure("absent + 1", "CEL: 1:1: variable 'absent' has no value");
  cel_expect_true("absent == 1 || true");
  cel_expect_result("b ? 1 : absent", sf_cel_int(1));
}

static void a_binding_of_another_type_is_refused(void **state) {
  (void)state;
  sf_cel_program *program = NULL;
  sf_cel_result *result = NULL;
  sf_error error;
  sf_cel_binding wrong = {"i", {.kind = SF_CEL_STRING, .as.text = {"1", 1}}};
  assert_int_equal(cel_compile_bytes("i == 1 || true", 14, false, &program, &error), SF_OK);
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
  assert_int_equal(cel_compile_bytes("size(s)", 7, false, &program, &error), SF_OK);
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
  assert_int_equal(cel_compile_bytes("size(l)", 7, false, &program, &error), SF_OK);
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
  assert_int_equal(cel_compile_bytes("[s, 'constant', {'k': [s]}]", 27, false, &program, &error), SF_OK);
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
  sf_cel_declaration twice[] = {{.name = "x", .type = SF_CEL_INT}, {.name = "x", .type = SF_CEL_STRING}};
  sf_cel_program *program = NULL;
  sf_error error;
  assert_int_equal(sf_cel_compile("1", 1, twice, 2, NULL, &program, &error), SF_CONFIG_VALIDATION_ERROR);
  assert_string_equal(error.message, "CEL: 1:1: variable 'x' is declared twice");
}

/* ---------------------------------------------------------------------------------------------------------- Values */

static void null_and_types_are_results(void **state) {
  (void)state;
  cel_expect_result("null", sf_cel_null());
  cel_expect_result("[null][0]", sf_cel_null());
  cel_expect_result("n", sf_cel_null());
  cel_expect_result("int", sf_cel_type_of(SF_CEL_INT));
}

static void strings_count_code_points_and_hold_nul(void **state) {
  (void)state;
  cel_expect_result("size('\xf0\x9f\x90\xb1\xc3\xa9')", sf_cel_int(2));
  cel_expect_result("'\\x00a'.size()", sf_cel_int(2));
  cel_expect_result("'a\\x00b'", sf_cel_string("a\0b", 3));
  cel_expect_true("'a\\x00b' != 'a\\x00c' && 'a\\x00b'.contains('\\x00b')");
}

static void doubles_are_written_as_the_reference_does(void **state) {
  (void)state;
  cel_expect_text("string(100000.0)", "100000");
  cel_expect_text("string(1000000.0)", "1e+06");
  cel_expect_text("string(0.0001)", "0.0001");
  cel_expect_text("string(0.00001)", "1e-05");
  cel_expect_text("string(0.1 + 0.2)", "0.30000000000000004");
  cel_expect_text("string(-0.0)", "-0");
  cel_expect_text("string(1.0 / 0.0) + string(-1.0 / 0.0) + string(0.0 / 0.0)", "+Inf-InfNaN");
  cel_expect_text("string(5e-324)", "5e-324");
}

static void text_that_is_no_number_is_an_error(void **state) {
  (void)state;
  cel_expect_failure("int(' 1')", "CEL: 1:1: string \" 1\" is no int");
  cel_expect_failure("int('9223372036854775808')", "CEL: 1:1: string \"9223372036854775808\" is no int");
  cel_expect_failure("uint('-1')", "CEL: 1:1: string \"-1\" is no uint");
  cel_expect_failure("double('0x10')", "CEL: 1:1: string \"0x10\" is no double");
  cel_expect_failure("double('1e999')", "CEL: 1:1: string \"1e999\" is no double");
  cel_expect_failure("int(0.0 / 0.0)", "CEL: 1:1: double NaN is out of the range of int");
}

static void has_asks_for_a_maps_field(void **state) {
  (void)state;
  cel_expect_true("has(m.k) && !has(m.other) && !has({}.a)");
  cel_expect_compile_failure("has(m)", "CEL: 1:1: has() needs a field selection, as in has(a.b)");
  cel_expect_compile_failure("has(s.x)", "CEL: 1:7: a map, to select a field of, was expected, found string");
}

static void map_takes_a_predicate(void **state) {
  (void)state;
  cel_expect_true("[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]");
}

static void a_map_with_a_key_twice_is_an_error(void **state) {
  (void)state;
  cel_expect_failure("{1: 2, 1u: 3}", "CEL: 1:8: the map has this key twice");
  cel_expect_failure("{i: 2, 42: 3}", "CEL: 1:8: the map has this key twice");
  cel_expect_compile_failure("{1.0: 2}",
                             "CEL: 1:2: a key of type int, uint, bool or string was expected, found double");
}

/* ---------------------------------------------------------------------------------------------------------- Errors */

static void type_errors_name_function_and_types(void **state) {
  (void)state;
  cel_expect_compile_failure("1 + 'a'", "CEL: 1:3: no matching overload for _+_ applied to (int, string)");
  cel_expect_compile_failure("s.contains(1)", "CEL: 1:3: no matching overload for contains applied to string.(int)");
  cel_expect_compile_failure("[1] + ['a']",
                             "CEL: 1:5: no matching overload for _+_ applied to (list(int), list(string))");
  cel_expect_compile_failure("b ? 1 : 'a'", "CEL: 1:3: no matching overload for _?_:_ applied to (bool, int, string)");
  cel_expect_compile_failure("-u", "CEL: 1:1: no matching overload for -_ applied to (uint)");
  cel_expect_compile_failure("size(s, 1)",
                             "CEL: 1:1: no matching overload for size: 1 arguments were expected, found 2");
  cel_expect_compile_failure("b && 1", "CEL: 1:6: a bool before or after && was expected, found int");
  cel_expect_compile_failure("i.all(x, true)", "CEL: 1:1: a list or map to go through was expected, found int");
  cel_expect_compile_failure("unknown + 1", "CEL: 1:1: undeclared reference to 'unknown'");
  cel_expect_compile_failure("unknown(1)", "CEL: 1:1: undeclared reference to function 'unknown'");
}

static void without_the_check_types_fail_when_evaluated(void **state) {
  (void)state;
  cel_expect_failure_of_bytes("1 + 'a'", 7, true, "CEL: 1:3: no matching overload for _+_ applied to (int, string)");
  cel_expect_failure_of_bytes("'a'.contains(1)", 15, true,
                              "CEL: 1:5: no matching overload for contains applied to string.(int)");
  cel_expect_failure_of_bytes("unknown", 7, true, "CEL: 1:1: variable 'unknown' has no value");
  cel_expect_failure_of_bytes("f(1)", 4, true, "CEL: 1:1: unknown function 'f'");
  cel_expect_failure_of_bytes("size(1, 2)", 10, true, "CEL: 1:1: the function takes another number of arguments");
}

static void positions_count_lines_and_code_points(void **state) {
  (void)state;
  cel_expect_compile_failure("'\xc3\xa9' +\n  // \xc3\xa9\n  1 ?",
                             "CEL: 3:6: an expression was expected, found the end of "
                             "the expression");
  cel_expect_compile_failure("'\xf0\x9f\x90\xb1' + 1",
                             "CEL: 1:5: no matching overload for _+_ applied to (string, int)");
  cel_expect_failure("1 +\n i / 0", "CEL: 2:4: division by zero");
}

static void syntax_errors_say_what_was_expected(void **state) {
  (void)state;
  cel_expect_compile_failure("", "CEL: 1:1: an expression was expected, found the end of the expression");
  cel_expect_compile_failure("1 2", "CEL: 1:3: an operator or the end was expected, found '2'");
  cel_expect_compile_failure("(1", "CEL: 1:3: ')' was expected, found the end of the expression");
  cel_expect_compile_failure("if", "CEL: 1:1: 'if' is a reserved word");
  cel_expect_compile_failure("a.in", "CEL: 1:3: a field's name was expected, found in");
  cel_expect_compile_failure("'abc", "CEL: 1:1: unterminated string");
  cel_expect_compile_failure("b'''abc''", "CEL: 1:1: unterminated bytes");
  cel_expect_compile_failure("'a\nb'", "CEL: 1:1: a string that ends on its line was expected, found a line break");
  cel_expect_compile_failure("'\\s'", "CEL: 1:1: invalid escape sequence \\s");
  cel_expect_compile_failure("'\\uD83D'",
                             "CEL: 1:1: invalid escape sequence \\uD83D: not a code point that a string can have");
  cel_expect_compile_failure("b'\\u0041'", "CEL: 1:1: invalid escape sequence \\u0041: bytes have no code points");
  cel_expect_compile_failure("9223372036854775808", "CEL: 1:1: 9223372036854775808 is out of the range of int");
  cel_expect_compile_failure("i # 1", "CEL: 1:3: unexpected character '#'");
  cel_expect_compile_failure("!-i", "CEL: 1:3: a number was expected, found 'i'");
}

static void bytes_that_are_no_text_are_refused(void **state) {
  (void)state;
  cel_expect_failure_of_bytes("'\xff'", 3, false, "CEL: 1:1: the expression is not UTF-8 from byte 1 on");
  cel_expect_failure_of_bytes("1\0+1", 4, false, "CEL: 1:2: unexpected character U+0000");
  cel_expect_failure_of_bytes("\0", 1, false, "CEL: 1:1: unexpected character U+0000");
}

static void what_is_left_out_is_refused_by_its_name(void **state) {
  (void)state;
  cel_expect_compile_failure("timestamp('2020-01-01T00:00:00Z')", "CEL: 1:1: timestamp() is not supported");
  cel_expect_compile_failure("1 + duration('1s')", "CEL: 1:5: duration() is not supported");
  cel_expect_compile_failure("s.getFullYear()", "CEL: 1:3: getFullYear() is not supported");
  cel_expect_compile_failure("Foo{a: 1}", "CEL: 1:1: messages (Foo{...}) are not supported");
  cel_expect_compile_failure("x.y.Foo{}", "CEL: 1:5: messages (x.y.Foo{...}) are not supported");
  cel_expect_compile_failure("google.protobuf.Timestamp", "CEL: 1:17: messages (google.protobuf.Timestamp) are not "
                                                          "supported");
  cel_expect_compile_failure("m.?k", "CEL: 1:3: optional fields (a.?b) are not supported");
  cel_expect_compile_failure("m[?'k']", "CEL: 1:3: optional indices (a[?b]) are not supported");
  cel_expect_compile_failure("[?i]", "CEL: 1:2: optional elements ([?a]) are not supported");
  cel_expect_compile_failure("{?1: i}", "CEL: 1:2: optional entries ({?k: v}) are not supported");
  cel_expect_compile_failure("optional.of(1)", "CEL: 1:10: optional.of() is not supported");
  cel_expect_compile_failure("math.greatest(1, 2)", "CEL: 1:6: math.greatest() is not supported");
  cel_expect_compile_failure("s.split(',')", "CEL: 1:3: split() is not supported");
  cel_expect_compile_failure("l.exists(i, v, true)", "CEL: 1:3: exists() with two variables is not supported");
  cel_expect_compile_failure("m.`a-b`", "CEL: 1:3: quoted names (`...`) are not supported");
  cel_expect_failure_of_bytes("timestamp(1)", 12, true, "CEL: 1:1: timestamp() is not supported");
}

/* --------------------------------------------------------------------------------------------------------- Threads */

static void *evaluate_many_times(void *program) {
  for (int i = 0; i < 500; i++) {
    sf_cel_result *result = NULL;
    if (sf_cel_evaluate(program, cel_bindings, CEL_NUM_BINDINGS, &result, NULL) != SF_OK)
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
  assert_int_equal(cel_compile_bytes(expression, strlen(expression), false, &program, &error), SF_OK);
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
      cmocka_unit_test(a_program_serves_several_threads),
  };
  return cmocka_run_group_tests_name("cel", tests, NULL, NULL);
}
