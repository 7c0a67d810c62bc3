/*
 * Both forms are made of one list of figures, each with the section that it belongs to, its name in JSON and its label in the
 * text; and of one list of columns for the shards.
 */
#include "query/explain.h"

#include "base/error.h"
#include "base/json_writer.h"

#include <stdio.h>
#include <string.h>

typedef enum unit { COUNT, MICROSECONDS } unit; /* shown as milliseconds */

typedef struct figure {
  const char *section;
  const char *name;
  const char *label;
  unit unit;
  uint64_t value;
} figure;

enum { MAX_FIGURES = 32, NUMBER_SIZE = 32, MAX_SHOWN_SHARDS = 32, LABEL_WIDTH = 48, NUMBER_WIDTH = 14 };

typedef struct figures {
  figure items[MAX_FIGURES];
  size_t count;
} figures;

static void add(figures *to, const char *section, const char *name, const char *label, uint64_t value) {
  to->items[to->count++] = (figure){.section = section, .name = name, .label = label, .value = value};
}

static void add_time(figures *to, const char *name, const char *label, uint64_t from, uint64_t until) {
  uint64_t nanoseconds = from != 0 && until > from ? until - from : 0;
  to->items[to->count++] =
      (figure){.section = "ms", .name = name, .label = label, .unit = MICROSECONDS, .value = nanoseconds / 1000};
}

static void add_rows(figures *to, const sf_search_account *account) {
  const sf_scan_account *scan = &account->scan;
  add(to, "rows", "in_shards", "in the shards", account->num_rows);
  if (account->filter != NULL)
    add(to, "rows", "matching", "that match the filter", account->num_matching);
  add(to, "rows", "planned", "planned to be scanned", scan->num_planned);
  if (account->filter != NULL)
    add(to, "rows", "filtered", "left out by the filter in the scan", scan->num_filtered);
  add(to, "rows", "compared_2bit", "compared by 2-bit vectors", scan->num_2bit);
  add(to, "rows", "compared_4bit", "compared by 4-bit vectors", scan->num_4bit);
  add(to, "rows", "compared_float32", "compared in float32", scan->num_float32);
  add(to, "rows", "scored", "scored in float64", scan->num_scored);
  add(to, "rows", "results", "in the response", account->num_results);
}

static void add_filter(figures *to, const sf_search_account *account) {
  if (account->filter == NULL)
    return;
  add(to, "filter", "known_bitmaps", "bitmaps that earlier searches left", account->num_known_bitmaps);
  add(to, "filter", "new_bitmaps", "bitmaps that were made", account->num_new_bitmaps);
  add(to, "filter", "decoded_columns", "columns that were decoded for them", account->num_columns);
}

static void add_lists(figures *to, const sf_search_account *account) {
  if (account->num_lists == 0)
    return;
  add(to, "lists", "read", "lists that were read", account->num_lists_read);
  add(to, "lists", "in_shards", "of all in the shards", account->num_lists);
}

static void add_work(figures *to, const sf_search_account *account) {
  add(to, "work", "loaded_shards", "shards that had to be loaded", account->num_loaded);
  add(to, "work", "tasks", "tasks", account->num_tasks);
  add(to, "work", "shared_tasks", "tasks shared with other searches", account->num_shared_tasks);
  add(to, "work", "threads", "threads at once", account->num_threads);
  if (!account->has_traffic)
    return;
  add(to, "fetched", "requests", "requests of the reader meanwhile", account->traffic.num_requests);
  add(to, "fetched", "bytes", "bytes", account->traffic.num_bytes);
}

static void add_times(figures *to, const sf_search_times *times) {
  add_time(to, "route", "checking and routing the request", times->started, times->begun);
  add_time(to, "load", "until the last shard was loaded", times->begun, times->loaded);
  add_time(to, "filter", "waiting for bitmaps", times->filtering, times->filtered);
  add_time(to, "scan", "scanning, or looking up ids", times->scanning, times->scanned);
  add_time(to, "results", "reading the results", times->scanned, times->ended);
  add_time(to, "total", "in all", times->started, times->ended);
}

static figures list_figures(const sf_search_account *account) {
  figures listed = {.count = 0};
  add_rows(&listed, account);
  add_filter(&listed, account);
  add_lists(&listed, account);
  add_work(&listed, account);
  add_times(&listed, &account->times);
  return listed;
}

/* The columns of a line for a shard. */
static figures list_columns(const sf_shard_account *shard, uint32_t shard_id, bool has_filter) {
  const sf_scan_account *scan = &shard->scan;
  figures listed = {.count = 0};
  add(&listed, "", "shard_id", "shard", shard_id);
  add(&listed, "", "in_shards", "rows", shard->num_rows);
  if (has_filter)
    add(&listed, "", "matching", "matching", shard->num_matching);
  add(&listed, "", "planned", "planned", scan->num_planned);
  if (has_filter)
    add(&listed, "", "filtered", "filtered", scan->num_filtered);
  add(&listed, "", "compared_2bit", "2-bit", scan->num_2bit);
  add(&listed, "", "compared_4bit", "4-bit", scan->num_4bit);
  add(&listed, "", "compared_float32", "float32", scan->num_float32);
  add(&listed, "", "scored", "float64", scan->num_scored);
  add(&listed, "", "tasks", "tasks", shard->num_tasks);
  add_time(&listed, "load_ms", "load ms", shard->started, shard->acquired);
  if (has_filter)
    add_time(&listed, "filter_ms", "filter ms", shard->acquired, shard->filtered);
  add_time(&listed, "scan_ms", "scan ms", shard->filtered != 0 ? shard->filtered : shard->acquired, shard->finished);
  return listed;
}

static void format_number(const figure *of, char text[NUMBER_SIZE]) {
  unsigned long long value = of->value;
  if (of->unit == MICROSECONDS) /* without printf's decimal point, which is the locale's */
    snprintf(text, NUMBER_SIZE, "%llu.%03llu", value / 1000, value % 1000);
  else
    snprintf(text, NUMBER_SIZE, "%llu", value);
}

static const char *reason_name(sf_route_reason reason) {
  static const char *const names[] = {
      [SF_ROUTED_TO_ALL] = "all",
      [SF_ROUTED_BY_PROBES] = "num_probes",
      [SF_ROUTED_BY_CONTEXT] = "routing_context",
      [SF_ROUTED_BY_REQUEST] = "shard_ids",
  };
  return names[reason];
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

static void write_figure(sf_json_writer *writer, const figure *written) {
  char number[NUMBER_SIZE];
  format_number(written, number);
  sf_json_write_json(writer, written->name, number);
}

static bool append_ids(sf_buffer *list, const sf_search_account *account) {
  bool appended = sf_buffer_append_text(list, "[");
  for (uint32_t i = 0; i < account->num_shards && appended; i++)
    appended = sf_buffer_append_format(list, "%s%u", i == 0 ? "" : ",", (unsigned)account->shard_ids[i]);
  return appended && sf_buffer_append_text(list, "]");
}

static bool append_shards(sf_buffer *list, const sf_search_account *account) {
  bool appended = sf_buffer_append_text(list, "[");
  for (uint32_t i = 0; i < account->num_shards && appended; i++) {
    figures columns = list_columns(&account->shards[i], account->shard_ids[i], account->filter != NULL);
    sf_json_writer writer;
    sf_json_writer_begin(&writer);
    for (size_t j = 0; j < columns.count; j++)
      write_figure(&writer, &columns.items[j]);
    appended = (i == 0 || sf_buffer_append_text(list, ",")) && appended;
    appended = sf_json_writer_end(&writer, "account of a shard", list, NULL) == SF_OK && appended;
  }
  return appended && sf_buffer_append_text(list, "]");
}

/* A member whose value is a list that `append` makes. */
static void write_list(sf_json_writer *writer, const char *name, const sf_search_account *account,
                       bool (*append)(sf_buffer *list, const sf_search_account *account)) {
  sf_buffer list = {0};
  if (append(&list, account))
    sf_json_write_json(writer, name, (const char *)list.data);
  else
    writer->is_out_of_memory = true;
  sf_buffer_free(&list);
}

static void write_route(sf_json_writer *writer, const sf_search_account *account) {
  sf_json_write_begin(writer, "route");
  sf_json_write_text(writer, "strategy", sf_sharding_strategy_name(account->strategy));
  sf_json_write_text(writer, "reason", reason_name(account->route.reason));
  if (account->route.reason == SF_ROUTED_BY_PROBES)
    sf_json_write_integer(writer, "num_probes", account->route.num_probes);
  sf_json_write_integer(writer, "num_dbs", account->num_dbs);
  write_list(writer, "shard_ids", account, append_ids);
  sf_json_write_end(writer);
}

/* Figures of one section follow each other. */
static void write_sections(sf_json_writer *writer, const sf_search_account *account, const figures *written) {
  const char *section = "";
  for (size_t i = 0; i < written->count; i++) {
    const figure *next = &written->items[i];
    if (strcmp(next->section, section) != 0) {
      if (i > 0)
        sf_json_write_end(writer);
      section = next->section;
      sf_json_write_begin(writer, section);
      if (strcmp(section, "filter") == 0)
        sf_json_write_text(writer, "expression", sf_filter_expression(account->filter));
    }
    write_figure(writer, next);
  }
  sf_json_write_end(writer);
}

char *sf_explain_as_json(const sf_search_account *account) {
  figures listed = list_figures(account);
  sf_json_writer writer;
  sf_buffer text = {0};
  sf_json_writer_begin(&writer);
  write_route(&writer, account);
  write_sections(&writer, account, &listed);
  if (account->shards != NULL)
    write_list(&writer, "shards", account, append_shards);
  if (sf_json_writer_end(&writer, "account of a search", &text, NULL) == SF_OK)
    return (char *)text.data;
  sf_buffer_free(&text);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------------------- Text */

static bool append_route(sf_buffer *text, const sf_search_account *account) {
  char probes[NUMBER_SIZE] = "";
  if (account->route.reason == SF_ROUTED_BY_PROBES)
    snprintf(probes, sizeof(probes), " %lld", (long long)account->route.num_probes);
  bool appended = sf_buffer_append_format(
      text, "route    %s by %s%s: %u of %u shards:", sf_sharding_strategy_name(account->strategy),
      reason_name(account->route.reason), probes, (unsigned)account->num_shards, (unsigned)account->num_dbs);
  for (uint32_t i = 0; i < account->num_shards && i < MAX_SHOWN_SHARDS && appended; i++)
    appended = sf_buffer_append_format(text, " %u", (unsigned)account->shard_ids[i]);
  return appended && sf_buffer_append_text(text, account->num_shards > MAX_SHOWN_SHARDS ? " ...\n" : "\n");
}

static bool append_figure(sf_buffer *text, const figure *appended, bool is_first) {
  char number[NUMBER_SIZE];
  format_number(appended, number);
  return sf_buffer_append_format(text, "%-8s %-*s %*s\n", is_first ? appended->section : "", LABEL_WIDTH,
                                 appended->label, NUMBER_WIDTH, number);
}

/* A line of column labels, or of their values. */
static bool append_columns(sf_buffer *text, const figures *columns, bool is_head) {
  bool appended = true;
  for (size_t i = 0; i < columns->count && appended; i++) {
    char number[NUMBER_SIZE];
    format_number(&columns->items[i], number);
    appended = sf_buffer_append_format(text, i == 0 ? "%-8s" : " %10s", is_head ? columns->items[i].label : number);
  }
  return appended && sf_buffer_append_text(text, "\n");
}

static bool append_table(sf_buffer *text, const sf_search_account *account) {
  bool appended = true;
  for (uint32_t i = 0; account->shards != NULL && i < account->num_shards && appended; i++) {
    figures columns = list_columns(&account->shards[i], account->shard_ids[i], account->filter != NULL);
    appended = (i > 0 || append_columns(text, &columns, true)) && append_columns(text, &columns, false);
  }
  return appended;
}

/* On one line, and without what a terminal would interpret. */
static bool append_filter(sf_buffer *text, const char *expression) {
  char *shown = sf_strdup(expression);
  if (shown == NULL)
    return false;
  sf_replace_unprintable(shown);
  for (char *next = shown; *next != '\0'; next++)
    if (*next == '\n' || *next == '\t')
      *next = ' ';
  bool appended = sf_buffer_append_format(text, "where    %s\n", shown);
  free(shown);
  return appended;
}

char *sf_explain_as_text(const sf_search_account *account) {
  figures listed = list_figures(account);
  sf_buffer text = {0};
  bool appended = append_route(&text, account);
  if (appended && account->filter != NULL)
    appended = append_filter(&text, sf_filter_expression(account->filter));
  for (size_t i = 0; i < listed.count && appended; i++) {
    bool is_first = i == 0 || strcmp(listed.items[i].section, listed.items[i - 1].section) != 0;
    appended = append_figure(&text, &listed.items[i], is_first);
  }
  if (appended && append_table(&text, account))
    return (char *)text.data;
  sf_buffer_free(&text);
  return NULL;
}
