#include "support/scratch.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void require(bool holds, const char *what) {
  if (holds)
    return;
  perror(what);
  abort();
}

char *scratch_make(void) {
  const char *base = getenv("TMPDIR");
  char *folder = sf_format("%s/shardyfusion-test-XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
  require(folder != NULL && mkdtemp(folder) != NULL, "mkdtemp");
  return folder;
}

static bool is_real_name(const char *name) {
  return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_folder(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static void remove_tree(const char *path);

static void remove_children(const char *path) {
  DIR *folder = is_folder(path) ? opendir(path) : NULL;
  if (folder == NULL)
    return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
    if (is_real_name(entry->d_name)) {
      char *child = scratch_path(path, entry->d_name);
      remove_tree(child);
      free(child);
    }
  closedir(folder);
}

/* Retries if an entry was added or removed meanwhile: a reader that was not waited for may still be closing. */
static void remove_tree(const char *path) {
  int failure;
  do {
    remove_children(path);
    failure = remove(path) == 0 ? 0 : errno;
  } while (failure == ENOTEMPTY || failure == EEXIST);
  require(failure == 0 || failure == ENOENT, path);
}

void scratch_remove(char *folder) {
  remove_tree(folder);
  free(folder);
}

char *scratch_path(const char *folder, const char *name) {
  char *path = sf_format("%s/%s", folder, name);
  require(path != NULL, "memory");
  return path;
}

void scratch_make_parents(const char *path) {
  char *partial = sf_strdup(path);
  require(partial != NULL, "memory");
  for (char *slash = strchr(partial + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(partial, 0777);
    *slash = '/';
  }
  free(partial);
}

void scratch_write(const char *path, const void *bytes, size_t length) {
  char *temporary = sf_format("%s.new", path);
  scratch_make_parents(path);
  FILE *file = fopen(temporary, "wb");
  require(file != NULL && fwrite(bytes, 1, length, file) == length && fclose(file) == 0, temporary);
  require(rename(temporary, path) == 0, path);
  free(temporary);
}

static void copy_file(const char *from, const char *to) {
  sf_buffer contents = {0};
  FILE *file = fopen(from, "rb");
  require(file != NULL, from);
  char bytes[65536];
  for (size_t length; (length = fread(bytes, 1, sizeof(bytes), file)) > 0;)
    require(sf_buffer_append(&contents, bytes, length), "memory");
  fclose(file);
  scratch_write(to, contents.data, contents.length);
  sf_buffer_free(&contents);
}

void scratch_copy(const char *from, const char *to) {
  if (!is_folder(from)) {
    copy_file(from, to);
    return;
  }
  DIR *folder = opendir(from);
  require(folder != NULL, from);
  mkdir(to, 0777);
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
    if (is_real_name(entry->d_name)) {
      char *source = scratch_path(from, entry->d_name);
      char *target = scratch_path(to, entry->d_name);
      scratch_copy(source, target);
      free(source);
      free(target);
    }
  closedir(folder);
}
