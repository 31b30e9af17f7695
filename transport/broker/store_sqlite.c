/* The default engine of the store: one SQLite file, write-ahead log, synchronous=FULL, one
 * connection.
 *
 * A batch is one transaction, and its commit is one fdatasync of the log. After an error inside
 * the batch it is rolled back and certainly not done. After an error from COMMIT the connection
 * is closed and opened again, and the mark on disk (a count of batches that wrote) tells
 * whether the batch is there: nothing is acknowledged on a guess. A batch that is found there
 * after a failed sync is only called done once it was written into the database file and
 * synced, since Linux may drop pages that a failed fsync left (fsync(2), "ERRORS": EIO).
 *
 * Checkpoints run while nothing waits (idle), and when the room of the log is nearly full, after
 * the batch was answered (tidy). The lock file refuses a second broker before SQLite is even
 * asked. */
#include "store_sqlite.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "path.h"
#include "store_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    WAL_IDLE_PAGES = 1024, /* 4 MB: less is not worth the two syncs */
    WAL_MANY_PAGES = 16384 /* 64 MB, where the log has no room of its own: a page that is not
                            * cached is looked for in four tables */
};

typedef int op_fn(struct sqlite_store *store, struct store_op *op);

static op_fn *const op_fns[STORE_KIND_COUNT] = {
    [STORE_ACCEPT] = sqlite_write_accept,    [STORE_MOVE] = sqlite_write_move,
    [STORE_NOTE] = sqlite_write_note,        [STORE_GET] = sqlite_read_get,
    [STORE_DUE] = sqlite_read_due,           [STORE_LANES] = sqlite_read_lanes,
    [STORE_BACKLOG] = sqlite_read_backlog,   [STORE_LIVE] = sqlite_read_live,
    [STORE_BODY] = sqlite_read_body,         [STORE_LIST] = sqlite_read_list,
    [STORE_HISTORY] = sqlite_read_history,   [STORE_COUNTS] = sqlite_read_counts,
    [STORE_SWEEP] = sqlite_write_sweep,      [STORE_HOLD] = sqlite_write_hold,
    [STORE_EDIT] = sqlite_write_edit,        [STORE_FORGET] = sqlite_write_forget,
    [STORE_BACKUP] = sqlite_backup,          [STORE_AUDIT] = sqlite_write_audit,
    [STORE_SEGMENTS] = sqlite_read_segments, [STORE_KEEP] = sqlite_write_keep,
    [STORE_KEPT] = sqlite_read_kept,
};

/* These ops never look at the history. */
enum {
    BLIND_OPS = 1u << STORE_ACCEPT | 1u << STORE_MOVE | 1u << STORE_NOTE | 1u << STORE_HOLD |
                1u << STORE_EDIT | 1u << STORE_AUDIT | 1u << STORE_KEEP
};

/* The store is the first member, so the two have one address. */
static struct sqlite_store *of(struct store *store)
{
    return (struct sqlite_store *)store;
}

static enum err take_lock(struct sqlite_store *store, struct err_text *why)
{
    char *path = path_join(store->folder, "lock");
    enum err err = ERR_OK;
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd < 0) {
        err = err_set_errno(why, ERR_STORAGE, errno, "%s", path);
    } else if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK
                  ? err_set(why, ERR_CONFLICT, "%s: another broker has this store open", path)
                  : err_set_errno(why, ERR_STORAGE, errno, "flock %s", path);
    }
    free(path);
    return err;
}

static void free_store(struct sqlite_store *store)
{
    sqlite_backup_drop(store);
    sqlite_db_disconnect(store);
    sqlite_log_unregister(&store->log);
    digest_maker_free(&store->digests);
    if (store->lock_fd >= 0) {
        (void)close(store->lock_fd);
    }
    free(store->duplicates);
    free(store->later.entries);
    free(store->folder);
    free(store->path);
    free(store);
}

static enum err open_store(struct sqlite_store *store, struct err_text *why)
{
    enum err err = path_make_folder(store->folder, 0700, why);
    if (err != ERR_OK) {
        return err_set(why, ERR_STORAGE, "data folder %s cannot be made", store->folder);
    }
    err = take_lock(store, why);
    if (err != ERR_OK) {
        return err;
    }
    sqlite_backup_clean(store);
    if (sqlite_log_register(&store->log) != SQLITE_OK) {
        return err_set(why, ERR_STORAGE, "SQLite has no file system to stand on");
    }
    err = sqlite_db_connect(store, why);
    if (err != ERR_OK) {
        return err;
    }
    err = sqlite_db_read_mark(store, &store->now, why);
    if (err != ERR_OK) {
        return err;
    }
    err = sqlite_db_count(store, &store->now, why);
    if (err != ERR_OK) {
        return err;
    }
    int64_t edits = 0;
    if (sqlite_db_query_int(store->db, "select 1 from edit limit 1", &edits,
                            &store->has_edits) != SQLITE_OK) {
        return sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    bool any = false;
    if (sqlite_db_query_int(store->db, "select at from history order by number desc limit 1",
                            &store->base.newest_ms, &any) != SQLITE_OK) {
        return sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    err = sqlite_db_raise_epoch(store, why);
    if (err != ERR_OK) {
        return err;
    }
    /* Now the names of database and log are there to be made durable. */
    return path_sync_folder(store->folder, why) == ERR_OK ? ERR_OK : ERR_STORAGE;
}

static enum err engine_open(const struct store_options *options, struct store **out,
                            struct err_text *why)
{
    /* Nobody asks SQLite how much memory it uses, and counting it takes a mutex for each
     * allocation. Refused once SQLite has started: then it counts. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    struct sqlite_store *store = mem_zero(1, sizeof *store);
    store->base.engine = &store_sqlite;
    store->lock_fd = -1;
    store->digests = digest_maker_new();
    store->folder = mem_text(options->folder);
    store->path = path_join(options->folder, "store.db");
    store->reserve_bytes = options->reserve_bytes;
    store->log_bytes = options->log_bytes;
    enum err err = open_store(store, why);
    if (err != ERR_OK) {
        free_store(store);
        return err;
    }
    *out = &store->base;
    return ERR_OK;
}

static void engine_close(struct store **store)
{
    if (*store != NULL) {
        free_store(of(*store));
        *store = NULL;
    }
}

/* What an error inside a batch means for the caller. Disk and memory may recover; damage and
 * our own bugs do not. */
static enum store_call call_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return STORE_CALL_UNAVAILABLE;
    default:
        return STORE_CALL_FATAL;
    }
}

/* Give the duplicates' rows to their ops once the batch is committed; forget them when it is
 * not. */
static void settle_duplicates(struct sqlite_store *store, bool done)
{
    for (size_t i = 0; i < store->duplicate_count; i++) {
        struct sqlite_duplicate *duplicate = &store->duplicates[i];
        if (done) {
            duplicate->op->accept.row = duplicate->row;
        } else {
            store_row_fini(&duplicate->row);
        }
    }
    store->duplicate_count = 0;
}

static void roll_back(struct sqlite_store *store)
{
    /* Some errors roll back by themselves (sqlite.org/lang_transaction.html). */
    if (sqlite3_get_autocommit(store->db) == 0) {
        int rc = sqlite_db_run(sqlite_db_statement(store, SQL_ROLLBACK));
        if (rc != SQLITE_OK) {
            log_warn("store-rollback", "sqlite=%d", rc);
            sqlite_db_disconnect(store);
        }
    }
    store->now = store->before;
    store->later.count = 0;
    sqlite_db_forget_heads(store);
}

/* Open again after a failure. When a commit is in doubt, find out whether it is there: *done
 * tells. */
static enum err reconnect(struct sqlite_store *store, bool *done, struct err_text *why)
{
    struct sqlite_tally mark = {0};
    *done = false;
    enum err err = sqlite_db_connect(store, why);
    if (err != ERR_OK) {
        return err;
    }
    err = sqlite_db_read_mark(store, &mark, why);
    if (err != ERR_OK) {
        goto out;
    }
    if (store->in_doubt && mark.batch == store->now.batch) {
        int rc =
            sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        if (rc != SQLITE_OK) {
            err = sqlite_db_error(store->db, ERR_STORAGE, "checkpoint", why);
            goto out;
        }
        *done = true;
    } else if (mark.batch == store->before.batch) {
        store->now = store->before;
    } else {
        err = err_set(why, ERR_CONFIG, "%s: somebody else wrote into it", store->path);
        goto out;
    }
    store->in_doubt = false;
out:
    if (err != ERR_OK) {
        sqlite_db_disconnect(store);
    }
    return err;
}

static enum store_call resolve_commit(struct sqlite_store *store, struct err_text *why)
{
    struct err_text reopen_why = {0};
    bool done = false;
    log_error("store-commit-failed", "reason=\"%s\"", why->text);
    store->in_doubt = true;
    sqlite_db_disconnect(store);
    enum err err = reconnect(store, &done, &reopen_why);
    if (err == ERR_CONFIG) {
        *why = reopen_why;
        return STORE_CALL_FATAL;
    }
    if (err != ERR_OK) {
        *why = reopen_why;
        return STORE_CALL_UNKNOWN;
    }
    log_warn("store-commit-resolved", "done=%s", done ? "yes" : "no");
    return done ? STORE_CALL_DONE : STORE_CALL_UNAVAILABLE;
}

static int mark_batch(struct sqlite_store *store)
{
    if (!store->wrote) {
        return SQLITE_OK;
    }
    store->now.batch++;
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_MARK_SET);
    const int64_t values[] = {(int64_t)store->now.batch, (int64_t)store->now.last_pk};
    sqlite_db_bind_ints(statement, 1, values, 2);
    for (int i = 0, place = 3; i < STORE_LOG_COUNT; i++, place += 6) {
        const struct chain *chain = &store->now.chains[i];
        const int64_t numbers[] = {chain->day, (int64_t)chain->first, (int64_t)chain->last,
                                   (int64_t)chain->count};
        sqlite_db_bind_ints(statement, place, numbers, 4);
        sqlite_db_bind_bytes(statement, place + 4, chain->start, DIGEST_BYTES);
        sqlite_db_bind_bytes(statement, place + 5, chain->head, DIGEST_BYTES);
    }
    return sqlite_db_run(statement);
}

static int run_op(struct sqlite_store *store, struct store_op *op)
{
    bool blind = (BLIND_OPS >> op->kind & 1) != 0;
    int rc = blind ? SQLITE_OK : sqlite_later_write(store);
    return rc == SQLITE_OK ? op_fns[op->kind](store, op) : rc;
}

static int run_ops(struct sqlite_store *store, struct store_op *const ops[], size_t count)
{
    int rc = sqlite_db_run(sqlite_db_statement(store, SQL_BEGIN));
    for (size_t i = 0; i < count && rc == SQLITE_OK; i++) {
        struct store_op *op = ops[i];
        op->result = STORE_PENDING;
        op->event_number = 0;
        if (store_op_check(op)) {
            rc = run_op(store, op);
        }
    }
    rc = rc == SQLITE_OK ? sqlite_later_write(store) : rc;
    return rc == SQLITE_OK ? mark_batch(store) : rc;
}

static enum store_call run_batch(struct sqlite_store *store, struct store_op *const ops[],
                                 size_t count, struct err_text *why)
{
    store->before = store->now;
    store->wrote = false;
    int rc = run_ops(store, ops, count);
    if (rc != SQLITE_OK) {
        (void)sqlite_db_error(store->db, ERR_STORAGE, "store", why);
        roll_back(store);
        return call_of(rc);
    }
    rc = sqlite_db_run(sqlite_db_statement(store, SQL_COMMIT));
    if (rc == SQLITE_OK) {
        return STORE_CALL_DONE;
    }
    (void)sqlite_db_error(store->db, ERR_STORAGE, "commit", why);
    return resolve_commit(store, why);
}

/* Move the log into the database file. A failure is no loss: the log stays, and the next
 * commit tells more. */
static void checkpoint(struct sqlite_store *store)
{
    int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (rc != SQLITE_OK) {
        log_warn("store-checkpoint-failed", "sqlite=%d pages=%d", rc, store->wal_pages);
    }
    store->wal_pages = 0;
}

/* The head of a day that is over goes into the log of the program: a copy of it leaves the machine with the journal, and so
 * proves the day against whoever can write the store. */
static void tell_heads(const struct sqlite_store *store)
{
    for (int i = 0; i < STORE_LOG_COUNT; i++) {
        const struct chain *over = &store->before.chains[i];
        char date[CHAIN_DATE_BYTES];
        char head[2 * DIGEST_BYTES + 1];
        if (over->count > 0 && over->first != store->now.chains[i].first) {
            log_info("evidence-day", "log=%s day=%s entries=%" PRIu64 " head=%s",
                     i == STORE_LOG_EVENTS ? "events" : "audit", chain_date(over->day, date),
                     over->count, digest_hex(over->head, DIGEST_BYTES, head));
        }
    }
}

static enum store_call engine_exec(struct store *base, struct store_op *const ops[],
                                   size_t count, struct err_text *why)
{
    struct sqlite_store *store = of(base);
    struct err_text reason = {0};
    bool done = false;
    enum store_call call = STORE_CALL_UNAVAILABLE;
    enum err err = store->db != NULL ? ERR_OK : reconnect(store, &done, &reason);
    if (err == ERR_OK) {
        call = run_batch(store, ops, count, &reason);
    } else if (err == ERR_CONFIG) {
        call = STORE_CALL_FATAL;
    }
    settle_duplicates(store, call == STORE_CALL_DONE);
    if (call == STORE_CALL_DONE) {
        tell_heads(store);
        return call;
    }
    for (size_t i = 0; i < count; i++) {
        store_op_reset(ops[i]);
    }
    if (why != NULL) {
        *why = reason;
    }
    return call;
}

/* Part of the log's room, so that the next batch fits into the rest; a page there has a header of 24 bytes. */
static int pages_of_room(const struct sqlite_store *store)
{
    enum { FRAME = 4096 + 24 };
    return store->log.room > 0 ? (int)(store->log.room / FRAME * 3 / 4) : WAL_MANY_PAGES;
}

static void engine_tidy(struct store *base)
{
    struct sqlite_store *store = of(base);
    (void)sqlite_backup_step(store, SQLITE_BACKUP_BUSY_PAGES);
    if (store->db != NULL && store->wal_pages >= pages_of_room(store)) {
        checkpoint(store);
    }
}

static bool engine_idle(struct store *base)
{
    struct sqlite_store *store = of(base);
    if (store->db != NULL && store->wal_pages >= WAL_IDLE_PAGES) {
        checkpoint(store);
    }
    return sqlite_backup_step(store, SQLITE_BACKUP_IDLE_PAGES);
}

/* The number lies in a day that was swept. */
#define SWEPT(number)                                                                          \
    "exists (select 1 from segment where log = 0 and swept > 0 and " number                    \
    " between first and last)"

/* What must hold between the tables; each query gives a row for each breach. */
static const struct {
    const char *query;
    const char *finding;
} invariants[] = {
    {"select pk from request where pk not in (select pk from key)", "request %lld has no key"},
    {"select pk from key where pk not in (select pk from request)", "key of no request %lld"},
    {"select pk from body where pk not in (select pk from request)", "body of no request %lld"},
    {"select pk from request where phase <> 0 and pk not in (select pk from body)",
     "request %lld is not final and has no body"},
    {"select pk from edit where pk not in (select pk from body)", "edit of no body %lld"},
    {"select pk from label where until = 0 and pk not in (select pk from request)",
     "label of no request %lld"},
    {"select pk from request where last_event <> 0 and"
     " last_event not in (select number from history) and not " SWEPT("last_event"),
     "request %lld: its newest event is gone"},
    {"select number from history where prev <> 0 and"
     " prev not in (select number from history) and not " SWEPT("prev"),
     "event %lld: the one before it is gone"},
};

static enum err check_invariants(struct sqlite_store *store, struct err_text *why)
{
    for (size_t i = 0; i < sizeof invariants / sizeof invariants[0]; i++) {
        sqlite3_stmt *statement = NULL;
        enum err err = ERR_OK;
        int rc = sqlite3_prepare_v2(store->db, invariants[i].query, -1, &statement, NULL);
        rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
        if (rc == SQLITE_ROW) {
            char text[128];
            (void)sqlite3_snprintf(sizeof text, text, invariants[i].finding,
                                   sqlite3_column_int64(statement, 0));
            err = err_set(why, ERR_STORAGE, "%s: %s", store->path, text);
        } else if (rc != SQLITE_DONE) {
            err = sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
        }
        (void)sqlite3_finalize(statement);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static enum err engine_check(struct store *base, struct err_text *why)
{
    struct sqlite_store *store = of(base);
    bool done = false;
    enum err err = store->db != NULL ? ERR_OK : reconnect(store, &done, why);
    if (err != ERR_OK) {
        return err;
    }
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, "pragma integrity_check(1)", -1, &statement, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc != SQLITE_ROW) {
        err = sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    } else {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text == NULL || strcmp(text, "ok") != 0) {
            err = err_set(why, ERR_STORAGE, "%s: %s", store->path, text != NULL ? text : "?");
        }
    }
    (void)sqlite3_finalize(statement);
    if (err == ERR_OK) {
        err = check_invariants(store, why);
    }
    return err == ERR_OK ? sqlite_chain_check(store, why) : err;
}

const struct store_engine store_sqlite = {
    .name = "sqlite",
    .open = engine_open,
    .exec = engine_exec,
    .tidy = engine_tidy,
    .idle = engine_idle,
    .check = engine_check,
    .close = engine_close,
};
