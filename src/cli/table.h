/* A table of text: columns as wide as their cells, cut to what a terminal shows. */
#ifndef SF_CLI_TABLE_H
#define SF_CLI_TABLE_H

#include "cli/output.h"

#include <stdio.h>

/* The next `num_columns` cells added are the headings. False when memory is out. */
bool sf_cli_table_begin(sf_cli_table *table, size_t num_columns);
/* Takes `cell` (NULL: memory was out), which is free()d with the table. A column whose cells are all numeric is set
 * flush right. */
bool sf_cli_table_add(sf_cli_table *table, char *cell, bool is_numeric);
/* `width` 0: no bound. False, with errno set, when it can't be written. */
bool sf_cli_table_print(const sf_cli_table *table, size_t width, FILE *stream);
void sf_cli_table_free(sf_cli_table *table);

#endif
