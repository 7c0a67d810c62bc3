#include "formats/sqlite_vec/connection_pool.h"

#include "cmocka_includes.h"
#include "shard_files.h"
#include "temporary_folder.h"

#include <fcntl.h>
#include <sys/resource.h>

#define NUM_OWNERS (SF_MAX_IDLE_CONNECTIONS + 10)

/* The pool only compares owners. */
static char owners[NUM_OWNERS];

static const char *shard_path(void) {
  static char path[PATH_SIZE];
  if (path[0] == '\0') {
    sf_buffer bytes = database_of(SHARD_SQL, "INSERT INTO vec_payloads VALUES (1, '{}')");
    put_file("shard.db", bytes.data, bytes.length);
    sf_buffer_free(&bytes);
    path_of(path, "shard.db");
  }
  return path;
}

static sf_connection_pool *make_pool(void) {
  sf_connection_pool *pool = NULL;
  assert_int_equal(sf_connection_pool_create(&pool, NULL), SF_OK);
  return pool;
}

static sf_connection *take(sf_connection_pool *pool, const void *owner) {
  sf_connection *connection = NULL;
  sf_error error = {0};
  if (sf_connection_pool_acquire(pool, owner, shard_path(), &connection, &error) != SF_OK)
    fail_msg("%s", error.message);
  assert_ptr_equal(connection->owner, owner);
  return connection;
}

static void a_connection_that_was_given_back_is_taken_again(void **state) {
  (void)state;
  sf_connection_pool *pool = make_pool();
  sf_connection *first = take(pool, &owners[0]);
  sf_connection *second = take(pool, &owners[0]);
  assert_ptr_not_equal(first, second);
  sf_connection_pool_release(pool, first);
  assert_ptr_equal(take(pool, &owners[0]), first);
  sf_connection_pool_release(pool, first);
  sf_connection_pool_release(pool, second);
  assert_ptr_equal(take(pool, &owners[0]), second); /* the most recently used one */
  sf_connection_pool_release(pool, second);
  sf_connection_pool_free(pool);
}

static void a_connection_is_its_owners_alone(void **state) {
  (void)state;
  sf_connection_pool *pool = make_pool();
  sf_connection *of_first = take(pool, &owners[0]);
  sf_connection_pool_release(pool, of_first);
  sf_connection *of_second = take(pool, &owners[1]);
  assert_ptr_not_equal(of_first, of_second);
  sf_connection_pool_release(pool, of_second);
  sf_connection_pool_forget(pool, &owners[0]);
  assert_ptr_equal(take(pool, &owners[1]), of_second);
  sf_connection_pool_release(pool, of_second);
  sf_connection_pool_free(pool);
}

static size_t count_descriptors(void) {
  size_t count = 0;
  DIR *folder = opendir("/dev/fd");
  while (folder != NULL && readdir(folder) != NULL)
    count++;
  if (folder != NULL)
    closedir(folder);
  return count;
}

static void idle_connections_are_bounded(void **state) {
  (void)state;
  sf_connection_pool *pool = make_pool();
  const char *path = shard_path();
  size_t before = count_descriptors();
  for (size_t i = 0; i < NUM_OWNERS; i++) {
    sf_connection *connection = NULL;
    assert_int_equal(sf_connection_pool_acquire(pool, &owners[i], path, &connection, NULL), SF_OK);
    sf_connection_pool_release(pool, connection);
  }
  assert_true(count_descriptors() <= before + SF_MAX_IDLE_CONNECTIONS);
  for (size_t i = 0; i < NUM_OWNERS; i++)
    sf_connection_pool_forget(pool, &owners[i]);
  assert_int_equal(count_descriptors(), before);
  sf_connection_pool_free(pool);
}

static void set_descriptor_limit(rlim_t most) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = most;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Opens descriptors until there are no more. */
static size_t use_up_descriptors(int *descriptors, size_t most) {
  size_t count = 0;
  while (count < most && (descriptors[count] = open("/dev/null", O_RDONLY)) >= 0)
    count++;
  return count;
}

/* A process has few descriptors, and they are not the pools' alone. */
static void all_pools_together_keep_a_share_of_the_processs_descriptors(void **state) {
  enum { NUM_POOLS = 20, NUM_EACH = 20, LIMIT = 128 };
  (void)state;
  struct rlimit before;
  sf_connection_pool *pools[NUM_POOLS];
  const char *path = shard_path();
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  set_descriptor_limit(LIMIT);
  size_t first = count_descriptors();
  for (size_t i = 0; i < NUM_POOLS; i++) {
    pools[i] = make_pool();
    for (size_t j = 0; j < NUM_EACH; j++) {
      sf_connection *connection = NULL;
      assert_int_equal(sf_connection_pool_acquire(pools[i], &owners[j], path, &connection, NULL), SF_OK);
      sf_connection_pool_release(pools[i], connection);
    }
  }
  assert_true(count_descriptors() <= first + LIMIT / 4);
  for (size_t i = 0; i < NUM_POOLS; i++)
    sf_connection_pool_free(pools[i]);
  assert_int_equal(count_descriptors(), first);
  set_descriptor_limit(before.rlim_cur);
}

static void idle_connections_make_room_where_no_descriptors_are_left(void **state) {
  enum { LIMIT = 64 };
  (void)state;
  struct rlimit before;
  int descriptors[LIMIT];
  sf_error error;
  sf_connection *connection = NULL;
  const char *path = shard_path();
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  set_descriptor_limit(LIMIT);
  sf_connection_pool *pool = make_pool();
  sf_connection_pool_release(pool, take(pool, &owners[0]));
  size_t used = use_up_descriptors(descriptors, LIMIT);
  connection = take(pool, &owners[1]); /* that of the first owner makes room */
  sf_connection *other = NULL;
  sf_code code = sf_connection_pool_acquire(pool, &owners[2], path, &other, &error);
  for (size_t i = 0; i < used; i++)
    close(descriptors[i]);
  set_descriptor_limit(before.rlim_cur);
  assert_int_equal(code, SF_POOL_EXHAUSTED_ERROR);
  assert_true(error.retryable);
  assert_non_null(strstr(error.message, "ulimit -n"));
  sf_connection_pool_release(pool, connection);
  sf_connection_pool_release(pool, take(pool, &owners[2]));
  assert_true(sf_connection_pool_shrink(pool));
  assert_false(sf_connection_pool_shrink(pool));
  sf_connection_pool_free(pool);
}

static void a_file_that_cannot_be_opened_is_the_shards_failure(void **state) {
  (void)state;
  sf_connection_pool *pool = make_pool();
  sf_connection *connection = NULL;
  sf_error error;
  char path[PATH_SIZE];
  assert_int_equal(sf_connection_pool_acquire(pool, &owners[0], path_of(path, "missing.db"), &connection, &error),
                   SF_DB_ADAPTER_ERROR);
  assert_int_equal(strncmp(error.message, "shard.db: ", 10), 0);
  put_text("other.db", "no database, but long enough to be looked at");
  assert_int_equal(sf_connection_pool_acquire(pool, &owners[0], path_of(path, "other.db"), &connection, &error),
                   SF_DB_ADAPTER_ERROR);
  sf_buffer bytes = database_of("CREATE TABLE vec_id_map(internal_id INTEGER PRIMARY KEY, original_id)", "");
  put_file("half.db", bytes.data, bytes.length);
  sf_buffer_free(&bytes);
  assert_int_equal(sf_connection_pool_acquire(pool, &owners[0], path_of(path, "half.db"), &connection, &error),
                   SF_DB_ADAPTER_ERROR);
  assert_non_null(strstr(error.message, "vec_payloads"));
  assert_null(connection);
  sf_connection_pool_free(pool);
  sf_connection_pool_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_connection_that_was_given_back_is_taken_again),
      cmocka_unit_test(a_connection_is_its_owners_alone),
      cmocka_unit_test(idle_connections_are_bounded),
      cmocka_unit_test(all_pools_together_keep_a_share_of_the_processs_descriptors),
      cmocka_unit_test(idle_connections_make_room_where_no_descriptors_are_left),
      cmocka_unit_test(a_file_that_cannot_be_opened_is_the_shards_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
