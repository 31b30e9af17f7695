/* The two chained logs of the SQLite engine: history and audit.
 *
 * The open day of each log stands in the tally, so it is rolled back with the batch, and goes to disk with the mark of
 * the batch: the chain costs no write of its own but one row a day. Each entry carries its chain value, so whoever reads
 * from the middle need not work out the day from its begin. */
#include "store_sqlite.h"

#include "mem.h"
#include "store_rules.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

static int close_day(struct sqlite_store *store, enum store_log log)
{
    const struct chain *chain = &store->now.chains[log];
    const int64_t values[] = {(int64_t)log, (int64_t)chain->first, chain->day,
                              (int64_t)chain->last, (int64_t)chain->count};
    enum { INTS = sizeof values / sizeof values[0] };
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_SEGMENT_ADD);
    sqlite_db_bind_ints(statement, 1, values, INTS);
    sqlite_db_bind_bytes(statement, INTS + 1, chain->start, DIGEST_BYTES);
    sqlite_db_bind_bytes(statement, INTS + 2, chain->head, DIGEST_BYTES);
    return sqlite_db_run(statement);
}

int sqlite_chain_add(struct sqlite_store *store, enum store_log log,
                     const struct chain_entry *entry)
{
    struct chain *chain = &store->now.chains[log];
    int rc = SQLITE_OK;
    if (chain_turns(chain, entry->at_ms)) {
        rc = chain->count > 0 ? close_day(store, log) : SQLITE_OK;
        chain_turn(chain, store->digests, chain_day_of(entry->at_ms));
    }
    chain_add(chain, store->digests, entry);
    return rc;
}

int sqlite_write_audit(struct sqlite_store *store, struct store_op *op)
{
    const struct chain *chain = &store->now.chains[STORE_LOG_AUDIT];
    const struct chain_entry entry = {.number = chain->last + 1,
                                      .at_ms = op->audit.at_ms,
                                      .data = op->audit.data,
                                      .len = op->audit.len};
    store->wrote = true;
    int rc = sqlite_chain_add(store, STORE_LOG_AUDIT, &entry);
    if (rc != SQLITE_OK) {
        return rc;
    }
    const int64_t values[2] = {(int64_t)entry.number, entry.at_ms};
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_AUDIT_ADD);
    sqlite_db_bind_ints(statement, 1, values, 2);
    sqlite_db_bind_bytes(statement, 3, entry.data, entry.len);
    sqlite_db_bind_bytes(statement, 4, chain->head, DIGEST_BYTES);
    op->audit.number = entry.number;
    op->result = STORE_DONE;
    return sqlite_db_run(statement);
}

/* ---- reading ---- */

static void read_digest(sqlite3_stmt *statement, int column, uint8_t out[DIGEST_BYTES])
{
    if (sqlite3_column_bytes(statement, column) == DIGEST_BYTES) {
        memcpy(out, sqlite3_column_blob(statement, column), DIGEST_BYTES);
    }
}

static void read_segment(sqlite3_stmt *statement, struct store_segment *segment)
{
    segment->chain.first = (uint64_t)sqlite3_column_int64(statement, 0);
    segment->chain.day = sqlite3_column_int64(statement, 1);
    segment->chain.last = (uint64_t)sqlite3_column_int64(statement, 2);
    segment->chain.count = (uint64_t)sqlite3_column_int64(statement, 3);
    segment->chained = sqlite3_column_bytes(statement, 5) == DIGEST_BYTES;
    read_digest(statement, 4, segment->chain.start);
    read_digest(statement, 5, segment->chain.head);
    segment->swept = sqlite3_column_int(statement, 6) != 0;
}

int sqlite_read_segments(struct sqlite_store *store, struct store_op *op)
{
    const struct chain *open = &store->now.chains[op->segments.log];
    size_t limit = op->segments.limit < INT_MAX ? op->segments.limit : INT_MAX;
    const int64_t values[] = {(int64_t)op->segments.log, (int64_t)op->segments.after,
                              (int64_t)limit};
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_SEGMENT_AFTER);
    sqlite_db_bind_ints(statement, 1, values, sizeof values / sizeof values[0]);
    int rc = sqlite3_step(statement);
    for (; rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
        read_segment(statement,
                     store_segments_add(&op->segments.segments, &op->segments.count));
    }
    (void)sqlite3_reset(statement);
    if (rc == SQLITE_DONE && op->segments.count < limit && open->count > 0 &&
        open->first > op->segments.after) {
        *store_segments_add(&op->segments.segments, &op->segments.count) =
            (struct store_segment){.chain = *open, .open = true, .chained = true};
    }
    op->result = STORE_DONE;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- forgetting ---- */

static int sweep_range(struct sqlite_store *store, enum sql sql, const int64_t values[3],
                       size_t *swept)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, sql);
    sqlite_db_bind_ints(statement, 1, values, 3);
    int rc = sqlite_db_run(statement);
    *swept = rc == SQLITE_OK ? (size_t)sqlite3_changes(store->db) : 0;
    return rc;
}

static int mark_swept(struct sqlite_store *store, enum store_log log, int64_t first, bool gone)
{
    const int64_t values[3] = {(int64_t)log, first, gone ? 2 : 1};
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_SEGMENT_SWEPT);
    sqlite_db_bind_ints(statement, 1, values, 3);
    return sqlite_db_run(statement);
}

/* A step in the oldest day of the log that is left, if it may go; *found false when it may not. Days go in their order, so
 * what is left has no holes, and a clock that was set back for a moment makes nothing go early. */
static int sweep_log(struct sqlite_store *store, enum store_log log, int64_t before_day,
                     size_t limit, size_t *swept, bool *found)
{
    const int64_t values[2] = {(int64_t)log, before_day};
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_SEGMENT_OLD);
    sqlite_db_bind_ints(statement, 1, values, 2);
    int rc = sqlite3_step(statement);
    *found = rc == SQLITE_ROW;
    *swept = 0;
    const int64_t first = *found ? sqlite3_column_int64(statement, 0) : 0;
    const int64_t last = *found ? sqlite3_column_int64(statement, 1) : 0;
    (void)sqlite3_reset(statement);
    if (!*found) {
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    store->wrote = true;
    const int64_t range[3] = {first, last, (int64_t)limit};
    size_t labels = 0;
    rc = sweep_range(store, log == STORE_LOG_EVENTS ? SQL_EVENT_SWEEP : SQL_AUDIT_SWEEP, range,
                     swept);
    if (rc == SQLITE_OK && *swept < limit && log == STORE_LOG_EVENTS) {
        rc = sweep_range(store, SQL_LABEL_SWEEP, range,
                         &labels); /* of requests that ended then */
    }
    return rc == SQLITE_OK ? mark_swept(store, log, first, *swept < limit && labels < limit)
                           : rc;
}

int sqlite_chain_sweep(struct sqlite_store *store, int64_t before_ms, size_t limit,
                       size_t *swept, bool *more)
{
    int64_t before_day = chain_day_of(before_ms);
    int rc = SQLITE_OK;
    *more = false;
    for (int log = 0; log < STORE_LOG_COUNT && rc == SQLITE_OK; log++) {
        size_t gone = 0;
        bool found = true;
        /* Many small days go in one call, a large one in many calls. */
        for (size_t days = 0; found && days < limit && *swept < limit && rc == SQLITE_OK;
             days++) {
            rc = sweep_log(store, (enum store_log)log, before_day, limit - *swept, &gone,
                           &found);
            *swept += gone;
        }
        *more = *more || found;
    }
    return rc;
}

/* ---- checking ---- */

struct walk {
    struct sqlite_store *store;
    enum store_log log;
    sqlite3_stmt *entries;
    uint64_t after;
    struct err_text *why;
};

static enum err find(struct walk *walk, int64_t day, uint64_t number, const char *finding)
{
    char date[CHAIN_DATE_BYTES];
    return err_set(walk->why, ERR_STORAGE, "%s: %s %" PRIu64 " of %s: %s", walk->store->path,
                   walk->log == STORE_LOG_EVENTS ? "event" : "audit record", number,
                   chain_date(day, date), finding);
}

/* One entry of a day: *chain is what it must continue. */
static enum err check_entry(struct walk *walk, struct chain *chain)
{
    const struct chain_entry entry = {
        .number = (uint64_t)sqlite3_column_int64(walk->entries, 0),
        .request = (uint64_t)sqlite3_column_int64(walk->entries, 1),
        .at_ms = sqlite3_column_int64(walk->entries, 2),
        .data = sqlite3_column_blob(walk->entries, 3),
        .len = (size_t)sqlite3_column_bytes(walk->entries, 3),
    };
    uint8_t stored[DIGEST_BYTES] = {0};
    read_digest(walk->entries, 4, stored);
    chain_add(chain, walk->store->digests, &entry);
    if (memcmp(chain->head, stored, sizeof stored) != 0) {
        return find(walk, chain->day, entry.number,
                    "it was changed, or one before it is missing");
    }
    return ERR_OK;
}

/* The entries of one day, recomputed from its start. */
static enum err check_day(struct walk *walk, const struct store_segment *segment)
{
    const struct chain *wanted = &segment->chain;
    struct chain chain = {0};
    memcpy(chain.head, wanted->start, sizeof chain.head);
    chain_turn(&chain, walk->store->digests, wanted->day);
    const int64_t values[2] = {(int64_t)walk->after, -1};
    sqlite_db_bind_ints(walk->entries, 1, values, 2);
    enum err err = ERR_OK;
    int rc = sqlite3_step(walk->entries);
    while (rc == SQLITE_ROW && err == ERR_OK) {
        uint64_t number = (uint64_t)sqlite3_column_int64(walk->entries, 0);
        if (number > wanted->last) {
            break;
        }
        err = segment->chained ? check_entry(walk, &chain) : ERR_OK;
        rc = sqlite3_step(walk->entries);
    }
    (void)sqlite3_reset(walk->entries);
    if (err == ERR_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
        err = sqlite_db_error(walk->store->db, ERR_STORAGE, walk->store->path, walk->why);
    }
    if (err == ERR_OK && segment->chained &&
        (chain.count != wanted->count || memcmp(chain.head, wanted->head, DIGEST_BYTES) != 0)) {
        err = find(walk, wanted->day, wanted->last, "the day does not end in it any more");
    }
    walk->after = wanted->last;
    return err;
}

static enum err check_segments(struct walk *walk, const struct store_op *op)
{
    static const uint8_t nothing[DIGEST_BYTES];
    const uint8_t *before = nothing;
    enum err err = ERR_OK;
    for (size_t i = 0; i < op->segments.count && err == ERR_OK; i++) {
        const struct store_segment *segment = &op->segments.segments[i];
        if (segment->chained && memcmp(segment->chain.start, before, DIGEST_BYTES) != 0) {
            return find(walk, segment->chain.day, segment->chain.first,
                        "the day does not begin where the one before it ended");
        }
        if (segment->swept) {
            walk->after = segment->chain.last;
        } else {
            err = check_day(walk, segment);
        }
        before = segment->chained ? segment->chain.head : before;
    }
    if (err != ERR_OK) {
        return err;
    }
    const int64_t values[2] = {(int64_t)walk->after, 1};
    sqlite_db_bind_ints(walk->entries, 1, values, 2);
    if (sqlite3_step(walk->entries) == SQLITE_ROW) {
        int64_t at_ms = sqlite3_column_int64(walk->entries, 2);
        err = find(walk, chain_day_of(at_ms), (uint64_t)sqlite3_column_int64(walk->entries, 0),
                   "it is in no day's chain");
    }
    (void)sqlite3_reset(walk->entries);
    return err;
}

enum err sqlite_chain_check(struct sqlite_store *store, struct err_text *why)
{
    enum err err = ERR_OK;
    for (int log = 0; log < STORE_LOG_COUNT && err == ERR_OK; log++) {
        struct store_op op = {.kind = STORE_SEGMENTS,
                              .segments = {.log = (enum store_log)log, .limit = INT_MAX}};
        struct walk walk = {
            .store = store,
            .log = (enum store_log)log,
            .entries = sqlite_db_statement(store, log == STORE_LOG_EVENTS ? SQL_EVENT_AFTER
                                                                          : SQL_AUDIT_AFTER),
            .why = why,
        };
        err = sqlite_read_segments(store, &op) == SQLITE_OK
                  ? check_segments(&walk, &op)
                  : sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
        store_op_fini(&op);
    }
    return err;
}
