/* The SQLite engine's connection: modes and statements. The tables stand in store_sqlite_schema.c.
 *
 * Exactly one connection ever writes (locking_mode=EXCLUSIVE, one thread): SQLite before 3.51.3
 * can corrupt a log that two connections write and checkpoint at the same moment
 * (sqlite.org/wal.html, "The WAL-reset bug"). EXCLUSIVE also keeps the index of the log in our
 * own memory: no -shm file.
 */
#include "store_sqlite.h"

#include "mem.h"
#include "path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for the log is made in advance where so many times as much is free. */
enum { LOG_SHARE = 4 };

static const char modes[] =
    "pragma locking_mode = exclusive;"
    /* At 8192 a body of 4 KB leaves half a page empty. */
    "pragma page_size = 4096;"
    "pragma journal_mode = wal;"
    /* NORMAL would not sync the log at each commit. */
    "pragma synchronous = full;"
    "pragma cache_size = -8192;" /* KiB */
    "pragma foreign_keys = off;"
    "pragma temp_store = memory;"
    /* Debian builds with SECURE_DELETE; FAST zeroes only where that costs no write. */
    "pragma secure_delete = fast;"
    /* We checkpoint ourselves (store_sqlite.c). */
    "pragma wal_autocheckpoint = 0;"
    "pragma journal_size_limit = 268435456;";

#define ROW                                                                                    \
    "pk, state, lease, last_event, visible_at, changed_at, attempt, losses, partial, "         \
    "priority,"                                                                                \
    " expire_at, accepted_at, recipients, profile, producer, id, worker, reason, results,"     \
    " supersede_key, labels, held"

#define LANE                                                                                   \
    "select profile, producer, priority from request indexed by request_due where phase = 1"

static const char *const texts[SQL_COUNT] = {
    [SQL_BEGIN] = "begin",
    [SQL_COMMIT] = "commit",
    [SQL_ROLLBACK] = "rollback",
    [SQL_MARK_SET] =
        "update mark set batch = ?, last_pk = ?, event_day = ?, event_first = ?, event_last = "
        "?,"
        " event_count = ?, event_start = ?, event_head = ?, audit_day = ?, audit_first = ?,"
        " audit_last = ?, audit_count = ?, audit_start = ?, audit_head = ? where one = 1",
    [SQL_KEY_ADD] = "insert into key (pk, id, producer, digest) values (?, ?, ?, ?)"
                    " on conflict do nothing",
    [SQL_KEY_GET] = "select pk, digest from key where id = ? and producer = ?",
    [SQL_KEY_DROP] = "delete from key where id = ? and producer = ?",
    [SQL_REQUEST_ADD] =
        "insert into request (pk, state, phase, lease, last_event, visible_at, changed_at,"
        " attempt, losses, partial, priority, expire_at, accepted_at, recipients,"
        " profile, producer, id, worker, reason, results, supersede_key, labels)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_REQUEST_GET] = "select " ROW " from request where pk = ?",
    [SQL_REQUEST_BY_KEY] = "select " ROW " from request where pk ="
                           " (select pk from key where id = ? and producer = ?)",
    [SQL_REQUEST_BY_ID] = "select " ROW " from request where pk ="
                          " (select max(pk) from key where id = ?)",
    [SQL_REQUEST_HEAD] =
        "select state, lease, last_event, visible_at, held from request where pk = ?",
    /* Names no column of request_due, so SQLite leaves that index alone. */
    [SQL_REQUEST_MOVE] = "update request set state = ?2, lease = ?3, last_event = ?4,"
                         " changed_at = ?5, attempt = ?6, losses = ?7, partial = ?8,"
                         " worker = ?9, reason = ?10, results = coalesce(?11, results)"
                         " where pk = ?1",
    [SQL_REQUEST_REPLACE] = "update request set state = ?2, lease = ?3, last_event = ?4,"
                            " changed_at = ?5, attempt = ?6, losses = ?7, partial = ?8,"
                            " worker = ?9, reason = ?10, results = coalesce(?11, results),"
                            " visible_at = ?12, phase = ?13, held = 0 where pk = ?1",
    [SQL_REQUEST_HOLD] = "update request set held = ?2, phase = ?3, visible_at = ?4,"
                         " changed_at = ?5, last_event = ?6, reason = ?7 where pk = ?1",
    [SQL_REQUEST_EDIT] = "update request set profile = coalesce(?2, profile),"
                         " results = coalesce(?3, results), changed_at = ?4, last_event = ?5"
                         " where pk = ?1",
    [SQL_REQUEST_EVENT] = "update request set last_event = ? where pk = ?",
    [SQL_REQUEST_DROP] = "delete from request where pk = ?",
    [SQL_REQUEST_LIVE] = "select " ROW " from request not indexed where state in (2, 3)",
    [SQL_REQUEST_LIST] = "select " ROW " from request where pk > ? order by pk limit ?",
    [SQL_REQUEST_SUPERSEDED] = "select " ROW " from request indexed by request_supersede"
                               " where phase <> 0 and supersede_key <> '' and producer = ?"
                               " and supersede_key = ? and pk > ? order by pk limit ?",
    [SQL_REQUEST_OLD] = "select pk, state, last_event, phase, changed_at, accepted_at, id,"
                        " producer, labels from request where pk > ? order by pk limit ?",
    /* Two walks, since SQLite 3.40 does not seek by (visible_at, pk) > (?, ?) but walks over
     * all rows of that time, which may be many. */
    [SQL_DUE_SAME] = "select " ROW " from request indexed by request_due where phase = 1"
                     " and profile = ? and producer = ? and priority = ?"
                     " and visible_at = ? and pk > ? and state in (1, 4)"
                     " order by pk limit ?",
    [SQL_DUE] = "select " ROW " from request indexed by request_due where phase = 1"
                " and profile = ? and producer = ? and priority = ?"
                " and visible_at > ? and visible_at <= ? and state in (1, 4)"
                " order by visible_at, pk limit ?",
    [SQL_DUE_NEXT] = "select visible_at from request indexed by request_due where phase = 1"
                     " and profile = ? and producer = ? and priority = ? and visible_at > ?"
                     " and state in (1, 4) order by visible_at limit 1",
    [SQL_BACKLOG] = "select profile, held, recipients, results from request not indexed"
                    " where phase = 1 or held = 1 order by pk",
    /* Three seeks from lane to lane instead of a walk over all rows; one by
     * (profile, producer, priority) > (?, ?, ?) would be such a walk in SQLite 3.40. */
    [SQL_LANE_PRIORITY] = LANE " and profile = ? and producer = ? and priority > ?"
                               " order by priority limit 1",
    [SQL_LANE_PRODUCER] = LANE " and profile = ? and producer > ?"
                               " order by producer, priority limit 1",
    [SQL_LANE_PROFILE] = LANE " and profile > ? order by profile, producer, priority limit 1",
    [SQL_BODY_ADD] = "insert into body (pk, payload) values (?, ?)",
    [SQL_BODY_GET] = "select payload from body where pk = ?",
    [SQL_EDIT_SET] = "insert into edit (pk, data) values (?, ?)"
                     " on conflict do update set data = excluded.data",
    [SQL_EDIT_GET] = "select data from edit where pk = ?",
    [SQL_EDIT_DROP] = "delete from edit where pk = ?",
    [SQL_LABEL_ADD] = "insert into label (text, pk) values (?, ?) on conflict do nothing",
    [SQL_LABEL_AFTER] = "select pk from label where text = ? and pk > ? order by pk limit ?",
    [SQL_LABEL_THERE] = "select 1 from label where text = ? and pk = ?",
    [SQL_LABEL_END] = "update label set until = ?3 where text = ?1 and pk = ?2",
    [SQL_LABEL_DROP] = "delete from label where text = ? and pk = ?",
    [SQL_LABEL_SWEEP] = "delete from label where (text, pk) in (select text, pk from label"
                        " where until <> 0 and until between ? and ? limit ?)",
    [SQL_BODY_THERE] = "select 1 from body where pk = ?",
    [SQL_BODY_DROP] = "delete from body where pk = ?",
    /* FAIL needs no copy of the pages as they were before the statement: an error rolls the whole batch back. */
    [SQL_EVENTS_ADD] = "insert or fail into history (number, request, prev, at, event, chain)"
                       " select number, request, prev, at, event, chain from later",
    [SQL_EVENT_GET] = "select number, request, at, event, chain from history where number = ?",
    [SQL_EVENT_PREV] = "select prev from history where number = ?",
    [SQL_EVENT_AFTER] = "select number, request, at, event, chain from history"
                        " where number > ? order by number limit ?",
    [SQL_EVENT_SWEEP] = "delete from history where number in (select number from history"
                        " where number >= ? and number <= ? order by number limit ?)",
    [SQL_AUDIT_ADD] = "insert into audit (number, at, record, chain) values (?, ?, ?, ?)",
    [SQL_AUDIT_AFTER] = "select number, 0, at, record, chain from audit where number > ?"
                        " order by number limit ?",
    [SQL_AUDIT_SWEEP] = "delete from audit where number in (select number from audit"
                        " where number >= ? and number <= ? order by number limit ?)",
    [SQL_SEGMENT_ADD] = "insert into segment (log, first, day, last, count, start, head, swept)"
                        " values (?, ?, ?, ?, ?, ?, ?, 0)",
    [SQL_SEGMENT_AFTER] = "select first, day, last, count, start, head, swept from segment"
                          " where log = ? and first > ? order by first limit ?",
    [SQL_SEGMENT_OLD] = "select first, last from (select first, last, day from segment"
                        " where log = ? and swept < 2 order by first limit 1) where day < ?",
    [SQL_SEGMENT_SWEPT] = "update segment set swept = ?3 where log = ?1 and first = ?2",
    [SQL_KEEP_SET] = "insert into kept (name, value) values (?, ?)"
                     " on conflict do update set value = excluded.value",
    [SQL_KEEP_DROP] = "delete from kept where name = ?",
    [SQL_KEPT_FROM] = "select name, value from kept where name >= ? order by name limit ?",
};

_Static_assert(STATE_ACCEPTED == 1 && STATE_LEASED == 2 && STATE_PERMITTED == 3 &&
                   STATE_DEFERRED == 4,
               "numbers in the SQL above");

enum err sqlite_db_error(sqlite3 *db, enum err code, const char *what, struct err_text *why)
{
    int sys_errno = db != NULL ? sqlite3_system_errno(db) : 0;
    const char *text = db != NULL ? sqlite3_errmsg(db) : "out of memory";
    int number = db != NULL ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    (void)err_set(why, code, "%s: %s (sqlite %d)", what, text, number);
    if (why != NULL) {
        why->sys_errno = sys_errno;
    }
    return code;
}

sqlite3_stmt *sqlite_db_statement(struct sqlite_store *store, enum sql sql)
{
    return store->statements[sql];
}

int sqlite_db_run(sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    (void)sqlite3_reset(statement); /* says again what step said */
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

void sqlite_db_bind_ints(sqlite3_stmt *statement, int first, const int64_t *values, int count)
{
    for (int i = 0; i < count; i++) {
        (void)sqlite3_bind_int64(statement, first + i, values[i]);
    }
}

void sqlite_db_bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    (void)sqlite3_bind_text(statement, place, text != NULL ? text : "", -1, SQLITE_STATIC);
}

void sqlite_db_bind_bytes(sqlite3_stmt *statement, int place, const void *data, size_t len)
{
    (void)sqlite3_bind_blob64(statement, place, data, len, SQLITE_STATIC);
}

void sqlite_db_read_text(sqlite3_stmt *statement, int column, char *out, size_t room)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    size_t len = (size_t)sqlite3_column_bytes(statement, column);
    if (text == NULL) {
        bug("out of memory");
    }
    len = len < room ? len : room - 1;
    memcpy(out, text, len);
    out[len] = '\0';
}

void sqlite_db_read_row(sqlite3_stmt *statement, struct store_row *row)
{
    int at = 0;
    row->pk = (uint64_t)sqlite3_column_int64(statement, at++);
    row->state = (enum state)sqlite3_column_int(statement, at++);
    row->lease = (uint64_t)sqlite3_column_int64(statement, at++);
    row->last_event = (uint64_t)sqlite3_column_int64(statement, at++);
    row->visible_at_ms = sqlite3_column_int64(statement, at++);
    row->changed_at_ms = sqlite3_column_int64(statement, at++);
    row->attempt = (uint32_t)sqlite3_column_int64(statement, at++);
    row->losses = (uint32_t)sqlite3_column_int64(statement, at++);
    row->partial = sqlite3_column_int(statement, at++) != 0;
    row->priority = sqlite3_column_int(statement, at++);
    row->expire_at_ms = sqlite3_column_int64(statement, at++);
    row->accepted_at_ms = sqlite3_column_int64(statement, at++);
    row->recipients = (uint32_t)sqlite3_column_int64(statement, at++);
    sqlite_db_read_text(statement, at++, row->profile, sizeof row->profile);
    sqlite_db_read_text(statement, at++, row->producer, sizeof row->producer);
    sqlite_db_read_text(statement, at++, row->id, sizeof row->id);
    sqlite_db_read_text(statement, at++, row->worker, sizeof row->worker);
    sqlite_db_read_text(statement, at++, row->reason, sizeof row->reason);
    row->results_len = (size_t)sqlite3_column_bytes(statement, at);
    row->results = row->results_len > 0
                       ? mem_copy(sqlite3_column_blob(statement, at), row->results_len)
                       : NULL;
    at++;
    sqlite_db_read_text(statement, at++, row->supersede_key, sizeof row->supersede_key);
    row->labels = sqlite3_column_bytes(statement, at) > 0
                      ? mem_text((const char *)sqlite3_column_text(statement, at))
                      : NULL;
    at++;
    row->held = sqlite3_column_int(statement, at) != 0;
}

int sqlite_db_query_int(sqlite3 *db, const char *text, int64_t *out, bool *found)
{
    sqlite3_stmt *statement = NULL;
    *found = false;
    int rc = sqlite3_prepare_v2(db, text, -1, &statement, NULL);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
        *found = true;
    }
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* A pragma that SQLite could not follow is not an error to it: it answers with what it does
 * instead. */
static enum err check_mode(sqlite3 *db, const char *pragma, const char *wanted,
                           struct err_text *why)
{
    sqlite3_stmt *statement = NULL;
    enum err err = ERR_OK;
    if (sqlite3_prepare_v2(db, pragma, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        err = sqlite_db_error(db, ERR_STORAGE, pragma, why);
    } else {
        const char *got = (const char *)sqlite3_column_text(statement, 0);
        if (got == NULL || strcmp(got, wanted) != 0) {
            err = err_set(why, ERR_STORAGE, "%s: %s wanted, %s given", pragma, wanted,
                          got != NULL ? got : "nothing");
        }
    }
    (void)sqlite3_finalize(statement);
    return err;
}

enum err sqlite_db_run_text(sqlite3 *db, const char *text, const char *what,
                            struct err_text *why)
{
    int rc = sqlite3_exec(db, text, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        return ERR_OK;
    }
    bool foreign = (rc & 0xff) == SQLITE_NOTADB;
    return sqlite_db_error(db, foreign ? ERR_CONFIG : ERR_STORAGE, what, why);
}

static int note_wal_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_store *store = arg;
    (void)db;
    (void)name;
    store->wal_pages = pages;
    return SQLITE_OK;
}

static enum err prepare_all(struct sqlite_store *store, struct err_text *why)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        if (sqlite3_prepare_v3(store->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK) {
            return sqlite_db_error(store->db, ERR_STORAGE, texts[i], why);
        }
    }
    return ERR_OK;
}

enum err sqlite_db_connect(struct sqlite_store *store, struct err_text *why)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_EXRESCODE;
    enum err err = ERR_OK;
    bool small = sqlite_log_space_below(store->folder,
                                        store->reserve_bytes + LOG_SHARE * store->log_bytes);
    store->log.room = small ? 0 : (int64_t)store->log_bytes;
    if (sqlite3_open_v2(store->path, &store->db, flags, store->log.name) != SQLITE_OK) {
        err = sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
        goto out;
    }
    err = sqlite_db_run_text(store->db, modes, store->path, why);
    if (err != ERR_OK) {
        goto out;
    }
    err = check_mode(store->db, "pragma locking_mode", "exclusive", why);
    if (err != ERR_OK) {
        goto out;
    }
    err = check_mode(store->db, "pragma journal_mode", "wal", why);
    if (err != ERR_OK) {
        goto out;
    }
    err = sqlite_schema_open(store, why);
    if (err != ERR_OK) {
        goto out;
    }
    (void)sqlite3_wal_hook(store->db, note_wal_pages, store);
    if (sqlite_later_attach(store) != SQLITE_OK) {
        err = sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
        goto out;
    }
    err = prepare_all(store, why);
out:
    if (err != ERR_OK) {
        sqlite_db_disconnect(store);
    }
    return err;
}

void sqlite_db_disconnect(struct sqlite_store *store)
{
    sqlite_backup_cut(store); /* it reads through this connection */
    for (int i = 0; i < SQL_COUNT; i++) {
        (void)sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    (void)sqlite3_close_v2(store->db);
    store->db = NULL;
    store->wal_pages = 0;
    sqlite_db_forget_heads(store);
}

void sqlite_db_forget_heads(struct sqlite_store *store)
{
    memset(store->heads, 0, sizeof store->heads);
}

enum err sqlite_db_raise_epoch(struct sqlite_store *store, struct err_text *why)
{
    static const uint64_t epoch_max = (UINT64_C(1) << (63 - STORE_SEQUENCE_BITS)) - 1;
    int64_t epoch = 0;
    bool found = false;
    enum err err = sqlite_db_run_text(
        store->db, "update meta set value = value + 1 where key = 'epoch'", store->path, why);
    if (err != ERR_OK) {
        return err;
    }
    if (sqlite_db_query_int(store->db, "select value from meta where key = 'epoch'", &epoch,
                            &found) != SQLITE_OK) {
        return sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    if (!found || epoch <= 0 || (uint64_t)epoch > epoch_max) {
        return err_set(why, ERR_STORAGE, "%s: the epoch in it is damaged", store->path);
    }
    store->base.epoch = (uint64_t)epoch;
    return ERR_OK;
}

/* One log's chain from the columns of the mark that begin there. */
static bool read_chain(sqlite3_stmt *statement, int column, struct chain *chain)
{
    if (sqlite3_column_bytes(statement, column + 4) != DIGEST_BYTES ||
        sqlite3_column_bytes(statement, column + 5) != DIGEST_BYTES) {
        return false;
    }
    chain->day = sqlite3_column_int64(statement, column);
    chain->first = (uint64_t)sqlite3_column_int64(statement, column + 1);
    chain->last = (uint64_t)sqlite3_column_int64(statement, column + 2);
    chain->count = (uint64_t)sqlite3_column_int64(statement, column + 3);
    memcpy(chain->start, sqlite3_column_blob(statement, column + 4), DIGEST_BYTES);
    memcpy(chain->head, sqlite3_column_blob(statement, column + 5), DIGEST_BYTES);
    return true;
}

enum err sqlite_db_read_mark(struct sqlite_store *store, struct sqlite_tally *out,
                             struct err_text *why)
{
    enum { FIRST_CHAIN = 2, CHAIN_COLUMNS = 6 };
    sqlite3_stmt *statement = NULL;
    enum err err = ERR_OK;
    int rc = sqlite3_prepare_v2(
        store->db,
        "select batch, last_pk, event_day, event_first, event_last, event_count, event_start,"
        " event_head, audit_day, audit_first, audit_last, audit_count, audit_start, audit_head"
        " from mark",
        -1, &statement, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc == SQLITE_ROW) {
        out->batch = (uint64_t)sqlite3_column_int64(statement, 0);
        out->last_pk = (uint64_t)sqlite3_column_int64(statement, 1);
        for (int i = 0; i < STORE_LOG_COUNT && err == ERR_OK; i++) {
            if (!read_chain(statement, FIRST_CHAIN + i * CHAIN_COLUMNS, &out->chains[i])) {
                err = err_set(why, ERR_STORAGE, "%s: the mark in it is damaged", store->path);
            }
        }
    } else if (rc == SQLITE_DONE) {
        err = err_set(why, ERR_STORAGE, "%s: the mark in it is gone", store->path);
    } else {
        err = sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    (void)sqlite3_finalize(statement);
    return err;
}

void sqlite_count_in(struct sqlite_tally *tally, enum state state, uint64_t pk)
{
    struct sqlite_span *span = &tally->spans[state];
    if (tally->by_state[state]++ == 0) {
        *span = (struct sqlite_span){.first = pk, .last = pk};
    } else if (pk < span->first) {
        span->first = pk;
    } else if (pk > span->last) {
        span->last = pk;
    }
}

void sqlite_count_out(struct sqlite_tally *tally, enum state state)
{
    tally->by_state[state]--;
}

enum err sqlite_db_count(struct sqlite_store *store, struct sqlite_tally *out,
                         struct err_text *why)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, "select state, held, pk from request not indexed",
                                -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        for (rc = sqlite3_step(statement); rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
            int64_t state = sqlite3_column_int64(statement, 0);
            if (state > STATE_NONE && state < STATE_COUNT) {
                sqlite_count_in(out, (enum state)state,
                                (uint64_t)sqlite3_column_int64(statement, 2));
                out->held += sqlite3_column_int(statement, 1) != 0 ? 1 : 0;
            }
        }
    }
    enum err err =
        rc == SQLITE_DONE ? ERR_OK : sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    (void)sqlite3_finalize(statement);
    return err;
}
