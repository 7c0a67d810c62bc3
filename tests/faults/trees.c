#include "faults/trees.h"

#include "base/memory.h"
#include "support/require.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void add(tree *paths, char *path) {
  paths->paths = sf_reallocarray(paths->paths, paths->count + 1, sizeof(*paths->paths));
  require(paths->paths != NULL && path != NULL, "memory");
  paths->paths[paths->count++] = path;
}

/* `prefix` is "" or ends in '/'. */
static void add_children(tree *paths, const char *folder, const char *prefix) {
  char *path = sf_format("%s/%s", folder, prefix);
  DIR *opened = opendir(path);
  for (struct dirent *entry; opened != NULL && (entry = readdir(opened)) != NULL;) {
    struct stat status;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    char *child = sf_format("%s%s", path, entry->d_name);
    bool is_folder = lstat(child, &status) == 0 && S_ISDIR(status.st_mode);
    char *below = sf_format("%s%s%s", prefix, entry->d_name, is_folder ? "/" : "");
    add(paths, below);
    if (is_folder)
      add_children(paths, folder, below);
    free(child);
  }
  if (opened != NULL)
    closedir(opened);
  free(path);
}

static int compare(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

tree tree_read(const char *folder) {
  tree paths = {0};
  add_children(&paths, folder, "");
  if (paths.count > 1)
    qsort(paths.paths, paths.count, sizeof(*paths.paths), compare);
  return paths;
}

void tree_keep_files(tree *paths) {
  size_t kept = 0;
  for (size_t i = 0; i < paths->count; i++) {
    if (paths->paths[i][strlen(paths->paths[i]) - 1] == '/')
      free(paths->paths[i]);
    else
      paths->paths[kept++] = paths->paths[i];
  }
  paths->count = kept;
}

void tree_free(tree *paths) {
  for (size_t i = 0; i < paths->count; i++)
    free(paths->paths[i]);
  free(paths->paths);
  *paths = (tree){0};
}

const char *tree_first_other(const tree *paths, const tree *allowed) {
  for (size_t i = 0; i < paths->count; i++)
    if (allowed->count == 0 ||
        bsearch(&paths->paths[i], allowed->paths, allowed->count, sizeof(*allowed->paths), compare) == NULL)
      return paths->paths[i];
  return NULL;
}
