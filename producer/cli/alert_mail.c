/* The custodian alert as text and as HTML, from one table of columns.
 *
 * Pure: no clock, no locale, no files, so the same list gives the same bytes; the broker tells
 * a repetition from a conflict by them. HTML is plain enough for every mail program: a table
 * with inline styles, dir=auto for scripts from right to left. */
#include "alert_mail.h"

#include "digest.h"
#include "mem.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_BYTES = 32, ID_HEX_BYTES = 16 };

/* What a cell may need: a text of the item, or room to write one. */
typedef const char *cell_fn(const struct due_item *item, due_day today, char room[CELL_BYTES]);

static const char *cell_asset(const struct due_item *item, due_day today, char room[CELL_BYTES])
{
    (void)today;
    (void)room;
    return item->asset;
}

static const char *cell_description(const struct due_item *item, due_day today,
                                    char room[CELL_BYTES])
{
    (void)today;
    (void)room;
    return item->description;
}

static const char *cell_location(const struct due_item *item, due_day today,
                                 char room[CELL_BYTES])
{
    (void)today;
    (void)room;
    return item->location;
}

static const char *cell_due(const struct due_item *item, due_day today, char room[CELL_BYTES])
{
    (void)today;
    return due_day_text(item->due, room);
}

static const char *cell_overdue(const struct due_item *item, due_day today,
                                char room[CELL_BYTES])
{
    if (item->due < today) {
        (void)snprintf(room, CELL_BYTES, "%" PRId32, today - item->due);
    } else if (item->due == today) {
        (void)snprintf(room, CELL_BYTES, "due today");
    } else {
        (void)snprintf(room, CELL_BYTES, "due in %" PRId32, item->due - today);
    }
    return room;
}

struct column {
    const char *title;
    cell_fn *cell;
};

static const struct column columns[] = {
    {"Asset ID", cell_asset}, {"Description", cell_description}, {"Location", cell_location},
    {"Due date", cell_due},   {"Days overdue", cell_overdue},
};

enum { COLUMNS = sizeof columns / sizeof columns[0] };

const char *alert_mail_id(const struct due_custodian *custodian, due_day today,
                          char out[ALERT_ID_BYTES])
{
    char day[DUE_DAY_BYTES];
    char hex[2 * ID_HEX_BYTES + 1];
    uint8_t digest[DIGEST_BYTES];
    size_t count = 3 + 2 * custodian->count;
    const char **texts = mem_zero(count, sizeof *texts);
    char(*days)[DUE_DAY_BYTES] = mem_zero(custodian->count + 1, sizeof *days);
    (void)due_day_text(today, day);
    texts[0] = "custodian-alert-1"; /* of this way of making ids */
    texts[1] = custodian->address;
    texts[2] = day;
    for (size_t i = 0; i < custodian->count; i++) {
        texts[3 + 2 * i] = custodian->items[i].asset;
        texts[4 + 2 * i] = due_day_text(custodian->items[i].due, days[i]);
    }
    digest_texts(texts, count, digest);
    free(days);
    free(texts);
    (void)snprintf(out, ALERT_ID_BYTES, "alert-%s-%s", day,
                   digest_hex(digest, ID_HEX_BYTES, hex));
    return out;
}

/* ---- subject and sentences ---- */

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

void alert_mail_subject(struct buf *out, const struct due_custodian *custodian,
                        const char *pattern)
{
    static const char items[] = "{items}";
    static const char past_due[] = "{past_due}";
    if (pattern == NULL) {
        buf_add_format(out, "Calibration due: %zu item%s", custodian->count,
                       plural(custodian->count));
        if (custodian->past_due > 0) {
            buf_add_format(out, " (%zu past due)", custodian->past_due);
        }
        return;
    }
    for (const char *at = pattern; *at != '\0';) {
        if (strncmp(at, items, sizeof items - 1) == 0) {
            buf_add_format(out, "%zu", custodian->count);
            at += sizeof items - 1;
        } else if (strncmp(at, past_due, sizeof past_due - 1) == 0) {
            buf_add_format(out, "%zu", custodian->past_due);
            at += sizeof past_due - 1;
        } else {
            buf_add_char(out, *at++);
        }
    }
}

static void add_sentence(struct buf *out, const struct due_custodian *custodian, due_day today)
{
    char day[DUE_DAY_BYTES];
    size_t coming = custodian->count - custodian->past_due;
    buf_add_format(
        out, "%zu item%s in your care %s calibration as of %s: %zu past due, %zu due soon.",
        custodian->count, plural(custodian->count), custodian->count == 1 ? "needs" : "need",
        due_day_text(today, day), custodian->past_due, coming);
}

static const char closing[] =
    "Please arrange the calibration, or tell the calibration office when an entry is wrong.";

/* ---- text ---- */

static void add_padded(struct buf *out, const char *text, size_t width)
{
    buf_add_text(out, text);
    for (size_t used = utf8_columns(text); used < width; used++) {
        buf_add_char(out, ' ');
    }
}

static void measure(const struct due_custodian *custodian, due_day today,
                    size_t widths[COLUMNS])
{
    char room[CELL_BYTES];
    for (size_t c = 0; c < COLUMNS; c++) {
        widths[c] = utf8_columns(columns[c].title);
        for (size_t i = 0; i < custodian->count; i++) {
            size_t width = utf8_columns(columns[c].cell(&custodian->items[i], today, room));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
}

static void add_rule(struct buf *out, const size_t widths[COLUMNS])
{
    for (size_t c = 0; c < COLUMNS; c++) {
        for (size_t i = 0; i < widths[c]; i++) {
            buf_add_char(out, '-');
        }
        buf_add_text(out, c + 1 < COLUMNS ? "  " : "\n");
    }
}

void alert_mail_text(struct buf *out, const struct due_custodian *custodian, due_day today)
{
    size_t widths[COLUMNS] = {0};
    char room[CELL_BYTES];
    measure(custodian, today, widths);
    buf_add_format(out, "Hello%s%s,\n\n", custodian->name[0] != '\0' ? " " : "",
                   custodian->name);
    add_sentence(out, custodian, today);
    buf_add_text(out, "\n\n");
    for (size_t c = 0; c < COLUMNS; c++) {
        add_padded(out, columns[c].title, c + 1 < COLUMNS ? widths[c] + 2 : 0);
    }
    buf_add_char(out, '\n');
    add_rule(out, widths);
    for (size_t i = 0; i < custodian->count; i++) {
        for (size_t c = 0; c < COLUMNS; c++) {
            add_padded(out, columns[c].cell(&custodian->items[i], today, room),
                       c + 1 < COLUMNS ? widths[c] + 2 : 0);
        }
        buf_add_char(out, '\n');
    }
    buf_add_format(out, "\n%s\n", closing);
}

/* ---- HTML ---- */

static void add_escaped(struct buf *out, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t plain = strcspn(at, "&<>\"'");
        buf_add(out, at, plain);
        at += plain;
        if (*at != '\0') {
            buf_add_format(out, "&#%d;", *at++);
        }
    }
}

static void add_cell(struct buf *out, const char *tag, const char *text)
{
    static const char style[] = "border:1px solid #999;padding:4px 8px;text-align:start";
    buf_add_format(out, "<%s dir=\"auto\" style=\"%s\">", tag, style);
    add_escaped(out, text);
    buf_add_format(out, "</%s>", tag);
}

void alert_mail_html(struct buf *out, const struct due_custodian *custodian, due_day today)
{
    char room[CELL_BYTES];
    buf_add_text(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
                      "charset=\"utf-8\"><title>Calibration due"
                      "</title></head>\n<body style=\"font-family:sans-serif\">\n<p>Hello");
    if (custodian->name[0] != '\0') {
        buf_add_text(out, " <bdi>");
        add_escaped(out, custodian->name);
        buf_add_text(out, "</bdi>");
    }
    buf_add_text(out, ",</p>\n<p>");
    add_sentence(out, custodian, today);
    buf_add_text(out, "</p>\n<table style=\"border-collapse:collapse\">\n<thead><tr>");
    for (size_t c = 0; c < COLUMNS; c++) {
        add_cell(out, "th", columns[c].title);
    }
    buf_add_text(out, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < custodian->count; i++) {
        bool past = custodian->items[i].due < today;
        buf_add_text(out, past ? "<tr style=\"background:#fde2e0\">" : "<tr>");
        for (size_t c = 0; c < COLUMNS; c++) {
            add_cell(out, "td", columns[c].cell(&custodian->items[i], today, room));
        }
        buf_add_text(out, "</tr>\n");
    }
    buf_add_format(out, "</tbody>\n</table>\n<p>%s</p>\n</body></html>\n", closing);
}
