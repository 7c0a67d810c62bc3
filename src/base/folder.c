#include "base/folder.h"

#include "base/files.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* All may read, only the owner may write, whatever the umask: files that others can write can't be trusted. */
#define FOLDER_MODE 0755
#define FILE_MODE 0644

/* "can't <action> <folder>/<name>: …" */
static sf_code fail_in(const sf_folder *folder, const char *action, const char *name, int error_number,
                       sf_error *error) {
  char *path = sf_format("%s/%s", folder->path, name);
  sf_code code = sf_fail_errno(error, action, path != NULL ? path : name, error_number);
  free(path);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ Folders */

/* Takes over the descriptor and the path (NULL: memory was out). */
static sf_code take_folder(int descriptor, char *path, sf_folder *folder, sf_error *error) {
  struct stat status;
  sf_code code = SF_OK;
  if (path == NULL)
    code = sf_fail_memory(error, "path of a folder");
  else if (fstat(descriptor, &status) != 0)
    code = sf_fail_errno(error, "look at", path, errno);
  if (code == SF_OK) {
    *folder = (sf_folder){.path = path, .descriptor = descriptor, .owner = status.st_uid};
  } else {
    close(descriptor);
    free(path);
  }
  return code;
}

/* After open or openat failed. For a link that is not followed, Linux has ENOTDIR, other systems ELOOP. */
static sf_code fail_to_open(int parent, const char *name, const char *path, int error_number, bool *found,
                            sf_error *error) {
  struct stat status;
  *found = false;
  if (error_number == ENOENT)
    return SF_OK;
  if ((error_number == ENOTDIR || error_number == ELOOP) && fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
      !S_ISDIR(status.st_mode))
    return sf_fail(error, SF_ERROR, "%s: expected a folder, found %s", path,
                   S_ISLNK(status.st_mode) ? "a symbolic link, which is not followed" : "a file");
  return sf_fail_errno(error, "open the folder", path, error_number);
}

sf_code sf_folder_open(const char *path, bool may_be_link, bool *found, sf_folder *folder, sf_error *error) {
  *folder = (sf_folder)SF_FOLDER_NONE;
  *found = true;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
  bool is_link = may_be_link && descriptor < 0 && (errno == ENOTDIR || errno == ELOOP);
  if (is_link)
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (descriptor < 0)
    return fail_to_open(AT_FDCWD, path, path, errno, found, error);
  sf_code code = take_folder(descriptor, sf_strdup(path), folder, error);
  folder->is_link = is_link;
  return code;
}

sf_code sf_folder_open_in(const sf_folder *parent, const char *name, bool *found, sf_folder *folder, sf_error *error) {
  *folder = (sf_folder)SF_FOLDER_NONE;
  *found = true;
  char *path = sf_format("%s/%s", parent->path, name);
  if (path == NULL)
    return sf_fail_memory(error, "path of a folder");
  int descriptor = openat(parent->descriptor, name, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
  if (descriptor >= 0)
    return take_folder(descriptor, path, folder, error);
  sf_code code = fail_to_open(parent->descriptor, name, path, errno, found, error);
  free(path);
  return code;
}

void sf_folder_close(sf_folder *folder) {
  if (folder->descriptor >= 0)
    close(folder->descriptor);
  free(folder->path);
  *folder = (sf_folder)SF_FOLDER_NONE;
}

sf_code sf_folder_make(const char *path, sf_error *error) {
  return sf_make_folders_as(path, FOLDER_MODE, error);
}

sf_code sf_folder_list(const sf_folder *folder, sf_folder_callback callback, void *user_data, sf_error *error) {
  int descriptor = openat(folder->descriptor, ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  DIR *entries = descriptor < 0 ? NULL : fdopendir(descriptor);
  if (entries == NULL) {
    int failure = errno;
    if (descriptor >= 0)
      close(descriptor);
    return sf_errno_is_exhaustion(failure) ? sf_fail_errno(error, "list", folder->path, failure) : SF_OK;
  }
  bool go_on = true;
  for (const struct dirent *entry; go_on && (entry = readdir(entries)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      go_on = callback(folder, entry->d_name, user_data);
  closedir(entries);
  return SF_OK;
}

void sf_folder_remove(const sf_folder *folder, const char *name) {
  if (unlinkat(folder->descriptor, name, 0) != 0 && errno != ENOENT)
    (void)unlinkat(folder->descriptor, name, AT_REMOVEDIR);
}

/* -------------------------------------------------------------------------------------------------------------- Files */

static bool is_trusted(const sf_folder *folder, const struct stat *status) {
  return S_ISREG(status->st_mode) &&
         (status->st_uid == geteuid() || status->st_uid == 0 || status->st_uid == folder->owner);
}

/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
sf_code sf_folder_open_file(const sf_folder *folder, const char *name, int *descriptor, struct stat *status,
                            sf_error *error) {
  *descriptor = -1;
  int opened = openat(folder->descriptor, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (opened < 0)
    return sf_errno_is_exhaustion(errno) ? fail_in(folder, "open", name, errno, error) : SF_OK;
  if (fstat(opened, status) == 0 && is_trusted(folder, status))
    *descriptor = opened;
  else
    close(opened);
  return SF_OK;
}

sf_code sf_folder_open_lock(const sf_folder *folder, const char *name, int *descriptor, sf_error *error) {
  const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  *descriptor = openat(folder->descriptor, name, flags, FILE_MODE);
  if (*descriptor < 0 && (errno == ELOOP || errno == EMLINK)) {
    (void)unlinkat(folder->descriptor, name, 0);
    *descriptor = openat(folder->descriptor, name, flags, FILE_MODE);
  }
  return *descriptor >= 0 ? SF_OK : fail_in(folder, "open", name, errno, error);
}

sf_code sf_new_file_make(const sf_folder *folder, const char *name, sf_new_file *file, sf_error *error) {
  char *temporary_name = sf_format("%s.tmp", name);
  *file = (sf_new_file)SF_NEW_FILE_NONE;
  if (temporary_name == NULL)
    return sf_fail_memory(error, "name of a file");
  sf_code code = sf_new_file_make_as(folder, name, temporary_name, file, error);
  free(temporary_name);
  return code;
}

sf_code sf_new_file_make_as(const sf_folder *folder, const char *name, const char *temporary_name, sf_new_file *file,
                            sf_error *error) {
  *file = (sf_new_file){.folder = folder,
                        .name = sf_strdup(name),
                        .temporary_name = sf_strdup(temporary_name),
                        .path = sf_format("%s/%s", folder->path, temporary_name),
                        .descriptor = -1};
  sf_code code = SF_OK;
  if (file->name == NULL || file->temporary_name == NULL || file->path == NULL) {
    code = sf_fail_memory(error, "name of a file");
  } else {
    sf_folder_remove(folder, temporary_name);
    file->descriptor =
        openat(folder->descriptor, temporary_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (file->descriptor < 0)
      code = sf_fail_errno(error, "make", file->path, errno);
  }
  if (code != SF_OK)
    sf_new_file_end(file);
  return code;
}

sf_code sf_new_file_publish(sf_new_file *file, sf_error *error) {
  const int folder = file->folder->descriptor;
  if (fsync(file->descriptor) != 0)
    return sf_fail_errno(error, "sync", file->path, errno);
  if (renameat(folder, file->temporary_name, folder, file->name) != 0)
    return fail_in(file->folder, "rename to", file->name, errno, error);
  free(file->temporary_name);
  file->temporary_name = NULL;
  return SF_OK;
}

void sf_new_file_end(sf_new_file *file) {
  if (file->descriptor >= 0 && file->temporary_name != NULL)
    (void)unlinkat(file->folder->descriptor, file->temporary_name, 0);
  if (file->descriptor >= 0)
    close(file->descriptor);
  free(file->name);
  free(file->temporary_name);
  free(file->path);
  *file = (sf_new_file)SF_NEW_FILE_NONE;
}

sf_code sf_folder_put_text(const sf_folder *folder, const char *name, const char *text, sf_error *error) {
  sf_new_file file;
  SF_TRY(sf_new_file_make(folder, name, &file, error));
  sf_code code = sf_write_at(file.descriptor, file.path, text, strlen(text), 0, error);
  if (code == SF_OK)
    code = sf_new_file_publish(&file, error);
  sf_new_file_end(&file);
  return code;
}

sf_code sf_folder_get_text(const sf_folder *folder, const char *name, char *text, size_t size, size_t *length,
                           bool *found, sf_error *error) {
  int descriptor;
  struct stat status;
  *found = false;
  *length = 0;
  SF_TRY(sf_folder_open_file(folder, name, &descriptor, &status, error));
  if (descriptor < 0)
    return SF_OK;
  ssize_t got;
  const size_t wanted = status.st_size < (off_t)size ? (size_t)status.st_size : size - 1;
  while (*length < wanted && (got = pread(descriptor, text + *length, wanted - *length, (off_t)*length)) != 0) {
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      goto done;
    *length += (size_t)got;
  }
  *found = true;
done:
  text[*length] = '\0';
  close(descriptor);
  return SF_OK;
}
