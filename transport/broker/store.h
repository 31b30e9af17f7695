/* The durable store: one interface, several engines, one set of contract tests.
 *
 * Shape: a synchronous batch call that one thread drives (store_thread.h). No completion callbacks inside an engine,
 * no SQL outside one. A batch is one transaction: when exec returns STORE_CALL_DONE every op in it that says
 * STORE_DONE is on disk; a refused op changes nothing and does not fail its neighbours.
 *
 * What is kept for a request:
 *
 *   row      state, times, lease, counters, results per recipient        until retention ends
 *   key      producer + id -> row, content digest                        outlives the row's body
 *   body     the request's bytes as its producer sent them               until SENT or HANDED_OFF; else until retention ends
 *   edit     what an operator changed of it, beside the body             as the body
 *   labels   texts "name=value" -> rows                                  until the history of the row ends
 *   history  every event, of a request or of none, append-only, in commit order  by whole days, by a retention time of its own
 *   audit    what operators did and were refused, append-only            as the history
 *   kept     small named values of the broker (pauses, counters)         until forgotten by name
 *
 * History and audit are chained by digests, day by day (chain.h). A day that was swept leaves its stretch of the chain
 * (STORE_SEGMENTS): where it began, where it ended, how many entries it had.
 *
 * Events are numbered by the engine as they are written: epoch (rises at every open) and sequence (1, 2, 3 … in an epoch,
 * without gaps, for a rolled back batch takes its numbers back). So whoever publishes only what was committed publishes
 * without gaps, and what was missed can be read back by number. */
#ifndef TPN_STORE_H
#define TPN_STORE_H

#include "backlog.h"
#include "chain.h"
#include "err.h"
#include "state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORE_PRODUCER_BYTES = 64 + 1,
    STORE_ID_BYTES = 128 + 1,
    STORE_PROFILE_BYTES = 64 + 1,
    STORE_WORKER_BYTES = 128 + 1,
    STORE_REASON_BYTES = 256,
    STORE_SUPERSEDE_BYTES = 200 + 1,
    STORE_LABEL_BYTES = 64 + 1 + 512 + 1, /* "name=value" */
    STORE_LABELS_MAX = 32,                /* of one request */
    STORE_NAME_BYTES = 255 + 1,           /* of a kept value */
    STORE_DIGEST_BYTES = 32,
    STORE_SCHEMA_VERSION = 2
};

/* Log room of a broker (store_options.log_bytes). */
enum { STORE_LOG_BYTES = 16 * 1024 * 1024 };

/* A request as it stands. Texts are NUL-terminated. */
struct store_row {
    uint64_t pk; /* 1 and up, rises with acceptance */
    char producer[STORE_PRODUCER_BYTES];
    char id[STORE_ID_BYTES];
    char profile[STORE_PROFILE_BYTES]; /* "" = the request carries its settings */
    enum state state;
    int priority;          /* 1 bulk, 2 normal, 3 urgent */
    int64_t visible_at_ms; /* wall clock: not to be leased before */
    int64_t expire_at_ms;  /* wall clock: give up then; 0 = never */
    int64_t accepted_at_ms;
    int64_t changed_at_ms;
    uint32_t attempt; /* leases that came to a permit or a result */
    uint32_t losses;  /* workers lost while they held it */
    uint64_t lease;   /* of the present or last lease; 0 = none yet */
    char worker[STORE_WORKER_BYTES];
    bool partial;
    char reason[STORE_REASON_BYTES];
    uint32_t recipients; /* how many it has */
    uint8_t *
        results; /* packed PB(RequestStatus) with field recipients only: every recipient, in order */
    size_t results_len;
    uint64_t last_event; /* number of its newest history entry, 0 = none */
    char supersede_key[STORE_SUPERSEDE_BYTES]; /* "" = none */
    char *labels; /* a line "name=value\n" each, in the order given; null = none */
    bool held;    /* an operator holds it: it takes no turn. Any MOVE ends that */
};

/* Free what a row holds; accepts a zeroed one. */
void store_row_fini(struct store_row *row);

/* Events are numbered epoch << STORE_SEQUENCE_BITS | sequence. */
enum { STORE_SEQUENCE_BITS = 40 };

/* One entry of the history. */
struct store_event {
    uint64_t number;
    uint64_t pk;
    int64_t at_ms;
    uint8_t *
        data; /* packed PB(StatusEvent) without epoch and sequence; of the audit: PB(AuditRecord) */
    size_t len;
    bool chained;                /* false: written before the store had a chain (schema 1) */
    uint8_t chain[DIGEST_BYTES]; /* chain value of the entry */
    bool matches; /* its request has the label that was asked for; true when none was */
};

/* The two chained logs. The numbers are on disk. */
enum store_log {
    STORE_LOG_EVENTS = 0, /* the history */
    STORE_LOG_AUDIT = 1,
    STORE_LOG_COUNT
};

/* A day of a log. */
struct store_segment {
    struct chain chain;
    bool open;    /* the present day: it still grows */
    bool swept;   /* its entries are gone, or going */
    bool chained; /* false: the entries from before the store had a chain */
};

enum store_backup_step {
    STORE_BACKUP_BEGIN, /* one at a time: a second one is REFUSED */
    STORE_BACKUP_LOOK,  /* how far it is; NOT_FOUND when there is none */
    STORE_BACKUP_DROP   /* forget it and its file, whole or not */
};

/* A small named value. */
struct store_value {
    char name[STORE_NAME_BYTES];
    uint8_t *data;
    size_t len;
};

enum store_kind {
    STORE_ACCEPT, /* a new request */
    STORE_MOVE, /* every change of state: lease, permit, result, retry, release, cancel, requeue … */
    STORE_NOTE,     /* an event without a change of state */
    STORE_HOLD,     /* take a waiting row out of its lane, or let it back */
    STORE_EDIT,     /* another profile or other recipients for a row that nobody has */
    STORE_FORGET,   /* drop a final row before its time; its history stays */
    STORE_AUDIT,    /* append to the audit log */
    STORE_GET,      /* one row by producer and id */
    STORE_DUE,      /* rows of a lane that are ready to be leased */
    STORE_LANES,    /* which lanes have live rows */
    STORE_BACKLOG,  /* what waits for each profile: asked once after open */
    STORE_LIVE,     /* rows LEASED or PERMITTED: asked once after open */
    STORE_BODY,     /* a request's bytes */
    STORE_LIST,     /* rows by filter, page by page */
    STORE_HISTORY,  /* events of one request, or by number */
    STORE_COUNTS,   /* how many rows in each state */
    STORE_SWEEP,    /* forget what is older than the retention times, a bounded step */
    STORE_SEGMENTS, /* the days of a log */
    STORE_KEEP,     /* set or forget a kept value */
    STORE_KEPT,     /* kept values by the begin of their name */
    STORE_BACKUP,   /* copy the store while it is in use */
    STORE_KIND_COUNT
};

enum store_result {
    STORE_PENDING =
        0, /* not executed yet, or the call was not DONE: such an op is as before and may be given again */
    STORE_DONE,
    STORE_DUPLICATE, /* ACCEPT: same producer, id and digest; row tells how it stands */
    STORE_CONFLICT,  /* ACCEPT: same producer and id, other digest */
    STORE_STALE, /* MOVE, HOLD, EDIT, FORGET: the row's lease or state is not what the op expects: nothing was changed */
    STORE_NOT_FOUND,
    STORE_REFUSED /* the op itself is wrong; why says how */
};

/* What the whole call came to. */
enum store_call {
    STORE_CALL_DONE, /* committed: results hold */
    STORE_CALL_UNAVAILABLE, /* certainly not done, nothing changed; try again later (disk full, I/O error) */
    STORE_CALL_UNKNOWN, /* the commit may or may not have happened: ask again with the same keys */
    STORE_CALL_FATAL    /* the store cannot be used any more */
};

/* A lane: what takes turns. Rows of one lane are leased in the order (visible_at_ms, pk). */
struct store_lane {
    char profile[STORE_PROFILE_BYTES];
    char producer[STORE_PRODUCER_BYTES];
    int priority;
};

/* What waits for one profile: rows ACCEPTED, DEFERRED, LEASED or PERMITTED (not UNKNOWN). */
struct store_backlog {
    char profile[STORE_PROFILE_BYTES];
    struct backlog waiting; /* without those that are held */
    struct backlog held;
};

/* One operation. Input is borrowed until the call returns; output belongs to the op (store_op_fini). */
struct store_op {
    enum store_kind kind;
    enum store_result result;
    struct err_text why;

    union {
        struct {
            struct store_row
                row; /* in: all but pk, last_event, results, labels, held; out: pk, or the duplicate's row */
            const uint8_t *results; /* row.results of the new row, borrowed; may be null */
            size_t results_len;
            uint8_t digest[STORE_DIGEST_BYTES];
            const uint8_t *body; /* borrowed */
            size_t body_len;
            bool known_only;    /* only tell whether it is known: a new one is NOT_FOUND */
            const char *labels; /* as row.labels, borrowed; may be null */
        } accept;
        struct {
            uint64_t pk;
            uint64_t expect_lease; /* the row must have it; UINT64_MAX = any */
            enum state from;       /* the row must be in it */
            enum state to;
            int64_t visible_at_ms; /* new values, written as they are */
            int64_t changed_at_ms;
            uint32_t attempt;
            uint32_t losses;
            uint64_t lease;
            bool partial;
            const char *worker;     /* borrowed; null = "" */
            const char *reason;     /* borrowed; null = "" */
            const uint8_t *results; /* borrowed; null = leave as it is */
            size_t results_len;
        } move; /* SENT and HANDED_OFF drop the body at once; FAILED, EXPIRED, CANCELLED and UNKNOWN keep it, since they can be
                   driven again (REFUSED "the body is gone" when it is not there). A move that leaves visible_at_ms as it
                   was is cheaper: the index of the lanes is not touched. So leases and permits should leave it */
        struct {
            uint64_t pk; /* 0 = an event of no request */
            const char *
                keep; /* borrowed: name of a kept value that is set in the same commit; null = none */
            const uint8_t *data; /* borrowed: as in keep */
            size_t len;
        } note;
        struct {
            uint64_t pk;
            enum state from; /* ACCEPTED or DEFERRED: the row must be in it */
            bool held;       /* new value; REFUSED when it has it already */
            int64_t visible_at_ms;
            int64_t changed_at_ms;
            const char *reason; /* borrowed; null = "" */
        } hold;                 /* a held row is not due, and no MOVE may lease it (STALE) */
        struct {
            uint64_t pk;
            enum state
                from; /* the row must be in it; not LEASED, PERMITTED, SENT, HANDED_OFF */
            const char *profile; /* borrowed; null = as it was */
            const uint8_t *
                data; /* borrowed: the whole edit, in place of an earlier one; packed PB(RequestEdit) */
            size_t len;
            const uint8_t *results; /* borrowed; null = leave as it is */
            size_t results_len;
            int64_t changed_at_ms;
        } edit; /* REFUSED "the body is gone" when it is not there */
        struct {
            uint64_t pk;
            enum state from; /* final; the row must be in it */
            int64_t at_ms;
        } forget; /* row, key, body and edit; the event is the last of its history */
        struct {
            int64_t at_ms;
            const uint8_t *data; /* borrowed: packed PB(AuditRecord) */
            size_t len;
            uint64_t number; /* out: 1, 2, 3 … */
        } audit;
        struct {
            const char *producer; /* null = any: the newest row of that id */
            const char *id;
            struct store_row row; /* out */
        } get;
        struct {
            struct store_lane lane;
            int64_t now_ms;
            int64_t after_ms; /* cursor: rows behind (after_ms, after_pk) */
            uint64_t after_pk;
            size_t limit;
            struct store_row *rows; /* out: ACCEPTED or DEFERRED, visible_at_ms <= now_ms */
            size_t count;
            int64_t
                next_due_ms; /* out: visible_at_ms of the first row after now_ms, 0 = none */
        } due;
        struct {
            struct store_lane *
                lanes; /* out: with a row ACCEPTED, DEFERRED, LEASED or PERMITTED (not UNKNOWN), in order */
            size_t count;
        } lanes;
        struct {
            struct store_backlog *items; /* out: one for each profile with such rows */
            size_t count;
        } backlog; /* a walk over all rows */
        struct {
            struct store_row *rows; /* out */
            size_t count;
        } live;
        struct {
            uint64_t pk;
            uint8_t *data; /* out */
            size_t len;
            uint8_t *edit; /* out: of the newest EDIT; null = none */
            size_t edit_len;
        } body;
        struct {
            uint32_t
                states; /* mask 1 << state; 0 = all. When nobody is in any of them, that is told without a walk */
            const char *profile;  /* null = any */
            const char *producer; /* null = any */
            const char *id_prefix;
            const char *label; /* "name=value"; null = any */
            /* Only rows that are not final and have this key; null = any. With a producer it is a short walk. */
            const char *supersede_key;
            int64_t since_ms;  /* accepted then or later; 0 = any */
            int64_t before_ms; /* accepted earlier; 0 = any */
            bool held_only;
            uint64_t after; /* cursor: pk */
            size_t limit;
            struct store_row *rows; /* out, by rising pk */
            size_t count;
            uint64_t
                next; /* out: cursor for the next page, 0 = that was all. May be set with count 0: an engine looks
                              at a bounded number of rows a call */
        } list;
        struct {
            enum store_log log; /* AUDIT: pk must be 0 */
            uint64_t pk; /* events of this request, oldest first; 0 = of all, by number */
            const char
                *label;     /* borrowed: sets store_event.matches; null = any. Only with pk 0 */
            uint64_t after; /* behind this number, rising; 0 = from the first */
            size_t limit;
            struct store_event *events; /* out */
            size_t count;
        } history;
        struct {
            uint64_t by_state[STATE_COUNT]; /* out */
            uint64_t held;                  /* out: of those ACCEPTED and DEFERRED */
        } counts;
        struct {
            int64_t before_ms; /* rows that became final before this go, with key and body */
            int64_t
                history_before_ms; /* days of both logs that ended before this go, the oldest first, and none before
                                        * those in front of it: a clock that once ran ahead keeps more. Their chain values stay */
            size_t limit;
            size_t swept;         /* out: rows */
            size_t history_swept; /* out: entries of both logs */
            bool more; /* out: not all rows were looked at yet, call again. An engine looks at a
                             bounded number of rows a call, and which old rows go first is its own affair */
        } sweep;
        struct {
            enum store_log log;
            uint64_t after; /* segments that begin behind this number; 0 = from the first */
            size_t limit;
            struct store_segment *segments; /* out, by rising number; the open one last */
            size_t count;
        } segments;
        struct {
            const char *name;    /* borrowed, not empty */
            const uint8_t *data; /* borrowed; null = forget it */
            size_t len;
        } keep;
        struct {
            enum store_backup_step step;
            uint64_t pages_done; /* out */
            uint64_t pages;
            bool ready; /* out: the file store_backup_path names is whole and on disk */
        } backup; /* A copy goes on in bounded steps between batches. It is a store of its own, with an epoch above all that
                         * this one can have used since; what is not final in it is held: it may be sent, before anybody uses
                         * the copy. What was under a permit is UNKNOWN there after the usual wait */
        struct {
            const char *prefix; /* borrowed; null = all */
            const char *after;  /* borrowed: names behind this one; null = from the first */
            size_t limit;
            struct store_value *values; /* out, by name */
            size_t count;
        } kept;
    };

    /* ACCEPT, MOVE, NOTE, HOLD, EDIT, FORGET: the event that is written with the change. */
    const uint8_t
        *event; /* packed PB(StatusEvent) without epoch and sequence, borrowed; null = none */
    size_t event_len;
    uint64_t event_number; /* out; 0 when none was written */

    /* MOVE: only done when this op, which stands before it in the same batch, was DONE; else it is STALE. Null = in any case. */
    const struct store_op *only_if;

    void *owner; /* the caller's; engines leave it alone */
};

/* Free what an op's output holds. Accepts a zeroed op. */
void store_op_fini(struct store_op *op);

struct store_options {
    const char *
        folder; /* data folder; made when missing, mode 0700. The reference engine ignores it */
    /* When less is free on the disk (looked at once a second) a new ACCEPT is answered STORE_REFUSED with why "disk: less than
     * N bytes free"; duplicates are still told, and the other ops of its batch go on. 0 = no reserve. */
    uint64_t reserve_bytes;
    /* Room for the log that is made when it is opened, so that commits need not wait for the file to grow. Left out on a disk
     * where little is free beside it and the reserve. 0 = none is made. */
    uint64_t log_bytes;
};

/* The file of a backup, in the data folder; the caller frees it. */
char *store_backup_path(const char *folder);

/* An open store. Engines put this first in their own struct. */
struct store {
    const struct store_engine *engine;
    uint64_t epoch;    /* of this open: higher than at any earlier one */
    int64_t newest_ms; /* time of the newest event when it was opened; 0 = there is none */
};

struct store_engine {
    const char *name;
    /* An older schema is brought up to date in one transaction.
     * ERR_CONFLICT: another process has it open. ERR_CONFIG: a newer schema, or no store. ERR_STORAGE: disk. */
    enum err (*open)(const struct store_options *options, struct store **out,
                     struct err_text *why);
    /* Run the ops in order in one transaction and commit it durably. Fills result (and output) of each. */
    enum store_call (*exec)(struct store *store, struct store_op *const ops[], size_t count,
                            struct err_text *why);
    /* What exec did was answered: do the housekeeping that cannot wait until nothing does (the log is full). */
    void (*tidy)(struct store *store);
    /* Nothing waits: do a bounded piece of housekeeping (checkpoint). True when there is more of it. */
    bool (*idle)(struct store *store);
    /* Check the whole store for damage, the chains of both logs included. ERR_STORAGE with the first finding in why. */
    enum err (*check)(struct store *store, struct err_text *why);
    /* Close and null. */
    void (*close)(struct store **store);
};

extern const struct store_engine store_sqlite; /* one file, WAL, synchronous=FULL */
extern const struct store_engine
    store_memory; /* the small reference: for tests, forgets everything at close */

#endif
