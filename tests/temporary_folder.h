/* A temporary folder for a test or a fuzzer, one for each process; in /dev/shm if there is one. Without a library of its own:
 * fuzzers don't link test_support. */
#ifndef SF_TESTS_TEMPORARY_FOLDER_H
#define SF_TESTS_TEMPORARY_FOLDER_H

#include "base/memory.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 1024

static char temporary_folder[64];

/* Empties a folder, if it is there. */
static inline void remove_files(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL)
    return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      char child[PATH_SIZE];
      if (snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >= (int)sizeof(child))
        continue;
      if (unlink(child) != 0)
        remove_files(child);
      rmdir(child);
    }
  closedir(folder);
}

static inline void remove_temporary_folder(void) {
  remove_files(temporary_folder);
  rmdir(temporary_folder);
}

/* Its path; made by the first call, removed when the process ends (but not by a forked one that calls _exit). */
static inline const char *use_temporary_folder(void) {
  if (temporary_folder[0] == '\0') {
    bool in_memory = access("/dev/shm", W_OK) == 0;
    snprintf(temporary_folder, sizeof(temporary_folder), "%s/shardyfusion-XXXXXX", in_memory ? "/dev/shm" : "/tmp");
    if (mkdtemp(temporary_folder) == NULL)
      abort();
    atexit(remove_temporary_folder);
  }
  return temporary_folder;
}

/* Puts the path of something in the folder into `path`, which it returns. */
static inline const char *path_of(char path[PATH_SIZE], const char *name) {
  snprintf(path, PATH_SIZE, "%s/%s", use_temporary_folder(), name);
  return path;
}

static inline void write_whole_file(const char *path, const void *bytes, size_t length) {
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
    abort();
}

/* The file's bytes, followed by a NUL; the caller frees them. */
static inline sf_buffer read_whole_file(const char *path) {
  sf_buffer contents = {0};
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    abort();
  for (size_t got = 1; got > 0; contents.length += got) {
    if (!sf_buffer_reserve(&contents, 65536))
      abort();
    got = fread(contents.data + contents.length, 1, 65536, file);
  }
  fclose(file);
  contents.data[contents.length] = '\0';
  return contents;
}

/* Writes a file below the folder, and makes the folders above it. */
static inline void put_file(const char *name, const void *bytes, size_t length) {
  char path[PATH_SIZE];
  path_of(path, name);
  for (char *slash = strchr(path + strlen(use_temporary_folder()) + 1, '/'); slash != NULL;
       slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(path, 0777);
    *slash = '/';
  }
  write_whole_file(path, bytes, length);
}

static inline void put_text(const char *name, const char *text) {
  put_file(name, text, strlen(text));
}

#endif
