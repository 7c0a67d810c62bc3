#include "writer/new_folders.h"

#include "base/files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_missing(const char *path) {
  struct stat status;
  return lstat(path, &status) != 0 && errno == ENOENT;
}

static sf_code add(sf_new_folders *folders, const char *path, sf_error *error) {
  return sf_buffer_append(&folders->paths, path, strlen(path) + 1) ? SF_OK : sf_fail_memory(error, "path of a folder");
}

sf_code sf_new_folders_note(sf_new_folders *folders, const char *path, sf_error *error) {
  char *folder = sf_strdup(path);
  sf_code code = SF_OK;
  while (code == SF_OK && folder != NULL && is_missing(folder)) {
    code = add(folders, folder, error);
    char *above = sf_folder_of(folder);
    free(folder);
    folder = above;
  }
  if (folder == NULL && code == SF_OK)
    code = sf_fail_memory(error, "path of a folder");
  free(folder);
  return code;
}

sf_code sf_new_folders_note_child(sf_new_folders *folders, const char *path, const char *name, sf_error *error) {
  char *child = sf_format("%s/%s", path, name);
  if (child == NULL)
    return sf_fail_memory(error, "path of a folder");
  sf_code code = is_missing(child) ? add(folders, child, error) : SF_OK;
  free(child);
  return code;
}

void sf_new_folders_remove(const sf_new_folders *folders) {
  for (size_t at = 0; at < folders->paths.length;) {
    const char *path = (const char *)folders->paths.data + at;
    (void)rmdir(path); /* it is not empty, or not there */
    at += strlen(path) + 1;
  }
}

void sf_new_folders_free(sf_new_folders *folders) {
  sf_buffer_free(&folders->paths);
}
