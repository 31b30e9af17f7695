/* Expectations from YAML, and their deadlines. */
#include "expectation.h"

#include "hours.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 64,
    LABEL_MAX_BYTES = 577,
    LIST_MAX = 1000,
    LEAST_MAX = 1000000,
    MINUTE_MS = 60000,
    LEAST_MS = 1000,
    SOME_DAY_MS = 10 * 24 * 60 * MINUTE_MS /* any will do */
};

static const struct conf_name count_names[] = {
    {"delivered", EXPECTATION_DELIVERED}, {"accepted", EXPECTATION_ACCEPTED}, {NULL, 0}};

static enum err check_label(const char *text, struct err_text *why)
{
    const char *equals = strchr(text, '=');
    return text[0] == '\0' || (equals != NULL && equals != text)
               ? ERR_OK
               : err_set(why, ERR_CONFIG, "must be NAME=VALUE");
}

/* "HH:MM-HH:MM" into the table; "" = the whole day. */
static enum err read_hours(struct expectation *what, const char **field, struct err_text *why)
{
    char from[6] = "00:00";
    what->table.to_min = TIMETABLE_DAY_MIN;
    if (what->hours[0] == '\0') {
        return ERR_OK;
    }
    *field = "hours";
    if (what->by[0] != '\0') {
        return err_set(why, ERR_CONFIG, "goes with every, not with by");
    }
    if (hours_check(what->hours, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    memcpy(from, what->hours, 5);
    if (hours_read_time(from, &what->table.from_min, why) != ERR_OK ||
        hours_read_time(what->hours + 6, &what->table.to_min, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    if (what->table.to_min <= what->table.from_min) {
        what->table.to_min += TIMETABLE_DAY_MIN;
    }
    return ERR_OK;
}

static enum err read_since(struct expectation *what, const char **field, struct err_text *why)
{
    if (what->since[0] == '\0') {
        return ERR_OK;
    }
    *field = "since";
    if (what->by[0] == '\0') {
        return err_set(why, ERR_CONFIG, "goes with by, not with every");
    }
    if (strcmp(what->since, "previous") == 0) {
        what->since_min = TIMETABLE_NO_TIME;
        return ERR_OK;
    }
    return hours_read_time(what->since, &what->since_min, why) == ERR_OK
               ? ERR_OK
               : err_set(why, ERR_CONFIG, "must be a time of the day, as 06:00, or previous");
}

static enum err check_expectation(void *target, const char **field, struct err_text *why)
{
    struct expectation *what = target;
    *field = "by";
    what->table.at_min = TIMETABLE_NO_TIME;
    if (what->by[0] != '\0' && hours_read_time(what->by, &what->table.at_min, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    if ((what->by[0] == '\0') == (what->every_ms == 0)) {
        return err_set(why, ERR_CONFIG, "either by or every is needed");
    }
    *field = "every";
    if (what->every_ms != 0 && what->every_ms < LEAST_MS) {
        return err_set(why, ERR_CONFIG, "at least 1s");
    }
    what->table.every_ms = (int64_t)what->every_ms;
    *field = "time_zone";
    if (what->zone == NULL && zone_open(what->time_zone, &what->zone, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    what->table.zone = what->zone;
    *field = "days";
    if (timetable_days(&what->days, &what->table.days, why) != ERR_OK ||
        read_since(what, field, why) != ERR_OK || read_hours(what, field, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    if (expectation_is_rolling(what) &&
        timetable_silence_ends(&what->table, SOME_DAY_MS) == 0) {
        *field = "every";
        return err_set(why, ERR_CONFIG, "is longer than the hours and days in which it counts");
    }
    return ERR_OK;
}

#define AT(field) offsetof(struct expectation, field)
#define TEXT_ROW(field, most, rule, words)                                                     \
    {                                                                                          \
        .key = #field, .kind = CONF_TEXT, .offset = AT(field), .default_text = "",             \
        .max = (most), .check = (rule), .doc = (words)                                         \
    }

const struct conf_row expectation_rows[] = {
    TEXT_ROW(profile, NAME_MAX_BYTES, NULL, "requests of this profile; default any"),
    TEXT_ROW(producer, NAME_MAX_BYTES, NULL, "of this producer; default any"),
    TEXT_ROW(label, LABEL_MAX_BYTES, check_label, "with this label, NAME=VALUE; default any"),
    {.key = "at_least",
     .kind = CONF_UINT,
     .offset = AT(at_least),
     .default_text = "1",
     .min = 1,
     .max = LEAST_MAX,
     .doc = "how many"},
    {.key = "count",
     .kind = CONF_ENUM,
     .offset = AT(count),
     .default_text = "delivered",
     .names = count_names,
     .doc = "what counts: delivered or accepted"},
    TEXT_ROW(by, 5, NULL, "time of the day at which they must have come, as 09:00"),
    TEXT_ROW(since, 8, NULL,
             "counted from this time of the day on; previous = from the deadline before"),
    {.key = "every",
     .kind = CONF_DURATION,
     .wide = true,
     .offset = AT(every_ms),
     .default_text = "0s",
     .max = UINT64_C(7) * 24 * 60 * MINUTE_MS,
     .doc = "in place of by: never so long without them"},
    TEXT_ROW(hours, 11, NULL, "with every: only silence within these hours, as 07:00-18:00"),
    {.key = "days",
     .kind = CONF_TEXTS,
     .offset = AT(days),
     .check = timetable_check_days,
     .doc = "days of the week, as mon-fri, sat or daily; default mon-fri"},
    TEXT_ROW(time_zone, 64, NULL, "as Europe/Berlin; default that of the broker's machine"),
    {.key = NULL, .whole = check_expectation},
};

static void *new_item(void *target, const char *name, struct err_text *why)
{
    struct expectation_list *list = target;
    size_t len =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-");
    if (len == 0 || len > NAME_MAX_BYTES || name[len] != '\0') {
        (void)err_set(why, ERR_INVALID, "a name is 1 to %d of A-Z a-z 0-9 . _ @ + -",
                      NAME_MAX_BYTES);
        return NULL;
    }
    if (list->count >= LIST_MAX) {
        (void)err_set(why, ERR_LIMIT, "at most %d expectations", LIST_MAX);
        return NULL;
    }
    struct expectation *what = mem_zero(1, sizeof *what);
    conf_defaults(expectation_rows, what);
    what->name = mem_text(name);
    list->items = mem_resize(list->items, list->count + 1, sizeof list->items[0]);
    list->items[list->count++] = what;
    return what;
}

const struct conf_map expectation_map = {.rows = expectation_rows, .item = new_item};

void expectation_list_fini(struct expectation_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        conf_free(expectation_rows, list->items[i]);
        zone_free(&list->items[i]->zone);
        free(list->items[i]->name);
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct expectation_list){.items = NULL};
}

bool expectation_is_rolling(const struct expectation *what)
{
    return what->table.at_min == TIMETABLE_NO_TIME && what->canary == NULL;
}

int64_t expectation_deadline_before(const struct expectation *what, int64_t now_ms)
{
    int64_t point_ms = timetable_before(&what->table, now_ms - what->lag_ms);
    return point_ms != 0 ? point_ms + what->lag_ms : 0;
}

int64_t expectation_deadline_after(const struct expectation *what, int64_t now_ms)
{
    int64_t point_ms = timetable_after(&what->table, now_ms - what->lag_ms);
    return point_ms != 0 ? point_ms + what->lag_ms : 0;
}

int64_t expectation_since(const struct expectation *what, int64_t deadline_ms)
{
    if (what->canary != NULL) {
        return deadline_ms - what->lag_ms;
    }
    if (what->since_min == TIMETABLE_NO_TIME) {
        return timetable_before(&what->table, deadline_ms - 1);
    }
    return timetable_last_minute(&what->table, deadline_ms, what->since_min);
}
