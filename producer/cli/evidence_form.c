/* Rendering and reading. Hex for bytes: it is read back by anybody with any tool.
 *
 * CSV is for spreadsheets: a text that such a program would take for a formula gets an apostrophe in front (OWASP, "CSV
 * Injection"). */
#include "evidence_form.h"

#include "chain.h"
#include "clock.h"
#include "json.h"
#include "mem.h"
#include "pb_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 4 * 1024 * 1024, WORD_BYTES = 32 };

static const char *const logs[] = {"events", "audit"};

static const char csv_head[] =
    "kind,log,number,request,at_ms,chain,bytes,time,producer,id,state,attempt,subject,labels,"
    "recipient,outcome,smtp_code,enhanced_code,text,server,tls,queue_id,message_id,worker,"
    "operator,reason,content_sha256\n";

enum { CSV_EMPTY_BEHIND_BYTES = 20 }; /* columns after `bytes` */

void evidence_form_head(enum evidence_form form, struct buf *out)
{
    if (form == EVIDENCE_CSV) {
        buf_add_text(out, csv_head);
    }
}

static void add_hex(struct buf *out, const uint8_t *data, size_t len)
{
    char hex[3];
    for (size_t i = 0; i < len; i++) {
        buf_add_text(out, digest_hex(data + i, 1, hex));
    }
}

static char *hex_of(const ProtobufCBinaryData *data)
{
    char *hex = mem_zero(1, 2 * data->len + 1);
    digest_hex(data->data, data->len, hex);
    return hex;
}

/* ---- days: start and the rest stand in the place of the bytes ---- */

static char *day_words(const PB(EvidenceDay) *day)
{
    char *start = hex_of(&day->start);
    char *words =
        mem_format("day=%" PRId64 ";last=%" PRIu64 ";count=%" PRIu64
                   ";open=%d;swept=%d;chained=%d;start=%s",
                   day->day, day->last, day->count, day->open, day->swept, day->chained, start);
    free(start);
    return words;
}

void evidence_form_day(enum evidence_form form, int log, const PB(EvidenceDay) *day,
                       struct buf *out)
{
    char date[CHAIN_DATE_BYTES];
    char *words = day_words(day);
    char *head = hex_of(&day->head);
    (void)chain_date(day->day, date);
    if (form == EVIDENCE_CSV) {
        buf_add_format(out, "day,%s,%" PRIu64 ",,,%s,%s,%s", logs[log], day->first, head, words,
                       date);
        for (int i = 1; i < CSV_EMPTY_BEHIND_BYTES; i++) {
            buf_add_char(out, ',');
        }
        buf_add_text(out, "\n");
    } else {
        buf_add_format(out,
                       "{\"kind\":\"day\",\"log\":\"%s\",\"number\":%" PRIu64
                       ",\"request\":0,\"at_ms\":0,\"chain\":\"%s\",\"bytes\":\"%s\","
                       "\"date\":\"%s\"}\n",
                       logs[log], day->first, head, words, date);
    }
    free(head);
    free(words);
}

/* ---- entries ---- */

static void csv_text(struct buf *out, const char *text)
{
    buf_add_text(out, ",\"");
    if (text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL) {
        buf_add_char(out, '\'');
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"') {
            buf_add_char(out, '"');
        }
        char shown = *c;
        if (shown == '\n' || shown == '\r') {
            shown = ' ';
        }
        buf_add_char(out, shown);
    }
    buf_add_char(out, '"');
}

static void csv_recipient(struct buf *out, const PB(RecipientResult) *one)
{
    csv_text(out, one != NULL ? one->address : "");
    csv_text(out, one != NULL ? pb_outcome_word((int)one->outcome) : "");
    buf_add_char(out, ',');
    if (one != NULL && one->smtp_code != 0) {
        buf_add_format(out, "%" PRIu32, one->smtp_code);
    }
    csv_text(out, one != NULL ? one->enhanced_code : "");
    csv_text(out, one != NULL ? one->text : "");
}

static char *join_labels(const PB(StatusEvent) *event)
{
    struct buf text;
    buf_init(&text, 65536);
    for (size_t i = 0; i < event->n_labels; i++) {
        buf_add_format(&text, "%s%s", i > 0 ? "; " : "", event->labels[i]);
    }
    char *out = mem_text(text.len > 0 ? buf_text(&text) : "");
    buf_fini(&text);
    return out;
}

/* What the columns of an event are filled with; one row a recipient, the first in the row of the entry. */
static void csv_event(struct buf *out, const PB(EvidenceEntry) *entry,
                      const PB(StatusEvent) *event)
{
    char when[CLOCK_TEXT_BYTES];
    char *labels = join_labels(event);
    size_t rows = event->n_recipients > 0 ? event->n_recipients : 1;
    for (size_t i = 0; i < rows; i++) {
        if (i > 0) {
            buf_add_format(out, "recipient,events,%" PRIu64 ",,,,", entry->number);
        }
        csv_text(out, clock_text(entry->at_ms, when));
        csv_text(out, event->producer);
        csv_text(out, event->watch != NULL ? event->watch->name : event->request_id);
        csv_text(out, event->watch != NULL ? pb_watch_word((int)event->watch->kind)
                                           : pb_state_word((int)event->state));
        buf_add_format(out, ",%" PRIu32, event->attempt);
        csv_text(out, event->subject);
        csv_text(out, labels);
        csv_recipient(out, event->n_recipients > 0 ? event->recipients[i] : NULL);
        csv_text(out, event->server);
        csv_text(out, event->tls_version);
        csv_text(out, event->queue_id);
        csv_text(out, event->message_id);
        csv_text(out, event->worker);
        csv_text(out, event->operator_);
        csv_text(out, event->reason);
        buf_add_char(out, ',');
        add_hex(out, event->content_sha256.data, event->content_sha256.len);
        buf_add_text(out, "\n");
    }
    free(labels);
}

static void csv_audit(struct buf *out, const PB(EvidenceEntry) *entry,
                      const PB(AuditRecord) *record)
{
    char when[CLOCK_TEXT_BYTES];
    csv_text(out, clock_text(entry->at_ms, when));
    buf_add_char(out, ',');
    csv_text(out, record->target);
    csv_text(out, record->act);
    buf_add_format(out, ",%" PRIu32 ",,,", record->count);
    csv_text(out, record->outcome);
    buf_add_text(out, ",,,,,,,,");
    csv_text(out, record->who);
    csv_text(out, record->why);
    buf_add_text(out, ",\n");
}

static void json_event(struct json *j, const PB(StatusEvent) *event)
{
    if (event->content_sha256.len > 0) {
        char *hex = hex_of(&event->content_sha256);
        json_text(j, "content_sha256", hex);
        free(hex);
    }
    pb_json(j, "event", &event->base);
}

/* For people: what the bytes say. */
static void add_content(enum evidence_form form, int log, const PB(EvidenceEntry) *entry,
                        struct buf *out, struct json *j)
{
    PB(StatusEvent) *event =
        log == 0 ? PB_UNPACK(status_event, entry->data.len, entry->data.data) : NULL;
    PB(AuditRecord) *record =
        log == 1 ? PB_UNPACK(audit_record, entry->data.len, entry->data.data) : NULL;
    if (form == EVIDENCE_JSON && event != NULL) {
        json_event(j, event);
    } else if (form == EVIDENCE_JSON && record != NULL) {
        pb_json(j, "record", &record->base);
    } else if (event != NULL) {
        csv_event(out, entry, event);
    } else if (record != NULL) {
        csv_audit(out, entry, record);
    } else if (form == EVIDENCE_CSV) {
        buf_add_text(out, ",,,,,,,,,,,,,,,,,,,,\n");
    }
    if (event != NULL) {
        trackpro__notify__v1__status_event__free_unpacked(event, NULL);
    }
    if (record != NULL) {
        trackpro__notify__v1__audit_record__free_unpacked(record, NULL);
    }
}

void evidence_form_entry(enum evidence_form form, int log, const PB(EvidenceEntry) *entry,
                         struct buf *out)
{
    bool digest = entry->digest.len > 0;
    char *bytes = hex_of(digest ? &entry->digest : &entry->data);
    char *chain = hex_of(&entry->chain);
    if (form == EVIDENCE_CSV) {
        buf_add_format(out, "%s,%s,%" PRIu64 ",%" PRIu64 ",%" PRId64 ",%s,%s",
                       digest ? "digest" : "entry", logs[log], entry->number, entry->request,
                       entry->at_ms, chain, bytes);
        if (digest) {
            buf_add_text(out, ",,,,,,,,,,,,,,,,,,,,\n");
        } else {
            add_content(form, log, entry, out, NULL);
        }
    } else {
        char when[CLOCK_TEXT_BYTES];
        struct json j;
        json_init(&j, out);
        json_open(&j, NULL, '{');
        json_text(&j, "kind", digest ? "digest" : "entry");
        json_text(&j, "log", logs[log]);
        json_uint(&j, "number", entry->number);
        json_uint(&j, "request", entry->request);
        json_int(&j, "at_ms", entry->at_ms);
        json_text(&j, "chain", chain);
        json_text(&j, "bytes", bytes);
        if (!digest) {
            json_text(&j, "time", clock_text(entry->at_ms, when));
            add_content(form, log, entry, out, &j);
        }
        json_close(&j);
        buf_add_char(out, '\n');
    }
    free(bytes);
    free(chain);
}

/* ---- reading ---- */

/* The value of the next field of the first part: behind `"name":` in JSON, up to the comma in CSV. *cursor moves on. */
static bool next_field(enum evidence_form form, const char **cursor, const char *name,
                       struct buf *out)
{
    const char *at = *cursor;
    buf_reset(out);
    if (form == EVIDENCE_JSON) {
        size_t len = strlen(name);
        if ((at[0] != '{' && at[0] != ',') || at[1] != '"' || strncmp(at + 2, name, len) != 0 ||
            at[2 + len] != '"' || at[3 + len] != ':') {
            return false;
        }
        at += 4 + len;
        if (*at == '"') {
            size_t value = strcspn(at + 1, "\"\\");
            buf_add(out, at + 1, value);
            *cursor = at + 1 + value + (at[1 + value] == '"' ? 1 : 0);
            return at[1 + value] == '"';
        }
        size_t value = strcspn(at, ",}");
        buf_add(out, at, value);
        *cursor = at + value;
        return true;
    }
    size_t value = strcspn(at, ",");
    buf_add(out, at, value);
    *cursor = at + value + (at[value] == ',' ? 1 : 0);
    return at[value] == ',' || at[value] == '\0';
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of hex, appended to the line's. */
static bool read_hex(const char *text, struct evidence_line *line, ProtobufCBinaryData *out)
{
    size_t len = strlen(text);
    size_t before = line->bytes.len;
    for (size_t i = 0; i + 1 < len; i += 2) {
        int high = hex_digit(text[i]);
        int low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        buf_add_char(&line->bytes, (char)(high << 4 | low));
    }
    out->data = (uint8_t *)(uintptr_t)before; /* an offset, until all is read */
    out->len = line->bytes.len - before;
    return len % 2 == 0 && buf_status(&line->bytes) == ERR_OK;
}

static void settle(struct evidence_line *line, ProtobufCBinaryData *data)
{
    data->data = data->len > 0 ? (uint8_t *)line->bytes.data + (uintptr_t)data->data : NULL;
}

static bool read_day_words(const char *text, struct evidence_line *line)
{
    int open = 0;
    int swept = 0;
    int chained = 0;
    int used = 0;
    PB(EvidenceDay) *day = &line->day;
    // NOLINTNEXTLINE(cert-err34-c): numbers of a file that is rendered again and compared
    if (sscanf(text,
               "day=%" SCNd64 ";last=%" SCNu64 ";count=%" SCNu64
               ";open=%d;swept=%d;chained=%d;start=%n",
               &day->day, &day->last, &day->count, &open, &swept, &chained, &used) != 6 ||
        used == 0) {
        return false;
    }
    if (day->day < -CHAIN_DAY_LAST || day->day > CHAIN_DAY_LAST) {
        return false; /* no clock says that */
    }
    day->open = open != 0;
    day->swept = swept != 0;
    day->chained = chained != 0;
    return read_hex(text + used, line, &day->start);
}

static bool read_kind(const char *text, struct evidence_line *line, bool *digest)
{
    *digest = strcmp(text, "digest") == 0;
    if (strcmp(text, "day") == 0) {
        line->kind = EVIDENCE_LINE_DAY;
    } else if (*digest || strcmp(text, "entry") == 0) {
        line->kind = EVIDENCE_LINE_ENTRY;
    } else if (strcmp(text, "recipient") == 0) {
        line->kind = EVIDENCE_LINE_MORE;
    } else {
        return false;
    }
    return true;
}

static uint64_t number_of(const struct buf *text)
{
    return strtoull(buf_text(text), NULL, 10); /* rendered again and compared */
}

enum err evidence_form_read(enum evidence_form form, const char *text,
                            struct evidence_line *line)
{
    PB(EvidenceDay) day = PB_INIT(EVIDENCE_DAY);
    PB(EvidenceEntry) entry = PB_INIT(EVIDENCE_ENTRY);
    struct buf field;
    const char *cursor = text;
    bool digest = false;
    *line = (struct evidence_line){.day = day, .entry = entry};
    buf_init(&line->bytes, BYTES_MAX);
    buf_init(&field, (size_t)2 * BYTES_MAX);
    enum err err = ERR_INVALID;
    if (!next_field(form, &cursor, "kind", &field) ||
        !read_kind(buf_text(&field), line, &digest) ||
        !next_field(form, &cursor, "log", &field)) {
        goto out;
    }
    line->log = strcmp(buf_text(&field), logs[1]) == 0 ? 1 : 0;
    if (!next_field(form, &cursor, "number", &field)) {
        goto out;
    }
    line->day.first = number_of(&field);
    line->entry.number = line->day.first;
    if (!next_field(form, &cursor, "request", &field)) {
        goto out;
    }
    line->entry.request = number_of(&field);
    if (!next_field(form, &cursor, "at_ms", &field)) {
        goto out;
    }
    line->entry.at_ms = strtoll(buf_text(&field), NULL, 10);
    bool is_day = line->kind == EVIDENCE_LINE_DAY;
    ProtobufCBinaryData *chain = is_day ? &line->day.head : &line->entry.chain;
    ProtobufCBinaryData *bytes = digest ? &line->entry.digest : &line->entry.data;
    if (!next_field(form, &cursor, "chain", &field) ||
        !read_hex(buf_text(&field), line, chain) ||
        !next_field(form, &cursor, "bytes", &field)) {
        goto out;
    }
    if (is_day ? !read_day_words(buf_text(&field), line)
               : !read_hex(buf_text(&field), line, bytes)) {
        goto out;
    }
    settle(line, chain);
    settle(line, is_day ? &line->day.start : bytes);
    err = ERR_OK;
out:
    buf_fini(&field);
    return err;
}

void evidence_line_fini(struct evidence_line *line)
{
    buf_fini(&line->bytes);
}
