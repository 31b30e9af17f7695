/* Zones are GLib's GTimeZone: an object with its own table, read from the machine's tz data base, where the C library knows
 * one zone for a whole process. Only the offset at an instant is asked of it; gaps and folds are worked out here. */
#include "zone.h"

#include "mem.h"

#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64, SECOND_MS = 1000 };

/* No zone lies further from UTC, and none changes twice within this. */
static const int64_t reach_ms = INT64_C(26) * 3600 * SECOND_MS;

struct zone {
    GTimeZone *glib;
};

/* A name of the data base. GLib also takes offsets, paths and rules, which would turn a slip of the pen into a zone. */
static bool name_is_good(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t len = strlen(name);
    size_t first = strspn(name, letters);
    size_t all =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/");
    return len > 2 && len <= NAME_MAX_BYTES && all == len && first > 0 &&
           (first == len || strchr(name, '/') != NULL) && name[len - 1] != '/';
}

enum err zone_open(const char *name, struct zone **out, struct err_text *why)
{
    GTimeZone *glib = NULL;
    if (name[0] == '\0') {
        glib = g_time_zone_new_local();
    } else if (name_is_good(name)) {
        glib = g_time_zone_new_identifier(name);
    }
    if (glib == NULL) {
        return err_set(why, ERR_CONFIG, "no time zone of that name, as Europe/Berlin or UTC");
    }
    struct zone *zone = mem_zero(1, sizeof *zone);
    zone->glib = glib;
    *out = zone;
    return ERR_OK;
}

void zone_free(struct zone **zone_p)
{
    struct zone *zone = *zone_p;
    if (zone != NULL) {
        g_time_zone_unref(zone->glib);
        free(zone);
        *zone_p = NULL;
    }
}

static int64_t offset_ms(const struct zone *zone, int64_t at_ms)
{
    if (zone == NULL) {
        return 0;
    }
    gint64 seconds = at_ms / SECOND_MS - (at_ms % SECOND_MS < 0 ? 1 : 0);
    gint interval = g_time_zone_find_interval(zone->glib, G_TIME_TYPE_UNIVERSAL, seconds);
    return (int64_t)g_time_zone_get_offset(zone->glib, interval) * SECOND_MS;
}

int64_t zone_local_ms(const struct zone *zone, int64_t at_ms)
{
    return at_ms + offset_ms(zone, at_ms);
}

/* The change of the offset between two instants, after the first and not after the second. */
static int64_t find_change(const struct zone *zone, int64_t before_ms, int64_t after_ms)
{
    int64_t old_ms = offset_ms(zone, before_ms);
    while (after_ms - before_ms > 1) {
        int64_t middle_ms = before_ms + (after_ms - before_ms) / 2;
        if (offset_ms(zone, middle_ms) == old_ms) {
            before_ms = middle_ms;
        } else {
            after_ms = middle_ms;
        }
    }
    return after_ms;
}

int64_t zone_instant_ms(const struct zone *zone, int64_t local_ms)
{
    int64_t old_ms = offset_ms(zone, local_ms - reach_ms);
    int64_t new_ms = offset_ms(zone, local_ms + reach_ms);
    int64_t by_old_ms = local_ms - old_ms;
    int64_t by_new_ms = local_ms - new_ms;
    if (offset_ms(zone, by_old_ms) == old_ms) {
        return by_old_ms;
    }
    if (offset_ms(zone, by_new_ms) == new_ms) {
        return by_new_ms;
    }
    return find_change(zone, by_new_ms, by_old_ms);
}
