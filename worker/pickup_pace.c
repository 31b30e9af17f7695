/* Paces of folders: a ring of the last places given.
 *
 * The place after the next N is the time of the N-th last one plus a minute: so no minute, wherever it begins, holds more than
 * N. A restart forgets; then a folder may get up to twice its number within a minute, and the rest only waits there. */
#include "pickup_pace.h"

#include "err.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct pace {
    char *folder;
    uint32_t per_minute;
    uint64_t given;  /* places so far */
    int64_t used_ms; /* last asked */
    int64_t *places; /* per_minute of them: the times of the last ones, a ring */
};

struct pickup_paces {
    struct pace items[PICKUP_PACE_FOLDERS];
    size_t count;
};

struct pickup_paces *pickup_paces_new(void)
{
    return mem_zero(1, sizeof(struct pickup_paces));
}

static void forget(struct pace *pace)
{
    free(pace->folder);
    free(pace->places);
    *pace = (struct pace){.folder = NULL};
}

void pickup_paces_free(struct pickup_paces **paces_p)
{
    struct pickup_paces *paces = *paces_p;
    for (size_t i = 0; paces != NULL && i < paces->count; i++) {
        forget(&paces->items[i]);
    }
    free(paces);
    *paces_p = NULL;
}

static struct pace *place_for(struct pickup_paces *paces, const char *folder)
{
    struct pace *oldest = &paces->items[0];
    for (size_t i = 0; i < paces->count; i++) {
        struct pace *pace = &paces->items[i];
        if (strcmp(pace->folder, folder) == 0) {
            return pace;
        }
        oldest = pace->used_ms < oldest->used_ms ? pace : oldest;
    }
    if (paces->count < PICKUP_PACE_FOLDERS) {
        oldest = &paces->items[paces->count++];
    }
    forget(oldest);
    oldest->folder = mem_text(folder);
    return oldest;
}

int64_t pickup_pace_take(struct pickup_paces *paces, const char *folder, uint32_t per_minute,
                         int64_t now_ms)
{
    struct pace *pace = place_for(paces, folder);
    if (per_minute == 0) {
        bug("a pace of no files at all");
    }
    pace->used_ms = now_ms;
    if (pace->per_minute != per_minute) {
        free(pace->places);
        pace->places = mem_zero(per_minute, sizeof *pace->places);
        pace->per_minute = per_minute;
        pace->given = 0;
    }
    int64_t *slot = &pace->places[pace->given % per_minute];
    int64_t at_ms = now_ms;
    if (pace->given >= per_minute && *slot + PICKUP_PACE_MINUTE_MS > now_ms) {
        at_ms = *slot + PICKUP_PACE_MINUTE_MS;
    }
    *slot = at_ms;
    pace->given++;
    return at_ms - now_ms;
}
