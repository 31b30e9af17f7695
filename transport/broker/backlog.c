/* Sums of what waits, and what one row adds to them. Reads rows, writes none; the sums are kept by tally.c and, at a start, made
 * by the store (STORE_BACKLOG). */
#include "backlog.h"

#include "arena.h"
#include "pb.h"
#include "request.h"
#include "wire.h"

#include <stddef.h>

enum { ARENA_BYTES = 4096 }; /* for a few recipients; longer lists get more */

struct backlog backlog_of(bool each, uint32_t open)
{
    return (struct backlog){.requests = 1,
                            .recipients = open,
                            .each_requests = each ? 1 : 0,
                            .each_recipients = each ? open : 0};
}

void backlog_add(struct backlog *sum, const struct backlog *more)
{
    sum->requests += more->requests;
    sum->recipients += more->recipients;
    sum->each_requests += more->each_requests;
    sum->each_recipients += more->each_recipients;
}

/* Down to nothing at most. Returns false when there was less than that. */
static bool take(uint64_t *sum, uint64_t less)
{
    bool enough = *sum >= less;
    *sum = enough ? *sum - less : 0;
    return enough;
}

bool backlog_take_out(struct backlog *sum, const struct backlog *less)
{
    bool enough = take(&sum->requests, less->requests);
    enough = take(&sum->recipients, less->recipients) && enough;
    enough = take(&sum->each_requests, less->each_requests) && enough;
    return take(&sum->each_recipients, less->each_recipients) && enough;
}

static uint64_t without(uint64_t all, uint64_t some)
{
    return all > some ? all - some : 0; /* of sums that have drifted */
}

uint64_t backlog_mails(const struct backlog *backlog, uint32_t per_mail)
{
    uint64_t shared = without(backlog->requests, backlog->each_requests);
    uint64_t listed = without(backlog->recipients, backlog->each_recipients);
    uint64_t full = listed / per_mail + (listed % per_mail > 0 ? 1 : 0);
    return backlog->each_recipients + (full > shared ? full : shared);
}

uint32_t backlog_read(const uint8_t *results, size_t len, uint32_t recipients, bool *each)
{
    max_align_t first[ARENA_BYTES / sizeof(max_align_t)];
    struct arena arena;
    uint32_t open = recipients;
    arena_init(&arena, first, sizeof first);
    const PB(RequestStatus) *list = (const PB(RequestStatus) *)wire_unpack(
        PB_DESCRIPTOR(request_status), &arena, len, results);
    *each = list != NULL && list->one_each;
    if (list != NULL && list->n_recipients == recipients) {
        open = request_count_open(list->recipients, list->n_recipients);
    }
    arena_reset(&arena);
    return open;
}
