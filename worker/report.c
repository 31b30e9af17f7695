/* The worker's memory of what it did.
 *
 * Design notes: a RESULT message is its JobResults one behind the other, each with the tag of Result.results: so results
 * are packed once, when they are made, and repeated as bytes. */
#include "report.h"

#include "buf.h"
#include "clock.h"
#include "mem.h"

#include <stdbool.h>
#include <stdlib.h>

enum {
    TAG_RESULTS = (1 << 3) | 2, /* Result.results, length-delimited */
    HEAD_MAX_BYTES = 11,        /* the tag and a length of 64 bits */
    BATCH_BYTES = 1024 * 1024,
    BATCH_RESULTS = 1000
};

struct report {
    uint64_t lease;
    uint32_t part;
    uint32_t slot; /* of the diary */
    bool note;     /* holds no lease */
    int64_t sent_ms;
    TAILQ_ENTRY(report) link;
    size_t len;
    uint8_t bytes[]; /* tag, length, packed JobResult */
};

void reports_init(struct reports *reports, struct diary *diary)
{
    TAILQ_INIT(&reports->fresh);
    TAILQ_INIT(&reports->sent);
    reports->count = 0;
    reports->diary = diary;
}

static void drop(struct reports *reports, struct report_queue *queue, struct report *report)
{
    TAILQ_REMOVE(queue, report, link);
    reports->count--;
    free(report);
}

void reports_fini(struct reports *reports)
{
    struct report *report = NULL;
    while ((report = TAILQ_FIRST(&reports->fresh)) != NULL) {
        /* TAILQ_REMOVE took it out: clang 14 does not follow tqe_prev. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        drop(reports, &reports->fresh, report);
    }
    while ((report = TAILQ_FIRST(&reports->sent)) != NULL) {
        /* The same. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        drop(reports, &reports->sent, report);
    }
}

static struct report *keep(struct reports *reports, const PB(JobResult) *result, uint32_t slot)
{
    size_t len = protobuf_c_message_get_packed_size(&result->base);
    struct report *report = mem_zero(1, sizeof *report + HEAD_MAX_BYTES + len);
    uint8_t *to = report->bytes;
    report->lease = result->lease;
    report->part = result->part;
    report->slot = slot;
    *to++ = TAG_RESULTS;
    to += wire_put_varint(to, len);
    to += protobuf_c_message_pack(&result->base, to);
    report->len = (size_t)(to - report->bytes);
    TAILQ_INSERT_TAIL(&reports->fresh, report, link);
    reports->count++;
    return report;
}

void reports_add(struct reports *reports, const PB(JobResult) *result, uint32_t slot)
{
    (void)keep(reports, result, slot);
}

void reports_add_note(struct reports *reports, const PB(JobResult) *note)
{
    keep(reports, note, 0)->note = true;
}

static bool has(const struct report_queue *queue, uint64_t lease)
{
    const struct report *report = NULL;
    TAILQ_FOREACH(report, queue, link)
    {
        if (report->lease == lease && !report->note) {
            return true;
        }
    }
    return false;
}

bool reports_have(const struct reports *reports, uint64_t lease)
{
    return has(&reports->fresh, lease) || has(&reports->sent, lease);
}

static bool forget(struct reports *reports, struct report_queue *queue, const PB(Part) *part)
{
    struct report *report = NULL;
    /* The same. NOLINTBEGIN(clang-analyzer-unix.Malloc) */
    TAILQ_FOREACH(report, queue, link)
    {
        if (report->lease == part->lease && report->part == part->part) {
            diary_forget(reports->diary, report->slot);
            drop(reports, queue, report);
            return true;
        }
    }
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
    return false;
}

void reports_acknowledge(struct reports *reports, const PB(ResultOk) *ok)
{
    for (size_t i = 0; i < ok->n_parts; i++) {
        /* Acknowledged in about the order they were sent, so the search is short. */
        if (!forget(reports, &reports->sent, ok->parts[i])) {
            (void)forget(reports, &reports->fresh, ok->parts[i]);
        }
    }
}

void reports_repeat(struct reports *reports, int64_t sent_before_ms)
{
    struct report_queue again = TAILQ_HEAD_INITIALIZER(again);
    struct report *report = NULL;
    while ((report = TAILQ_FIRST(&reports->sent)) != NULL && report->sent_ms < sent_before_ms) {
        TAILQ_REMOVE(&reports->sent, report, link);
        TAILQ_INSERT_TAIL(&again, report, link);
    }
    TAILQ_CONCAT(&again, &reports->fresh, link); /* the older ones first */
    TAILQ_CONCAT(&reports->fresh, &again, link);
}

static enum err send_batch(struct reports *reports, struct bus *bus)
{
    struct buf batch;
    buf_init(&batch, WIRE_REQUEST_MAX_BYTES);
    size_t count = 0;
    struct report *report = NULL;
    TAILQ_FOREACH(report, &reports->fresh, link)
    {
        bool full =
            count == BATCH_RESULTS || (count > 0 && batch.len + report->len > BATCH_BYTES);
        if (full) {
            break;
        }
        buf_add(&batch, report->bytes, report->len);
        count++;
    }
    enum err err = buf_status(&batch);
    if (err == ERR_OK) {
        err = wire_send_packed(bus_socket(bus), NULL, WIRE_RESULT, batch.data, batch.len);
    }
    buf_fini(&batch);
    if (err != ERR_OK) {
        return err;
    }
    int64_t now_ms = clock_mono_ms();
    for (; count > 0; count--) {
        report = TAILQ_FIRST(&reports->fresh);
        report->sent_ms = now_ms;
        TAILQ_REMOVE(&reports->fresh, report, link);
        TAILQ_INSERT_TAIL(&reports->sent, report, link);
    }
    return ERR_OK;
}

enum err reports_flush(struct reports *reports, struct bus *bus)
{
    while (!TAILQ_EMPTY(&reports->fresh)) {
        enum err err = send_batch(reports, bus);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static void add_leases(const struct report_queue *queue, uint64_t *out, size_t *count,
                       size_t room)
{
    const struct report *report = NULL;
    TAILQ_FOREACH(report, queue, link)
    {
        if (*count < room && !report->note) {
            out[(*count)++] = report->lease;
        }
    }
}

void reports_leases(const struct reports *reports, uint64_t *out, size_t *count, size_t room)
{
    add_leases(&reports->sent, out, count, room);
    add_leases(&reports->fresh, out, count, room);
}
