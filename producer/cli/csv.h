/* Tables as Access and Excel export them: RFC 4180 with the liberties that these take.
 *
 * Separator: comma, semicolon or tab, the one that the first line has most of, or what a line
 * "sep=;" says. Encoding: UTF-8 with or without a BOM, UTF-16 with a BOM, else Windows-1252. A
 * field in quotes may hold separators, line breaks and doubled quotes. Lines end with CR LF, LF
 * or CR. Empty lines are skipped. */
#ifndef TPN_CSV_H
#define TPN_CSV_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    CSV_MAX_BYTES = 64 * 1024 * 1024, /* of a file, as UTF-8 */
    CSV_MAX_FIELDS = 256,             /* of a row */
    CSV_FIELD_MAX_BYTES = 64 * 1024
};

/* A table in memory. csv_open, then csv_next until it says ERR_NOT_FOUND, then csv_close. */
struct csv {
    char *text; /* UTF-8, taken apart in place */
    size_t len;
    size_t at;
    char separator;
    unsigned line; /* of the next byte, from 1 */
};

/* One row. Fields are UTF-8 texts without blanks around them, borrowed until csv_close. */
struct csv_row {
    unsigned line; /* where it starts */
    size_t count;
    const char *fields[CSV_MAX_FIELDS];
};

/* Take the bytes of a file (copied). ERR_INVALID: no encoding fits, or there is nothing in it;
 * ERR_LIMIT: too large. */
enum err csv_open(struct csv *csv, const char *data, size_t len,
                  struct err_text *why) NODISCARD;
void csv_close(struct csv *csv); /* accepts an empty one */

/* The next row. ERR_NOT_FOUND at the end. ERR_INVALID or ERR_LIMIT: this row is bad, why says
 * the rule; row->line is set and the next call goes on behind it. */
enum err csv_next(struct csv *csv, struct csv_row *row, struct err_text *why) NODISCARD;

#endif
