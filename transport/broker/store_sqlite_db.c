/* The SQLite engine's connection: modes, schema, statements. All SQL of the engine stands here.
 *
 * Exactly one connection ever writes (locking_mode=EXCLUSIVE, one thread): SQLite before 3.51.3
 * can corrupt a log that two connections write and checkpoint at the same moment
 * (sqlite.org/wal.html, "The WAL-reset bug"). EXCLUSIVE also keeps the index of the log in our
 * own memory: no -shm file.
 *
 * Shape of the data: rows that change often (request) apart from bytes that never change
 * (body) and from what is only appended (history). `phase` stands beside `state` so that the
 * partial index is touched when a request is accepted, put off or finished, and not by leases
 * and permits. There is no index for the sweep: it walks the rows (store_sqlite_write.c). */
#include "store_sqlite.h"

#include "mem.h"
#include "path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Times are wall clock milliseconds. uint64 values are stored as the int64 with the same
 * bits. */
static const char schema[] =
    "begin;"
    "create table meta (key text primary key, value integer not null) strict, without rowid;"
    /* By chance, so that lease numbers of two stores on one machine are not the same. */
    "insert into meta values ('schema', 1), ('epoch', abs(random() % 1048576));"
    /* One row: how far the last committed batch came. */
    "create table mark (one integer primary key check (one = 1), batch integer not null,"
    "  last_pk integer not null) strict;"
    "insert into mark values (1, 0, 0);"
    /* What a move looks at stands first. */
    "create table request (pk integer primary key, state integer not null,"
    "  phase integer not null, lease integer not null, last_event integer not null,"
    "  visible_at integer not null, changed_at integer not null, attempt integer not null,"
    "  losses integer not null, partial integer not null, priority integer not null,"
    "  expire_at integer not null, accepted_at integer not null, recipients integer not null,"
    "  profile text not null, producer text not null, id text not null,"
    "  worker text not null, reason text not null, results blob) strict;"
    "create index request_due on request (profile, producer, priority, visible_at)"
    "  where phase = 1;"
    /* id first: people ask for an id without its producer. */
    "create table key (id text not null, producer text not null, pk integer not null,"
    "  digest blob not null, primary key (id, producer)) strict, without rowid;"
    "create table body (pk integer primary key, payload blob not null) strict;"
    /* prev: the event before this one of the same request, 0 = it is the first. */
    "create table history (number integer primary key, request integer not null,"
    "  prev integer not null, at integer not null, event blob not null) strict;"
    "commit;";

#define ROW                                                                                    \
    "pk, state, lease, last_event, visible_at, changed_at, attempt, losses, partial, "         \
    "priority,"                                                                                \
    " expire_at, accepted_at, recipients, profile, producer, id, worker, reason, results"

#define LANE                                                                                   \
    "select profile, producer, priority from request indexed by request_due where phase = 1"

static const char *const texts[SQL_COUNT] = {
    [SQL_BEGIN] = "begin",
    [SQL_COMMIT] = "commit",
    [SQL_ROLLBACK] = "rollback",
    [SQL_MARK_SET] = "update mark set batch = ?, last_pk = ? where one = 1",
    [SQL_KEY_ADD] = "insert into key (pk, id, producer, digest) values (?, ?, ?, ?)"
                    " on conflict do nothing",
    [SQL_KEY_GET] = "select pk, digest from key where id = ? and producer = ?",
    [SQL_KEY_DROP] = "delete from key where id = ? and producer = ?",
    [SQL_REQUEST_ADD] =
        "insert into request (pk, state, phase, lease, last_event, visible_at, changed_at,"
        " attempt, losses, partial, priority, expire_at, accepted_at, recipients,"
        " profile, producer, id, worker, reason, results)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_REQUEST_GET] = "select " ROW " from request where pk = ?",
    [SQL_REQUEST_BY_KEY] = "select " ROW " from request where pk ="
                           " (select pk from key where id = ? and producer = ?)",
    [SQL_REQUEST_BY_ID] = "select " ROW " from request where pk ="
                          " (select max(pk) from key where id = ?)",
    [SQL_REQUEST_HEAD] =
        "select state, lease, last_event, visible_at from request where pk = ?",
    /* Names no column of request_due, so SQLite leaves that index alone. */
    [SQL_REQUEST_MOVE] = "update request set state = ?2, lease = ?3, last_event = ?4,"
                         " changed_at = ?5, attempt = ?6, losses = ?7, partial = ?8,"
                         " worker = ?9, reason = ?10, results = coalesce(?11, results)"
                         " where pk = ?1",
    [SQL_REQUEST_REPLACE] = "update request set state = ?2, lease = ?3, last_event = ?4,"
                            " changed_at = ?5, attempt = ?6, losses = ?7, partial = ?8,"
                            " worker = ?9, reason = ?10, results = coalesce(?11, results),"
                            " visible_at = ?12, phase = ?13 where pk = ?1",
    [SQL_REQUEST_EVENT] = "update request set last_event = ? where pk = ?",
    [SQL_REQUEST_DROP] = "delete from request where pk = ?",
    [SQL_REQUEST_LIVE] = "select " ROW " from request not indexed where state in (2, 3)",
    [SQL_REQUEST_LIST] = "select " ROW " from request where pk > ? order by pk limit ?",
    [SQL_REQUEST_OLD] = "select pk, state, last_event, phase, changed_at, accepted_at, id,"
                        " producer from request where pk > ? order by pk limit ?",
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
    /* Three seeks from lane to lane instead of a walk over all rows; one by
     * (profile, producer, priority) > (?, ?, ?) would be such a walk in SQLite 3.40. */
    [SQL_LANE_PRIORITY] = LANE " and profile = ? and producer = ? and priority > ?"
                               " order by priority limit 1",
    [SQL_LANE_PRODUCER] = LANE " and profile = ? and producer > ?"
                               " order by producer, priority limit 1",
    [SQL_LANE_PROFILE] = LANE " and profile > ? order by profile, producer, priority limit 1",
    [SQL_BODY_ADD] = "insert into body (pk, payload) values (?, ?)",
    [SQL_BODY_GET] = "select payload from body where pk = ?",
    [SQL_BODY_THERE] = "select 1 from body where pk = ?",
    [SQL_BODY_DROP] = "delete from body where pk = ?",
    [SQL_EVENT_ADD] = "insert into history (number, request, prev, at, event)"
                      " values (?, ?, ?, ?, ?)",
    [SQL_EVENT_GET] = "select number, request, at, event from history where number = ?",
    [SQL_EVENT_PREV] = "select prev from history where number = ?",
    [SQL_EVENT_AFTER] = "select number, request, at, event from history where number > ?"
                        " order by number limit ?",
    [SQL_EVENT_DROP] = "delete from history where number = ? returning prev",
};

_Static_assert(STATE_ACCEPTED == 1 && STATE_LEASED == 2 && STATE_PERMITTED == 3 &&
                   STATE_DEFERRED == 4,
               "numbers in the SQL above");
_Static_assert(STORE_SCHEMA_VERSION == 1, "number in the schema above");

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
}

/* The first column of the first row of a query; false when there is none. */
static int query_int(sqlite3 *db, const char *text, int64_t *out, bool *found)
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

static enum err run_text(sqlite3 *db, const char *text, const char *what, struct err_text *why)
{
    int rc = sqlite3_exec(db, text, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        return ERR_OK;
    }
    bool foreign = (rc & 0xff) == SQLITE_NOTADB;
    return sqlite_db_error(db, foreign ? ERR_CONFIG : ERR_STORAGE, what, why);
}

static enum err make_schema(struct sqlite_store *store, struct err_text *why)
{
    enum err err = run_text(store->db, schema, store->path, why);
    return err != ERR_OK ? err : path_sync_folder(store->folder, why);
}

static enum err check_schema(struct sqlite_store *store, struct err_text *why)
{
    int64_t tables = 0;
    int64_t version = 0;
    bool found = false;
    if (query_int(store->db, "select count(*) from sqlite_schema", &tables, &found) !=
        SQLITE_OK) {
        return sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    if (tables == 0) {
        return make_schema(store, why);
    }
    int rc =
        query_int(store->db, "select value from meta where key = 'schema'", &version, &found);
    if (rc == SQLITE_ERROR || (rc == SQLITE_OK && !found)) {
        return err_set(why, ERR_CONFIG, "%s: a database, but not a store of ours", store->path);
    }
    if (rc != SQLITE_OK) {
        return sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    if (version > STORE_SCHEMA_VERSION) {
        return err_set(why, ERR_CONFIG,
                       "%s: schema %" PRId64
                       " is newer than %d, the newest that this program knows:"
                       " start the newer program",
                       store->path, version, STORE_SCHEMA_VERSION);
    }
    if (version < STORE_SCHEMA_VERSION) {
        return err_set(why, ERR_CONFIG, "%s: schema %" PRId64 " cannot be brought up to %d",
                       store->path, version, STORE_SCHEMA_VERSION);
    }
    return ERR_OK;
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
    if (sqlite3_open_v2(store->path, &store->db, flags, store->log.name) != SQLITE_OK) {
        err = sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
        goto out;
    }
    err = run_text(store->db, modes, store->path, why);
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
    err = check_schema(store, why);
    if (err != ERR_OK) {
        goto out;
    }
    (void)sqlite3_wal_hook(store->db, note_wal_pages, store);
    err = prepare_all(store, why);
out:
    if (err != ERR_OK) {
        sqlite_db_disconnect(store);
    }
    return err;
}

void sqlite_db_disconnect(struct sqlite_store *store)
{
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
    enum err err = run_text(store->db, "update meta set value = value + 1 where key = 'epoch'",
                            store->path, why);
    if (err != ERR_OK) {
        return err;
    }
    if (query_int(store->db, "select value from meta where key = 'epoch'", &epoch, &found) !=
        SQLITE_OK) {
        return sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    if (!found || epoch <= 0 || (uint64_t)epoch > epoch_max) {
        return err_set(why, ERR_STORAGE, "%s: the epoch in it is damaged", store->path);
    }
    store->base.epoch = (uint64_t)epoch;
    return ERR_OK;
}

enum err sqlite_db_read_mark(struct sqlite_store *store, struct sqlite_tally *out,
                             struct err_text *why)
{
    int64_t batch = 0;
    int64_t last_pk = 0;
    bool found = false;
    bool also = false;
    if (query_int(store->db, "select batch from mark", &batch, &found) != SQLITE_OK ||
        query_int(store->db, "select last_pk from mark", &last_pk, &also) != SQLITE_OK) {
        return sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    if (!found || !also) {
        return err_set(why, ERR_STORAGE, "%s: the mark in it is gone", store->path);
    }
    out->batch = (uint64_t)batch;
    out->last_pk = (uint64_t)last_pk;
    return ERR_OK;
}

enum err sqlite_db_count(struct sqlite_store *store, uint64_t by_state[STATE_COUNT],
                         struct err_text *why)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, "select state from request not indexed", -1,
                                &statement, NULL);
    if (rc == SQLITE_OK) {
        for (rc = sqlite3_step(statement); rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
            int64_t state = sqlite3_column_int64(statement, 0);
            if (state > STATE_NONE && state < STATE_COUNT) {
                by_state[state]++;
            }
        }
    }
    enum err err =
        rc == SQLITE_DONE ? ERR_OK : sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    (void)sqlite3_finalize(statement);
    return err;
}
