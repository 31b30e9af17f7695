/* The due list.
 *
 * Reads rows, decides which count, and gathers them by custodian. It sends nothing and writes
 * no mail: alert.c and alert_mail.c do. The result does not depend on the order of the rows,
 * because the id of a notification is made from it: the same items must give the same mail, or
 * running the job twice would mail twice. */
#include "due.h"

#include "address.h"
#include "csv.h"
#include "map.h"
#include "mem.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { BAD_MAX_BYTES = 4 * 1024 * 1024, HEADER_BYTES = 64 };

struct due_column_row {
    const char *name; /* for people */
    bool required;
    /* One blank around each: lower case, letters and digits only, as squeeze makes them. */
    const char *aliases;
};

static const struct due_column_row due_columns[DUE_COLUMN_COUNT] = {
    [DUE_ASSET] = {"Asset ID", true,
                   " assetid asset assetno assetnumber equipmentid equipmentno instrumentid "
                   "toolid gageid gaugeid id"
                   " tag inventarnummer inventarnr "},
    [DUE_DESCRIPTION] =
        {"Description", false,
         " description desc equipment equipmentdescription assetdescription itemdescription"
         " bezeichnung beschreibung "},
    [DUE_LOCATION] = {"Location", false, " location room site department standort ort "},
    [DUE_STATUS] = {"Status", true, " status assetstatus equipmentstatus itemstatus state "},
    [DUE_DATE] = {"Due Date", true,
                  " duedate due datedue nextdue nextduedate calibrationdue calibrationduedate "
                  "fälligam fällig"
                  " faelligam faellig fälligkeit "},
    [DUE_DONE] = {"Date Done", true,
                  " datedone done donedate completed completedon datecompleted completiondate "
                  "erledigtam erledigt "},
    [DUE_CUSTODIAN] =
        {"Custodian", false,
         " custodian custodianname assignedto owner responsible name verantwortlicher"
         " verantwortlich "},
    [DUE_EMAIL] = {"Custodian Email", true,
                   " custodianemail email emailaddress mail custodianemailaddress "
                   "custodianmail mailadresse"
                   " emailadresse "},
};

/* ---- days ---- */

/* Days from civil and back, in 400-year eras of 146097 days from 1 March 0000.
 * Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms". Years here are 1900 to
 * 9999, so all is positive. */
static due_day day_from(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era = y / 400;
    int year_of_era = y - era * 400;
    int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

const char *due_day_text(due_day day, char out[DUE_DAY_BYTES])
{
    int shifted = day + 719468;
    int era = shifted / 146097;
    int of_era = shifted - era * 146097;
    int year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int shifted_month = (5 * of_year + 2) / 153;
    int month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    int year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    (void)snprintf(out, DUE_DAY_BYTES, "%04u-%02u-%02u", (unsigned)year % 10000U,
                   (unsigned)month % 100U,
                   (unsigned)(of_year - (153 * shifted_month + 2) / 5 + 1) % 100U);
    return out;
}

due_day due_today(void)
{
    time_t now = time(NULL);
    struct tm tm = {0};
    (void)localtime_r(&now, &tm);
    return day_from(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static bool day_exists(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1900 || year > 9999 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Up to 4 digits at *at; their count. */
static int read_number(const char **at, int *number)
{
    int digits = 0;
    *number = 0;
    while (digits < 4 && isdigit((unsigned char)**at)) {
        *number = *number * 10 + (**at - '0');
        (*at)++;
        digits++;
    }
    return digits;
}

/* What may follow a date: nothing, or a blank or T and a time of day with what Access and ISO
 * 8601 put behind it. */
static bool is_time(const char *at)
{
    if (*at == '\0') {
        return true;
    }
    if (*at != ' ' && *at != 'T') {
        return false;
    }
    at += strspn(at, " T");
    int number = 0;
    if (read_number(&at, &number) == 0 || number > 24 || *at != ':') {
        return false;
    }
    return strspn(at, "0123456789:.,APMapmZ+- ") == strlen(at);
}

struct date_parts {
    int number[3];
    int digits[3];
    char separator;
};

static bool read_parts(const char *text, struct date_parts *parts)
{
    const char *at = text;
    for (int i = 0; i < 3; i++) {
        parts->digits[i] = read_number(&at, &parts->number[i]);
        if (parts->digits[i] == 0) {
            return false;
        }
        if (i == 0) {
            parts->separator = *at;
        }
        if (i < 2 && (*at != parts->separator || strchr("-./", *at) == NULL || *at++ == '\0')) {
            return false;
        }
    }
    return is_time(at);
}

/* The order in which a date is written, or why it cannot be told. */
static enum err find_order(const char *text, const struct date_parts *parts,
                           enum due_date_order wanted, enum due_date_order *order,
                           struct err_text *why)
{
    *order = wanted;
    if (parts->digits[0] == 4) {
        *order = DUE_ORDER_ISO;
    } else if (parts->digits[2] != 4) {
        return err_set(why, ERR_INVALID, "\"%.32s\": a year needs four digits", text);
    } else if (wanted == DUE_ORDER_ISO) {
        return err_set(why, ERR_INVALID, "\"%.32s\": not written year-month-day", text);
    } else if (parts->separator == '.') {
        *order = DUE_ORDER_DMY;
    } else if (wanted == DUE_ORDER_AUTO) {
        int first = parts->number[0];
        int second = parts->number[1];
        if (first <= 12 && second <= 12 && first != second) {
            return err_set(why, ERR_INVALID,
                           "\"%.32s\" can be read in two ways; say --date-format dmy or mdy",
                           text);
        }
        *order = first > 12 ? DUE_ORDER_DMY : DUE_ORDER_MDY;
    }
    return ERR_OK;
}

enum err due_parse_day(const char *text, enum due_date_order wanted, due_day *day,
                       struct err_text *why)
{
    /* Places of year, month and day. */
    static const int places[][3] = {
        [DUE_ORDER_DMY] = {2, 1, 0}, [DUE_ORDER_MDY] = {2, 0, 1}, [DUE_ORDER_ISO] = {0, 1, 2}};
    struct date_parts parts = {{0}, {0}, 0};
    enum due_date_order order = wanted;
    if (!read_parts(text, &parts)) {
        return err_set(why, ERR_INVALID, "\"%.32s\" is no date", text);
    }
    enum err err = find_order(text, &parts, wanted, &order, why);
    if (err != ERR_OK) {
        return err;
    }
    const int *place = places[order];
    int year = parts.number[place[0]];
    int month = parts.number[place[1]];
    int of_month = parts.number[place[2]];
    if (!day_exists(year, month, of_month)) {
        return err_set(why, ERR_INVALID, "\"%.32s\": there is no such day", text);
    }
    *day = day_from(year, month, of_month);
    return ERR_OK;
}

/* ---- header ---- */

/* " name " in lower case, of ASCII only letters and digits: the form in which aliases are
 * listed. The few capital letters beyond ASCII that our aliases have are lowered too. */
static void squeeze(const char *header, char out[HEADER_BYTES])
{
    size_t used = 0;
    out[used++] = ' ';
    for (const unsigned char *p = (const unsigned char *)header;
         *p != '\0' && used < HEADER_BYTES - 3; p++) {
        if (*p == 0xC3 && p[1] >= 0x80 &&
            p[1] <= 0x9E) { /* U+00C0 to U+00DE: capitals of Latin-1 */
            out[used++] = (char)*p++;
            out[used++] = (char)(*p + 0x20);
        } else if (isalnum(*p) || *p >= 0x80) {
            out[used++] = (char)tolower(*p);
        }
    }
    out[used++] = ' ';
    out[used] = '\0';
}

/* The column of a table for one of ours: the alias that stands first in our list wins, so
 * "Asset ID" is taken before the "ID" that Access numbers its rows with. SIZE_MAX when there is
 * none. */
static enum err find_column(const struct csv_row *header, enum due_column column, size_t *place,
                            struct err_text *why)
{
    const char *aliases = due_columns[column].aliases;
    const char *best = NULL;
    char name[HEADER_BYTES];
    *place = SIZE_MAX;
    for (size_t i = 0; i < header->count; i++) {
        squeeze(header->fields[i], name);
        const char *found = strlen(name) > 2 ? strstr(aliases, name) : NULL;
        if (found == NULL || (best != NULL && found > best)) {
            continue;
        }
        if (found == best) {
            return err_set(why, ERR_INVALID,
                           "line %u: two columns for %s: \"%.40s\" and \"%.40s\"", header->line,
                           due_columns[column].name, header->fields[*place], header->fields[i]);
        }
        best = found;
        *place = i;
    }
    return ERR_OK;
}

static enum err find_columns(const struct csv_row *header, size_t place[DUE_COLUMN_COUNT],
                             struct err_text *why)
{
    for (size_t column = 0; column < DUE_COLUMN_COUNT; column++) {
        enum err err = find_column(header, (enum due_column)column, &place[column], why);
        if (err != ERR_OK) {
            return err;
        }
        if (place[column] == SIZE_MAX && due_columns[column].required) {
            return err_set(why, ERR_INVALID,
                           "line %u: no column for %s; `tpn alert --help` lists the names that "
                           "are understood",
                           header->line, due_columns[column].name);
        }
    }
    return ERR_OK;
}

void due_describe_columns(struct buf *out)
{
    for (size_t column = 0; column < DUE_COLUMN_COUNT; column++) {
        const struct due_column_row *row = &due_columns[column];
        buf_add_format(out, "  %-16s %s, or one of:\n   ", row->name,
                       row->required ? "required" : "optional");
        size_t used = 3;
        for (const char *at = row->aliases + 1; *at != '\0';) {
            size_t len = strcspn(at, " ");
            if (used + len > 76) {
                buf_add_text(out, "\n   ");
                used = 3;
            }
            buf_add_char(out, ' ');
            buf_add(out, at, len);
            used += len + 1;
            at += len + 1;
        }
        buf_add_char(out, '\n');
    }
}

/* ---- rows ---- */

struct due_reader {
    const struct due_rule *rule;
    struct due_list *list;
    struct map *by_address; /* lower-case address -> index + 1 */
    size_t room;
    size_t place[DUE_COLUMN_COUNT];
    size_t width; /* of the header */
};

static const char *field(const struct due_reader *reader, const struct csv_row *row,
                         enum due_column column)
{
    size_t place = reader->place[column];
    return place < row->count ? row->fields[place] : "";
}

/* Blanks and line breaks within a field become one blank; other control characters go. */
static char *one_line(const char *text)
{
    char *out = mem_text(text);
    char *to = out;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p <= ' ') {
            if (to != out && to[-1] != ' ' && strchr(" \t\r\n\v\f", *p) != NULL) {
                *to++ = ' ';
            }
        } else if (*p != 0x7F) {
            *to++ = (char)*p;
        }
    }
    *to = '\0';
    return out;
}

/* Names of one custodian may differ between rows: the first in byte order is taken, whatever
 * the order of the rows. */
static void take_name(struct due_custodian *custodian, const char *text)
{
    char *name = one_line(text);
    bool better =
        name[0] != '\0' && (custodian->name[0] == '\0' || strcmp(name, custodian->name) < 0);
    if (better) {
        free(custodian->name);
        custodian->name = name;
    } else {
        free(name);
    }
}

static struct due_custodian *custodian_of(struct due_reader *reader, const char *address)
{
    struct due_list *list = reader->list;
    char *key = mem_text(address);
    for (char *p = key; *p != '\0'; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
    size_t found = (size_t)(uintptr_t)map_get_text(reader->by_address, key);
    if (found != 0) {
        free(key);
        return &list->custodians[found - 1];
    }
    if (list->count == reader->room) {
        reader->room = reader->room > 0 ? reader->room * 2 : 64;
        list->custodians = mem_resize(list->custodians, reader->room, sizeof *list->custodians);
    }
    struct due_custodian *custodian = &list->custodians[list->count++];
    *custodian = (struct due_custodian){.address = key, .name = mem_text("")};
    (void)map_put_text(&reader->by_address, key, (void *)(uintptr_t)list->count);
    return custodian;
}

static void add_item(struct due_reader *reader, const struct csv_row *row, due_day due)
{
    struct due_custodian *custodian = custodian_of(reader, field(reader, row, DUE_EMAIL));
    take_name(custodian, field(reader, row, DUE_CUSTODIAN));
    /* Room doubles at the powers of two, so that no count of it must be kept. */
    if ((custodian->count & (custodian->count - 1)) == 0) {
        size_t room = custodian->count > 0 ? custodian->count * 2 : 1;
        custodian->items = mem_resize(custodian->items, room, sizeof *custodian->items);
    }
    custodian->items[custodian->count++] = (struct due_item){
        .asset = one_line(field(reader, row, DUE_ASSET)),
        .description = one_line(field(reader, row, DUE_DESCRIPTION)),
        .location = one_line(field(reader, row, DUE_LOCATION)),
        .due = due,
        .line = row->line,
    };
    custodian->past_due += due < reader->rule->today ? 1 : 0;
    reader->list->items++;
}

/* A date that may be missing. */
static enum err read_day(const struct due_reader *reader, const struct csv_row *row,
                         enum due_column column, due_day *day, struct err_text *why)
{
    struct err_text text = {0};
    if (due_parse_day(field(reader, row, column), reader->rule->order, day, &text) != ERR_OK) {
        return err_set(why, ERR_INVALID, "%s: %s", due_columns[column].name, text.text);
    }
    return ERR_OK;
}

static bool counts(const struct due_rule *rule, due_day due)
{
    return due < rule->today || (rule->early_warning_days > 0 &&
                                 due - rule->today <= (due_day)rule->early_warning_days);
}

/* An item that counts must say what it is and whom to tell. */
static enum err check_item(const struct due_reader *reader, const struct csv_row *row,
                           struct err_text *why)
{
    struct err_text text = {0};
    if (field(reader, row, DUE_ASSET)[0] == '\0') {
        return err_set(why, ERR_INVALID, "%s: is empty", due_columns[DUE_ASSET].name);
    }
    if (field(reader, row, DUE_EMAIL)[0] == '\0') {
        return err_set(why, ERR_INVALID, "%s: is empty, nobody can be told",
                       due_columns[DUE_EMAIL].name);
    }
    if (address_check(field(reader, row, DUE_EMAIL), &text) != ERR_OK) {
        return err_set(why, ERR_INVALID, "%s: %s", due_columns[DUE_EMAIL].name, text.text);
    }
    return ERR_OK;
}

/* Excel leaves out empty fields at the end of a row, and adds some; a row that is broken in two
 * shows here too. */
static enum err check_width(const struct due_reader *reader, const struct csv_row *row,
                            struct err_text *why)
{
    bool broken =
        row->count <= reader->place[DUE_ASSET] || row->count <= reader->place[DUE_STATUS];
    for (size_t i = reader->width; i < row->count; i++) {
        broken = broken || row->fields[i][0] != '\0';
    }
    if (broken) {
        return err_set(why, ERR_INVALID,
                       "%zu fields, the header has %zu; a separator or a line break that is "
                       "not in quotes?",
                       row->count, reader->width);
    }
    return ERR_OK;
}

static enum err take_row(struct due_reader *reader, const struct csv_row *row,
                         struct err_text *why)
{
    due_day due = 0;
    due_day done = 0;
    enum err err = check_width(reader, row, why);
    if (err != ERR_OK) {
        return err;
    }
    bool has_due = field(reader, row, DUE_DATE)[0] != '\0';
    bool is_done = field(reader, row, DUE_DONE)[0] != '\0';
    err = has_due ? read_day(reader, row, DUE_DATE, &due, why) : ERR_OK;
    if (err == ERR_OK && is_done) {
        err = read_day(reader, row, DUE_DONE, &done, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    bool open = strcasecmp(field(reader, row, DUE_STATUS), "Active") == 0 && !is_done;
    if (!open || !has_due || !counts(reader->rule, due)) {
        reader->list->not_due++;
        reader->list->no_date += open && !has_due ? 1 : 0;
        return ERR_OK;
    }
    err = check_item(reader, row, why);
    if (err == ERR_OK) {
        add_item(reader, row, due);
    }
    return err;
}

/* ---- the list ---- */

static int compare_items(const void *a, const void *b)
{
    const struct due_item *one = a;
    const struct due_item *two = b;
    if (one->due != two->due) {
        return one->due < two->due ? -1 : 1;
    }
    int order = strcmp(one->asset, two->asset);
    if (order == 0) {
        order = strcmp(one->description, two->description);
    }
    return order != 0 ? order : strcmp(one->location, two->location);
}

static int compare_custodians(const void *a, const void *b)
{
    return strcmp(((const struct due_custodian *)a)->address,
                  ((const struct due_custodian *)b)->address);
}

static void sort_list(struct due_list *list)
{
    if (list->count > 0) {
        qsort(list->custodians, list->count, sizeof *list->custodians, compare_custodians);
    }
    for (size_t i = 0; i < list->count; i++) {
        qsort(list->custodians[i].items, list->custodians[i].count,
              sizeof *list->custodians[i].items, compare_items);
    }
}

static void read_rows(struct due_reader *reader, struct csv *csv)
{
    struct csv_row row;
    struct err_text text = {0};
    for (enum err err = csv_next(csv, &row, &text); err != ERR_NOT_FOUND;
         err = csv_next(csv, &row, &text)) {
        reader->list->rows++;
        if (err == ERR_OK) {
            err = take_row(reader, &row, &text);
        }
        if (err != ERR_OK) {
            reader->list->bad_rows++;
            buf_add_format(&reader->list->bad, "line %u: %s\n", row.line, text.text);
        }
    }
}

enum err due_read(const char *file, size_t len, const struct due_rule *rule,
                  struct due_list *list, struct err_text *why)
{
    struct csv csv = {0};
    struct csv_row header;
    struct due_reader reader = {.rule = rule, .list = list};
    *list = (struct due_list){0};
    buf_init(&list->bad, BAD_MAX_BYTES);
    enum err err = csv_open(&csv, file, len, why);
    if (err != ERR_OK) {
        return err;
    }
    err = csv_next(&csv, &header, why);
    if (err == ERR_NOT_FOUND) {
        err = err_set(why, ERR_INVALID, "the file has no header line");
    }
    if (err == ERR_OK) {
        err = find_columns(&header, reader.place, why);
    }
    if (err == ERR_OK) {
        reader.width = header.count;
        read_rows(&reader, &csv);
        sort_list(list);
    }
    map_clear(&reader.by_address);
    csv_close(&csv);
    return err;
}

void due_free(struct due_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct due_custodian *custodian = &list->custodians[i];
        for (size_t item = 0; item < custodian->count; item++) {
            free(custodian->items[item].asset);
            free(custodian->items[item].description);
            free(custodian->items[item].location);
        }
        free(custodian->items);
        free(custodian->address);
        free(custodian->name);
    }
    free(list->custodians);
    buf_fini(&list->bad);
    *list = (struct due_list){0};
}
