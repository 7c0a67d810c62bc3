/* JSON read by several threads, beside others of the program that use the same library. */
#include "base/json.h"
#include "base/json_writer.h"
#include "base/thread.h"
#include "cmocka_includes.h"

#include <stdio.h>
#include <string.h>

enum { NUM_READERS = 4, NUM_ROUNDS = 300, NUM_MEMBERS = 50 };

static char *make_document(int thread) {
  sf_buffer text = {0};
  sf_json_writer writer;
  sf_json_writer_begin(&writer);
  for (int i = 0; i < NUM_MEMBERS; i++) {
    char name[48];
    snprintf(name, sizeof(name), "a member of some length %d", i);
    sf_json_write_integer(&writer, name, thread * NUM_MEMBERS + i);
  }
  assert_int_equal(sf_json_writer_end(&writer, "document", &text, NULL), SF_OK);
  return (char *)text.data;
}

static size_t count_right(const json_t *object, int thread) {
  size_t right = 0;
  for (int i = 0; i < NUM_MEMBERS; i++) {
    char name[48];
    snprintf(name, sizeof(name), "a member of some length %d", i);
    right += json_integer_value(json_object_get(object, name)) == thread * NUM_MEMBERS + i;
  }
  return right;
}

typedef struct work {
  pthread_t thread;
  int number;
  char *text;
  size_t right; /* members that were read as they were written */
} work;

static void *read_documents(void *argument) {
  work *done = argument;
  for (int round = 0; round < NUM_ROUNDS; round++) {
    sf_json json;
    if (sf_json_parse_object(done->text, strlen(done->text), SF_JSON_EXACT, "text", SF_ERROR, &json, NULL) == SF_OK)
      done->right += count_right(json.root, done->number);
    sf_json_free(&json);
  }
  return NULL;
}

/* As another part of the program does it. */
static void *use_the_library(void *argument) {
  work *done = argument;
  for (int round = 0; round < NUM_ROUNDS; round++) {
    json_t *object = json_loads(done->text, 0, NULL);
    done->right += count_right(object, done->number);
    json_decref(object);
  }
  return NULL;
}

static void threads_read_their_own_documents(void **state) {
  (void)state;
  work all[NUM_READERS + 1] = {0};
  for (int i = 0; i <= NUM_READERS; i++) {
    all[i].number = i;
    all[i].text = make_document(i);
    assert_int_equal(sf_thread_start(&all[i].thread, i < NUM_READERS ? read_documents : use_the_library, &all[i]), 0);
  }
  for (int i = 0; i <= NUM_READERS; i++) {
    pthread_join(all[i].thread, NULL);
    assert_int_equal(all[i].right, NUM_ROUNDS * NUM_MEMBERS);
    free(all[i].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_read_their_own_documents),
  };
  return cmocka_run_group_tests_name("concurrent_json", tests, NULL, NULL);
}
