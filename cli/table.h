/* Lists for people (a table) and for scripts (one JSON object per line). */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/command.h"
#include "common/json/json.h"

struct column {
    const char *title;
    const char *path; /* into the object; an array shows its strings with commas */
};

/* `rows` is an array of objects; the last column has no title. */
void table_print(const struct cli *cli, const struct column *columns, const struct json *rows);

/* One object on a line. */
void table_print_json(const struct json *object);

#endif
