/* A folder for what a fuzzer has to put on disk, one a process, in memory where there is such a place. */
#ifndef SF_FUZZ_TEMPORARY_FOLDER_H
#define SF_FUZZ_TEMPORARY_FOLDER_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char temporary_folder[64];

static inline void remove_files(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL)
    return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      char child[512];
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

/* Its path; made by the first call, removed when the process ends. */
static inline const char *use_temporary_folder(void) {
  if (temporary_folder[0] == '\0') {
    struct stat status;
    bool in_memory = stat("/dev/shm", &status) == 0 && access("/dev/shm", W_OK) == 0;
    snprintf(temporary_folder, sizeof(temporary_folder), "%s/sf-fuzz-XXXXXX", in_memory ? "/dev/shm" : "/tmp");
    if (mkdtemp(temporary_folder) == NULL)
      abort();
    atexit(remove_temporary_folder);
  }
  return temporary_folder;
}

static inline void write_whole_file(const char *path, const void *bytes, size_t length) {
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
    abort();
}

#endif
