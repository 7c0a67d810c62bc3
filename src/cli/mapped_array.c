#include "cli/mapped_array.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static sf_code fail(sf_error *error, const char *path) {
  return sf_fail(error, sf_errno_code(errno, SF_ERROR), "%s: %s", path, strerror(errno));
}

static sf_code map_file(const char *path, int descriptor, sf_cli_mapped_array *array, sf_error *error) {
  struct stat status;
  if (fstat(descriptor, &status) != 0)
    return fail(error, path);
  if (!S_ISREG(status.st_mode))
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected a regular file", path);
  if (status.st_size == 0)
    return sf_fail(error, SF_CONFIG_VALIDATION_ERROR, "%s: expected a .npy file, found nothing in it", path);
  void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (bytes == MAP_FAILED)
    return fail(error, path);
  *array = (sf_cli_mapped_array){.bytes = bytes, .length = (size_t)status.st_size};
  return SF_OK;
}

sf_code sf_cli_map_array(const char *path, sf_cli_mapped_array *array, sf_error *error) {
  *array = (sf_cli_mapped_array){0};
  int descriptor = sf_open_named_file(path);
  if (descriptor < 0)
    return fail(error, path);
  sf_code code = map_file(path, descriptor, array, error);
  close(descriptor);
  if (code != SF_OK)
    return code;
  code = sf_npy_parse_layout(array->bytes, array->length, path, &array->layout, error);
  array->elements = (const uint8_t *)array->bytes + array->layout.offset;
  if (code != SF_OK)
    sf_cli_unmap_array(array);
  /* To the parser a misshapen file is a broken snapshot; here it is what the user gave. */
  return code == SF_READER_STATE_ERROR ? sf_error_recode(error, SF_CONFIG_VALIDATION_ERROR) : code;
}

void sf_cli_unmap_array(sf_cli_mapped_array *array) {
  if (array->bytes != NULL)
    munmap(array->bytes, array->length);
  *array = (sf_cli_mapped_array){0};
}

static size_t page_start(size_t offset) {
  return offset / (size_t)sysconf(_SC_PAGESIZE) * (size_t)sysconf(_SC_PAGESIZE);
}

void sf_cli_mapped_array_fetch(const sf_cli_mapped_array *array, size_t first, size_t count) {
  size_t size = array->layout.type.size;
  size_t begin = page_start(array->layout.offset + first * size);
  size_t end = array->layout.offset + (first + count) * size;
  if (end > array->length)
    end = array->length;
  if (begin < end)
    (void)madvise((char *)array->bytes + begin, end - begin, MADV_WILLNEED);
}

void sf_cli_mapped_array_release(sf_cli_mapped_array *array, size_t end) {
  size_t to = page_start(array->layout.offset + end * array->layout.type.size);
  if (to <= array->released)
    return;
  (void)madvise((char *)array->bytes + array->released, to - array->released, MADV_DONTNEED);
  array->released = to;
}

void sf_cli_mapped_array_release_all(sf_cli_mapped_array *array) {
  (void)madvise(array->bytes, array->length, MADV_DONTNEED);
}

bool sf_cli_mapped_integer(const sf_cli_mapped_array *array, size_t index, int64_t *value) {
  return sf_npy_integer(array->layout.type, array->elements + index * array->layout.type.size, value);
}
