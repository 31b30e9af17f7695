/* Tables: any bytes end, every field is a text, every bad row is told.
 *
 * Input: a file. */
#include "fuzz.h"

#include "csv.h"
#include "utf8.h"

#include <string.h>

static void demand_row(const struct csv_row *row)
{
    demand(row->count <= CSV_MAX_FIELDS, "%zu fields", row->count);
    for (size_t i = 0; i < row->count; i++) {
        size_t len = strlen(row->fields[i]);
        demand(len <= CSV_FIELD_MAX_BYTES, "a field of %zu bytes", len);
        for (size_t at = 0; at < len;) {
            uint32_t code;
            size_t n = utf8_next(row->fields[i] + at, len - at, &code);
            demand(n > 0, "no UTF-8 in field %zu", i);
            at += n;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv csv = {0};
    struct csv_row row = {0};
    struct err_text why = {0};
    unsigned line = 0;
    if (csv_open(&csv, (const char *)data, size, &why) != ERR_OK) {
        demand(why.text[0] != '\0', "refused without a word");
        csv_close(&csv);
        return 0;
    }
    for (size_t rows = 0;; rows++) {
        enum err err = csv_next(&csv, &row, &why);
        if (err == ERR_NOT_FOUND) {
            break;
        }
        demand(rows <= size, "more rows than bytes");
        demand(row.line > line, "line %u after line %u", row.line, line);
        line = row.line;
        if (err == ERR_OK) {
            demand_row(&row);
        } else {
            demand(why.text[0] != '\0', "%s without a word", err_name(err));
        }
    }
    csv_close(&csv);
    return 0;
}
