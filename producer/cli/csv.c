/* Tables as Access and Excel export them.
 *
 * Reads bytes; what a column means is due.c's business. The text is made UTF-8 once, then taken
 * apart in place: a field is never longer than its source, so ends and unescaped quotes can be
 * written over it.
 *
 * Invariants: csv->at only rises, so every file ends; a bad row costs that row only, unless its
 * quote is never closed, which makes the rest of the file that one bad row. Source: RFC 4180;
 * "sep=" is Excel's own. */
#include "csv.h"

#include "buf.h"
#include "utf8.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- encoding ---- */

/* Convert all of it. ERR_INVALID when the bytes are not of that encoding. */
static enum err convert(const char *from, const char *data, size_t len, struct buf *out)
{
    enum { ROOM = 16384 };
    iconv_t state = iconv_open("UTF-8", from);
    /* iconv(3) gives -1 as a pointer for "no such conversion". */
    if (state == (iconv_t)-1) { // NOLINT(performance-no-int-to-ptr)
        return ERR_INVALID;
    }
    char *in = (char *)(uintptr_t)data; /* iconv takes no const, and changes nothing */
    size_t left = len;
    enum err err = ERR_OK;
    while (left > 0 && err == ERR_OK) {
        err = buf_reserve(out, ROOM);
        if (err != ERR_OK) {
            break;
        }
        char *to = out->data + out->len;
        size_t room = ROOM;
        size_t done = iconv(state, &in, &left, &to, &room);
        int saved = errno;
        out->len += ROOM - room;
        out->data[out->len] = '\0';
        if (done == (size_t)-1 && saved != E2BIG) {
            err = ERR_INVALID;
        }
    }
    (void)iconv_close(state);
    return err;
}

static bool starts_with(const char *data, size_t len, const char *bytes, size_t count)
{
    return len >= count && memcmp(data, bytes, count) == 0;
}

static enum err to_utf8(const char *data, size_t len, struct buf *out, struct err_text *why)
{
    enum err err = ERR_OK;
    if (starts_with(data, len, "\xFF\xFE", 2) || starts_with(data, len, "\xFE\xFF", 2)) {
        err = convert("UTF-16", data, len, out);
    } else if (utf8_check(data, len) == len) {
        size_t bom = starts_with(data, len, "\xEF\xBB\xBF", 3) ? 3 : 0;
        buf_add(out, data + bom, len - bom);
        err = buf_status(out);
    } else {
        err = convert("WINDOWS-1252", data, len, out);
    }
    if (err == ERR_LIMIT) {
        return err_set(why, ERR_LIMIT, "the file is larger than %d MiB", CSV_MAX_BYTES >> 20);
    }
    if (err != ERR_OK) {
        return err_set(why, ERR_INVALID, "the file is neither UTF-8 nor Windows-1252");
    }
    if (memchr(buf_text(out), '\0', out->len) != NULL) {
        return err_set(why, ERR_INVALID,
                       "the file has NUL bytes: it is no text; export it as CSV");
    }
    return ERR_OK;
}

/* ---- separator ---- */

/* How often c stands in the first line, outside of quotes. */
static size_t count_in_first_line(const struct csv *csv, char c)
{
    bool quoted = false;
    size_t count = 0;
    for (size_t i = 0; i < csv->len; i++) {
        char at = csv->text[i];
        /* A quote opens only where a field starts: 3" pipe is no quoted field. */
        if (at == '"' && (quoted || i == 0 || strchr(",;\t ", csv->text[i - 1]) != NULL)) {
            quoted = !quoted;
        } else if (!quoted && (at == '\r' || at == '\n')) {
            if (count > 0 || i > 0) {
                break;
            }
        } else if (!quoted && at == c) {
            count++;
        }
    }
    return count;
}

/* Go over a line end at csv->at, if there is one. */
static bool skip_line_end(struct csv *csv)
{
    if (csv->at >= csv->len || (csv->text[csv->at] != '\r' && csv->text[csv->at] != '\n')) {
        return false;
    }
    bool pair =
        csv->text[csv->at] == '\r' && csv->at + 1 < csv->len && csv->text[csv->at + 1] == '\n';
    csv->at += pair ? 2 : 1;
    csv->line++;
    return true;
}

/* A first line "sep=;". Anything but one mark of ASCII, a blank or a tab behind it is data: half a
 * character of UTF-8, a letter or a quote would take the fields apart in the wrong places. */
static bool names_separator(const struct csv *csv)
{
    static const char marks[] = ",;:|\t !#$%&'*+/<=>?@^_`~.-";
    const char *text = csv->text;
    return csv->len >= 5 && strncasecmp(text, "sep=", 4) == 0 && text[4] != '\0' &&
           strchr(marks, text[4]) != NULL &&
           (text[5] == '\r' || text[5] == '\n' || text[5] == '\0');
}

static void find_separator(struct csv *csv)
{
    static const char candidates[] = ",;\t";
    size_t best = 0;
    csv->separator = ',';
    if (names_separator(csv)) {
        csv->separator = csv->text[4];
        csv->at = 5;
        (void)skip_line_end(csv);
        return;
    }
    for (const char *c = candidates; *c != '\0'; c++) {
        size_t count = count_in_first_line(csv, *c);
        if (count > best) {
            best = count;
            csv->separator = *c;
        }
    }
}

enum err csv_open(struct csv *csv, const char *data, size_t len, struct err_text *why)
{
    struct buf text;
    *csv = (struct csv){.line = 1};
    buf_init(&text, CSV_MAX_BYTES);
    enum err err = to_utf8(data, len, &text, why);
    if (err == ERR_OK && text.len == 0) {
        err = err_set(why, ERR_INVALID, "the file is empty");
    }
    if (err != ERR_OK) {
        buf_fini(&text);
        return err;
    }
    csv->len = text.len;
    csv->text = buf_take(&text);
    find_separator(csv);
    return ERR_OK;
}

void csv_close(struct csv *csv)
{
    free(csv->text);
    *csv = (struct csv){0};
}

/* ---- rows ---- */

/* Go on behind the line in which csv->at stands. */
static void skip_line(struct csv *csv)
{
    while (csv->at < csv->len && !skip_line_end(csv)) {
        csv->at++;
    }
}

/* csv->at stands behind the opening quote; on return behind the closing one. end: where the
 * unescaped text ends. */
static enum err read_quoted(struct csv *csv, char **end, struct err_text *why)
{
    unsigned opened = csv->line;
    char *to = csv->text + csv->at;
    while (csv->at < csv->len) {
        char c = csv->text[csv->at];
        if (c == '"' && csv->at + 1 < csv->len && csv->text[csv->at + 1] == '"') {
            csv->at++; /* a doubled quote is one */
        } else if (c == '"') {
            csv->at++;
            *end = to;
            return ERR_OK;
        } else if (c == '\n' || (c == '\r' && csv->text[csv->at + 1] != '\n')) {
            csv->line++; /* the text ends with a NUL, so a look at the next byte is in bounds */
        }
        csv->at++;
        *to++ = c;
    }
    return err_set(why, ERR_INVALID, "the quote opened in line %u is never closed", opened);
}

static bool field_ends(const struct csv *csv)
{
    if (csv->at >= csv->len) {
        return true;
    }
    char c = csv->text[csv->at];
    return c == csv->separator || c == '\r' || c == '\n';
}

static const char *trim(char *start, char *end)
{
    while (end > start &&
           (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n')) {
        end--;
    }
    *end = '\0';
    while (*start == ' ' || *start == '\t' || *start == '\r' || *start == '\n') {
        start++;
    }
    return start;
}

/* One field; csv->at then stands on what ended it. *start and *end enclose it: the end is not
 * yet written, for it may be the separator that has to be looked at. */
static enum err read_field(struct csv *csv, char **start, char **end, struct err_text *why)
{
    while (csv->at < csv->len && csv->text[csv->at] == ' ') {
        csv->at++;
    }
    *start = csv->text + csv->at;
    if (csv->at < csv->len && csv->text[csv->at] == '"') {
        csv->at++;
        *start = csv->text + csv->at;
        enum err err = read_quoted(csv, end, why);
        if (err != ERR_OK) {
            return err;
        }
        while (csv->at < csv->len && csv->text[csv->at] == ' ' && csv->separator != ' ') {
            csv->at++;
        }
        if (!field_ends(csv)) {
            return err_set(why, ERR_INVALID,
                           "text behind a closing quote; a quote inside quotes is doubled");
        }
        return ERR_OK;
    }
    while (!field_ends(csv)) {
        csv->at++;
    }
    *end = csv->text + csv->at;
    return ERR_OK;
}

/* True when a further field follows. The byte that ended the field is read before it is
 * overwritten. */
static bool end_field(struct csv *csv, struct csv_row *row, char *start, char *end)
{
    bool more = csv->at < csv->len && csv->text[csv->at] == csv->separator;
    if (more) {
        csv->at++;
    } else {
        (void)skip_line_end(csv);
    }
    row->fields[row->count++] = trim(start, end);
    return more;
}

static enum err read_row(struct csv *csv, struct csv_row *row, struct err_text *why)
{
    bool more = true;
    while (more) {
        char *start = csv->text;
        char *end = csv->text;
        enum err err = row->count < CSV_MAX_FIELDS
                           ? read_field(csv, &start, &end, why)
                           : err_set(why, ERR_LIMIT, "more than %d fields", CSV_MAX_FIELDS);
        if (err == ERR_OK && end - start > CSV_FIELD_MAX_BYTES) {
            err = err_set(why, ERR_LIMIT, "field %zu is longer than %d bytes", row->count + 1,
                          CSV_FIELD_MAX_BYTES);
        }
        if (err != ERR_OK) {
            skip_line(csv);
            return err;
        }
        more = end_field(csv, row, start, end);
    }
    return ERR_OK;
}

static bool row_is_empty(const struct csv_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        if (row->fields[i][0] != '\0') {
            return false;
        }
    }
    return true;
}

enum err csv_next(struct csv *csv, struct csv_row *row, struct err_text *why)
{
    while (csv->at < csv->len) {
        row->line = csv->line;
        row->count = 0;
        enum err err = read_row(csv, row, why);
        if (err != ERR_OK || !row_is_empty(row)) {
            return err;
        }
    }
    return ERR_NOT_FOUND;
}
