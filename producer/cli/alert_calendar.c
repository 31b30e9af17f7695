/* iCalendar for due items (RFC 5545).
 *
 * Pure, as alert_mail.c. A content line is made whole and folded when it is written: at 75 octets, never inside a character. Knows
 * no time zones: a due date is a day wherever it is read. */
#include "alert_calendar.h"

#include "digest.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINE_OCTETS = 75, LINE_MAX_BYTES = 65536, UID_HEX_BYTES = 16 };

/* Bytes of text, at most room, in whole characters. */
static size_t fit(const char *text, size_t room)
{
    size_t left = strlen(text);
    size_t used = 0;
    while (used < left) {
        uint32_t code;
        size_t n = utf8_next(text + used, left - used, &code);
        n = n > 0 ? n : 1;
        if (used + n > room) {
            break;
        }
        used += n;
    }
    return used;
}

/* RFC 5545 3.1: a line of 75 octets without its CRLF; a blank begins each that goes on. */
static void add_line(struct buf *out, const char *line)
{
    size_t room = LINE_OCTETS;
    while (strlen(line) > room) {
        size_t n = fit(line, room);
        buf_add(out, line, n);
        buf_add_text(out, "\r\n ");
        line += n;
        room = LINE_OCTETS - 1;
    }
    buf_add_text(out, line);
    buf_add_text(out, "\r\n");
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

/* RFC 5545 3.3.11. A text of a list is one line, but a control byte would break the object. */
static void add_escaped(struct buf *line, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            buf_add_text(line, "\\n");
            continue;
        }
        if (strchr("\\;,", *text) != NULL) {
            buf_add_char(line, '\\');
        }
        buf_add(line, is_control(*text) ? " " : text, 1);
    }
}

/* NAME:text; nothing when the text is empty. */
static void add_text(struct buf *out, const char *name, const char *text)
{
    struct buf line;
    if (text[0] == '\0') {
        return;
    }
    buf_init(&line, LINE_MAX_BYTES);
    buf_add_format(&line, "%s:", name);
    add_escaped(&line, text);
    add_line(out, buf_text(&line));
    buf_fini(&line);
}

/* 20261130 */
static const char *day_digits(due_day day, char out[DUE_DAY_BYTES])
{
    char text[DUE_DAY_BYTES];
    size_t used = 0;
    for (const char *c = due_day_text(day, text); *c != '\0'; c++) {
        if (*c != '-') {
            out[used++] = *c;
        }
    }
    out[used] = '\0';
    return out;
}

/* A parameter in quotes cannot hold a quote (RFC 5545 3.1); a URI escapes what is not plain (RFC 3986 2.1). */
static void add_organizer(struct buf *out, const struct alert_organizer *organizer)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~@+!$'*=";
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    buf_add_text(&line, "ORGANIZER");
    if (organizer->name[0] != '\0') {
        buf_add_text(&line, ";CN=\"");
        for (const char *c = organizer->name; *c != '\0'; c++) {
            buf_add(&line, *c == '"' || is_control(*c) ? "'" : c, 1);
        }
        buf_add_char(&line, '"');
    }
    buf_add_text(&line, ":mailto:");
    for (const char *c = organizer->address; *c != '\0'; c++) {
        if (strchr(plain, *c) != NULL) {
            buf_add_char(&line, *c);
        } else {
            buf_add_format(&line, "%%%02X", (unsigned char)*c);
        }
    }
    add_line(out, buf_text(&line));
    buf_fini(&line);
}

static void add_uid(struct buf *out, const struct due_custodian *custodian,
                    const struct due_item *item)
{
    const char *const texts[] = {"due-item-1", custodian->address, item->asset};
    uint8_t digest[DIGEST_BYTES];
    char hex[2 * UID_HEX_BYTES + 1];
    char line[LINE_OCTETS];
    digest_texts(texts, sizeof texts / sizeof texts[0], digest);
    (void)snprintf(line, sizeof line, "UID:%s@trackpro-notify",
                   digest_hex(digest, UID_HEX_BYTES, hex));
    add_line(out, line);
}

static void add_summary(struct buf *out, const struct due_item *item, due_day today)
{
    struct buf text;
    buf_init(&text, LINE_MAX_BYTES);
    buf_add_format(&text, "Calibration %s: %s", item->due < today ? "past due" : "due",
                   item->asset);
    if (item->description[0] != '\0') {
        buf_add_format(&text, " %s", item->description);
    }
    add_text(out, "SUMMARY", buf_text(&text));
    buf_fini(&text);
}

static void add_event(struct buf *out, const struct due_custodian *custodian,
                      const struct due_item *item, due_day today,
                      const struct alert_organizer *organizer)
{
    char day[DUE_DAY_BYTES];
    char line[LINE_OCTETS];
    add_line(out, "BEGIN:VEVENT");
    add_uid(out, custodian, item);
    (void)snprintf(line, sizeof line, "DTSTAMP:%sT000000Z", day_digits(today, day));
    add_line(out, line);
    (void)snprintf(line, sizeof line, "SEQUENCE:%" PRId32, today > 0 ? today : 0);
    add_line(out, line);
    (void)snprintf(line, sizeof line, "DTSTART;VALUE=DATE:%s", day_digits(item->due, day));
    add_line(out, line);
    add_summary(out, item, today);
    add_text(out, "LOCATION", item->location);
    add_organizer(out, organizer);
    add_line(out, "STATUS:CONFIRMED");
    add_line(out, "TRANSP:TRANSPARENT");
    add_line(out, "CATEGORIES:Calibration");
    add_line(out, "END:VEVENT");
}

void alert_calendar(struct buf *out, const struct due_custodian *custodian, due_day today,
                    const struct alert_organizer *organizer)
{
    add_line(out, "BEGIN:VCALENDAR");
    add_line(out, "VERSION:2.0");
    add_line(out, "PRODID:-//TrackPro//Notify//EN");
    add_line(out, "METHOD:PUBLISH");
    for (size_t i = 0; i < custodian->count; i++) {
        add_event(out, custodian, &custodian->items[i], today, organizer);
    }
    add_line(out, "END:VCALENDAR");
}
