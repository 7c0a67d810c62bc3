/*
 * Writes a sidecar from the database's file in two passes, so that its memory does not grow with the sidecar. The first finds the pages
 * (sidecar_pages.h), and with them the length of each part. The second writes one part after the other into zstd, in the order of the
 * bits that the first has set, which is that of the page numbers; it reads pages and chains from the file again.
 */
#include "formats/sqlite_vec/write_sidecar.h"

#include "base/files.h"
#include "base/memory.h"
#include "formats/sqlite_vec/database_bytes.h"
#include "formats/sqlite_vec/sidecar_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
  VERSION = 8,
  HEAD = 18, /* bytes before the tag */
  MAX_TAG = 255,
  LEVEL = 3,
  GATHERED = 1 << 16, /* bytes that are compressed together */
  CHECK_INTERVAL = 4096,
};

typedef struct sidecar_writer {
  const sf_sidecar_pages *pages;
  const sf_cancellation *cancellation;
  const char *path;
  int descriptor;
  uint64_t position; /* in the file */
  uint64_t body_size;
  ZSTD_CCtx *zstd;
  uint8_t *gathered; /* GATHERED */
  size_t num_gathered;
  uint8_t *compressed;
  size_t compressed_capacity;
  uint8_t *page;
  unsigned num_checks;
} sidecar_writer;

static sf_code fail_zstd(const sidecar_writer *writer, size_t result, sf_error *error) {
  if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
    return sf_fail_memory(error, writer->path);
  return sf_fail(error, SF_ERROR, "%s: can't compress: %s", writer->path, ZSTD_getErrorName(result));
}

static sf_code fail_changed(const sidecar_writer *writer, sf_error *error) {
  return sf_fail(error, SF_ERROR, "%s: expected a database that nothing changes, found it changed",
                 writer->pages->path);
}

static sf_code check_cancelled(sidecar_writer *writer, sf_error *error) {
  return ++writer->num_checks % CHECK_INTERVAL == 0 ? sf_cancellation_check(writer->cancellation, error) : SF_OK;
}

/* ------------------------------------------------------------------------------------------------------------- Output */

static sf_code write_out(sidecar_writer *writer, const void *bytes, size_t length, sf_error *error) {
  SF_TRY(sf_write_at(writer->descriptor, writer->path, bytes, length, writer->position, error));
  writer->position += length;
  return SF_OK;
}

static sf_code compress(sidecar_writer *writer, const uint8_t *bytes, size_t length, ZSTD_EndDirective directive,
                        sf_error *error) {
  ZSTD_inBuffer in = {.src = bytes, .size = length};
  size_t left = 1;
  while (in.pos < in.size || (directive == ZSTD_e_end && left != 0)) {
    ZSTD_outBuffer out = {.dst = writer->compressed, .size = writer->compressed_capacity};
    left = ZSTD_compressStream2(writer->zstd, &out, &in, directive);
    if (ZSTD_isError(left))
      return fail_zstd(writer, left, error);
    SF_TRY(write_out(writer, out.dst, out.pos, error));
  }
  return SF_OK;
}

static sf_code flush(sidecar_writer *writer, sf_error *error) {
  size_t length = writer->num_gathered;
  writer->num_gathered = 0;
  return compress(writer, writer->gathered, length, ZSTD_e_continue, error);
}

static sf_code put_u32(sidecar_writer *writer, uint32_t value, sf_error *error) {
  uint8_t *bytes = writer->gathered + writer->num_gathered;
  for (int i = 0; i < 4; i++)
    bytes[i] = (uint8_t)(value >> 8 * i);
  writer->num_gathered += 4;
  return writer->num_gathered < GATHERED ? SF_OK : flush(writer, error);
}

/* ------------------------------------------------------------------------------------------------------------- Chains */

/* Called with each page of each chain, in the order of the heads, and with page 0 after a chain's last. `count` is the number of pages
 * so far. */
typedef sf_code (*chain_callback)(sidecar_writer *writer, uint32_t number, uint32_t count, sf_error *error);

static sf_code walk_chains(sidecar_writer *writer, chain_callback callback, sf_error *error) {
  const sf_sidecar_pages *pages = writer->pages;
  uint32_t count = 0;
  for (uint32_t head = 1; head <= pages->num_pages; head++) {
    uint32_t next = sf_sidecar_page_is(pages->heads, head) ? head : 0;
    if (next == 0)
      continue;
    while (next != 0) {
      uint8_t bytes[4];
      if (next > pages->num_pages || count == pages->num_chain_pages)
        return fail_changed(writer, error);
      SF_TRY(check_cancelled(writer, error));
      SF_TRY(callback(writer, next, ++count, error));
      SF_TRY(sf_sidecar_pages_read(pages, next, bytes, sizeof(bytes), error));
      next = sf_load_big_u32(bytes);
    }
    SF_TRY(callback(writer, 0, count, error));
  }
  return count == pages->num_chain_pages ? SF_OK : fail_changed(writer, error);
}

static sf_code put_end_of_chain(sidecar_writer *writer, uint32_t number, uint32_t count, sf_error *error) {
  return number == 0 ? put_u32(writer, count, error) : SF_OK;
}

static sf_code put_page_of_chain(sidecar_writer *writer, uint32_t number, uint32_t count, sf_error *error) {
  (void)count;
  return number != 0 ? put_u32(writer, number, error) : SF_OK;
}

static sf_code put_numbers(sidecar_writer *writer, const uint8_t *bits, sf_error *error) {
  for (uint32_t number = 1; number <= writer->pages->num_pages; number++)
    if (sf_sidecar_page_is(bits, number))
      SF_TRY(put_u32(writer, number, error));
  return SF_OK;
}

static sf_code put_chains(sidecar_writer *writer, sf_error *error) {
  SF_TRY(put_u32(writer, writer->pages->num_heads, error));
  SF_TRY(put_numbers(writer, writer->pages->heads, error));
  SF_TRY(put_u32(writer, 0, error));
  SF_TRY(walk_chains(writer, put_end_of_chain, error));
  return walk_chains(writer, put_page_of_chain, error);
}

/* -------------------------------------------------------------------------------------------------------------- Pages */

static sf_code put_offsets(sidecar_writer *writer, sf_error *error) {
  const sf_sidecar_pages *pages = writer->pages;
  uint64_t offset = 0;
  uint32_t begin;
  uint32_t end;
  SF_TRY(put_u32(writer, 0, error));
  for (uint32_t number = 1; number <= pages->num_pages; number++) {
    uint8_t header[SF_SIDECAR_PAGE_HEADER];
    if (!sf_sidecar_page_is(pages->kept, number))
      continue;
    SF_TRY(check_cancelled(writer, error));
    SF_TRY(sf_sidecar_pages_read(pages, number, header, sizeof(header), error));
    SF_TRY(sf_sidecar_page_gap(pages, number, header, &begin, &end, error));
    offset += pages->page_size - (end - begin);
    SF_TRY(put_u32(writer, (uint32_t)offset, error));
  }
  return offset == pages->num_kept_bytes ? SF_OK : fail_changed(writer, error);
}

static sf_code put_pages(sidecar_writer *writer, sf_error *error) {
  const sf_sidecar_pages *pages = writer->pages;
  uint64_t written = 0;
  uint32_t begin;
  uint32_t end;
  for (uint32_t number = 1; number <= pages->num_pages; number++) {
    if (!sf_sidecar_page_is(pages->kept, number))
      continue;
    SF_TRY(check_cancelled(writer, error));
    SF_TRY(sf_sidecar_pages_read(pages, number, writer->page, pages->page_size, error));
    SF_TRY(sf_sidecar_page_gap(pages, number, writer->page, &begin, &end, error));
    SF_TRY(compress(writer, writer->page, begin, ZSTD_e_continue, error));
    SF_TRY(compress(writer, writer->page + end, pages->page_size - end, ZSTD_e_continue, error));
    written += pages->page_size - (end - begin);
  }
  return written == pages->num_kept_bytes ? SF_OK : fail_changed(writer, error);
}

/* --------------------------------------------------------------------------------------------------------------- Body */

static sf_code measure_body(sidecar_writer *writer, sf_error *error) {
  const sf_sidecar_pages *pages = writer->pages;
  if (pages->num_kept_bytes > UINT32_MAX)
    return sf_fail(error, SF_ERROR, "%s: expected at most %" PRIu32 " bytes of pages, found %" PRIu64, writer->path,
                   UINT32_MAX, pages->num_kept_bytes);
  uint64_t numbers = 4 + 2 * ((uint64_t)pages->num_kept + pages->num_heads) + pages->num_chain_pages;
  writer->body_size = 4 * numbers + pages->num_kept_bytes;
  return SF_OK;
}

static sf_code put_head(sidecar_writer *writer, const char *tag, sf_error *error) {
  uint8_t head[HEAD + MAX_TAG] = "SQPC";
  size_t tag_length = strlen(tag) <= MAX_TAG ? strlen(tag) : 0;
  head[4] = VERSION;
  for (int i = 0; i < 8; i++)
    head[5 + i] = (uint8_t)(writer->body_size >> 8 * i);
  for (int i = 0; i < 4; i++)
    head[13 + i] = (uint8_t)(writer->pages->page_size >> 8 * i);
  head[17] = (uint8_t)tag_length;
  memcpy(head + HEAD, tag, tag_length);
  return write_out(writer, head, HEAD + tag_length, error);
}

/* Readers need to know the body's size beforehand, and that it arrived whole. */
static sf_code begin_frame(sidecar_writer *writer, sf_error *error) {
  writer->zstd = ZSTD_createCCtx();
  writer->compressed_capacity = ZSTD_CStreamOutSize();
  writer->compressed = sf_calloc(writer->compressed_capacity, 1);
  writer->gathered = sf_calloc(GATHERED, 1);
  writer->page = sf_calloc(writer->pages->page_size, 1);
  if (writer->zstd == NULL || writer->compressed == NULL || writer->gathered == NULL || writer->page == NULL)
    return sf_fail_memory(error, writer->path);
  size_t result = ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, LEVEL);
  if (!ZSTD_isError(result))
    result = ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_checksumFlag, 1);
  if (!ZSTD_isError(result))
    result = ZSTD_CCtx_setPledgedSrcSize(writer->zstd, writer->body_size);
  return ZSTD_isError(result) ? fail_zstd(writer, result, error) : SF_OK;
}

static sf_code put_body(sidecar_writer *writer, sf_error *error) {
  SF_TRY(begin_frame(writer, error));
  SF_TRY(put_u32(writer, writer->pages->num_kept, error));
  SF_TRY(put_numbers(writer, writer->pages->kept, error));
  SF_TRY(put_offsets(writer, error));
  SF_TRY(put_chains(writer, error));
  SF_TRY(flush(writer, error));
  SF_TRY(put_pages(writer, error));
  return compress(writer, NULL, 0, ZSTD_e_end, error);
}

static sf_code write_file(sidecar_writer *writer, const char *tag, sf_error *error) {
  writer->descriptor = open(writer->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (writer->descriptor < 0)
    return sf_fail_errno(error, "open", writer->path, errno);
  SF_TRY(measure_body(writer, error));
  SF_TRY(put_head(writer, tag, error));
  SF_TRY(put_body(writer, error));
  if (fsync(writer->descriptor) != 0)
    return sf_fail_errno(error, "sync", writer->path, errno);
  return SF_OK;
}

static sf_code write_of(const sf_sidecar_pages *pages, const char *path, const char *tag,
                        const sf_cancellation *cancellation, sf_error *error) {
  sidecar_writer writer = {.pages = pages, .cancellation = cancellation, .path = path, .descriptor = -1};
  sf_code code = write_file(&writer, tag, error);
  if (writer.descriptor >= 0)
    close(writer.descriptor);
  ZSTD_freeCCtx(writer.zstd);
  free(writer.compressed);
  free(writer.gathered);
  free(writer.page);
  return code;
}

static sf_code write_sidecar(const char *directory, const char *tag, const sf_cancellation *cancellation, bool *written,
                             sf_error *error) {
  char *database = sf_format("%s/%s", directory, sf_sqlite_vec_sidecar.of);
  char *path = sf_format("%s/%s", directory, sf_sqlite_vec_sidecar.name);
  sf_sidecar_pages pages = {.descriptor = -1};
  sf_code code = database == NULL || path == NULL ? sf_fail_memory(error, "path of a sidecar")
                                                  : sf_sidecar_pages_find(database, cancellation, &pages, error);
  *written = code == SF_OK && !pages.is_reserving;
  if (*written)
    code = write_of(&pages, path, tag, cancellation, error);
  sf_sidecar_pages_free(&pages);
  free(database);
  free(path);
  return code;
}

const sf_shard_sidecar sf_sqlite_vec_sidecar = {.of = "shard.db", .name = "shard.sidecar", .write = write_sidecar};
