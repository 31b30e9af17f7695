/* A copy of the SQLite store while it is in use (sqlite.org/backup.html).
 *
 * The copy is read through the one connection, in steps between batches; what that connection writes meanwhile goes into the copy
 * by itself, so it never has to start anew. The copy's file has a connection of its own; the rule of one connection is
 * about the store's file. The copy is not synced before it is whole.
 *
 * Before it counts as ready it is made safe to be used after the store went on without it: its epoch is raised above all that the
 * store can use in the meantime (one a start), so that leases, permits and event numbers of the two never meet; and what
 * is not final is held, since it may be sent after the copy was made. A person releases it, or does not. */
#include "store_sqlite.h"

#include "log.h"
#include "mem.h"
#include "path.h"
#include "store_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A store would have to be started so often between the backup and its use. */
#define EPOCH_AHEAD "100000"

static const char make_safe[] =
    "update meta set value = value + " EPOCH_AHEAD " where key = 'epoch';"
    "update request set state = 1 where state = 2;"
    "update request set held = 1, phase = 2, reason = 'in a backup: it may have been sent "
    "since'"
    " where state in (1, 4) and held = 0;"
    "pragma journal_mode = delete;";

_Static_assert(STATE_ACCEPTED == 1 && STATE_LEASED == 2 && STATE_DEFERRED == 4 &&
                   STORE_PHASE_HELD == 2,
               "numbers in the SQL above");

void sqlite_backup_clean(const struct sqlite_store *store)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char *path = store_backup_path(store->folder);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char *one = mem_format("%s%s", path, ends[i]);
        (void)unlink(one);
        free(one);
    }
    free(path);
}

static void close_copy(struct sqlite_store *store)
{
    if (store->backup != NULL) {
        (void)sqlite3_backup_finish(store->backup);
        store->backup = NULL;
    }
    (void)sqlite3_close_v2(store->backup_db);
    store->backup_db = NULL;
}

static void fail(struct sqlite_store *store, const char *why)
{
    (void)snprintf(store->backup_why, sizeof store->backup_why, "%s", why);
    log_warn("store-backup", "result=failed text=\"%s\"", store->backup_why);
    close_copy(store);
    sqlite_backup_clean(store);
}

void sqlite_backup_cut(struct sqlite_store *store)
{
    if (store->backup != NULL) {
        fail(store, "the store was opened anew meanwhile");
    }
}

void sqlite_backup_drop(struct sqlite_store *store)
{
    if (store->backup != NULL || store->backup_ready) {
        close_copy(store);
        sqlite_backup_clean(store);
    }
    store->backup_ready = false;
    store->backup_why[0] = '\0';
}

static void begin(struct sqlite_store *store, struct store_op *op)
{
    if (store->backup != NULL) {
        store_op_refuse(op, "another backup is under way");
        return;
    }
    sqlite_backup_drop(store);
    char *path = store_backup_path(store->folder);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(path, &store->backup_db, flags, NULL);
    free(path);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(store->backup_db, "pragma synchronous = off", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        store->backup = sqlite3_backup_init(store->backup_db, "main", store->db, "main");
    }
    if (store->backup == NULL) {
        store_op_refuse(op, "%s", sqlite3_errmsg(store->backup_db));
        close_copy(store);
        return;
    }
    store->backup_done = 0;
    store->backup_pages = 0;
    op->result = STORE_DONE;
    log_info("store-backup", "result=begun");
}

static enum err sync_file(const char *path, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum err err = ERR_OK;
    if (fd < 0 || fsync(fd) != 0) {
        err = err_set_errno(why, ERR_STORAGE, errno, "%s", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return err;
}

/* All pages are there: make it safe, bring it to the disk. */
static void finish(struct sqlite_store *store)
{
    struct err_text why = {0};
    (void)sqlite3_backup_finish(store->backup);
    store->backup = NULL;
    if (sqlite3_exec(store->backup_db,
                     "pragma synchronous = full; pragma locking_mode = exclusive;", NULL, NULL,
                     NULL) != SQLITE_OK ||
        sqlite3_exec(store->backup_db, make_safe, NULL, NULL, NULL) != SQLITE_OK) {
        fail(store, sqlite3_errmsg(store->backup_db));
        return;
    }
    close_copy(store);
    char *path = store_backup_path(store->folder);
    enum err err = sync_file(path, &why);
    free(path);
    if (err == ERR_OK) {
        err = path_sync_folder(store->folder, &why);
    }
    if (err != ERR_OK) {
        fail(store, why.text);
        return;
    }
    store->backup_ready = true;
    log_info("store-backup", "result=ready pages=%" PRIu64, store->backup_pages);
}

bool sqlite_backup_step(struct sqlite_store *store, int pages)
{
    if (store->backup == NULL || store->db == NULL) {
        return false;
    }
    int rc = sqlite3_backup_step(store->backup, pages);
    store->backup_pages = (uint64_t)sqlite3_backup_pagecount(store->backup);
    store->backup_done =
        store->backup_pages - (uint64_t)sqlite3_backup_remaining(store->backup);
    if (rc == SQLITE_DONE) {
        finish(store);
    } else if (rc != SQLITE_OK) {
        fail(store, sqlite3_errstr(rc));
    }
    return store->backup != NULL;
}

int sqlite_backup(struct sqlite_store *store, struct store_op *op)
{
    if (op->backup.step == STORE_BACKUP_BEGIN) {
        begin(store, op);
        return SQLITE_OK;
    }
    if (op->backup.step == STORE_BACKUP_DROP) {
        sqlite_backup_drop(store);
        op->result = STORE_DONE;
        return SQLITE_OK;
    }
    op->backup.pages_done = store->backup_done;
    op->backup.pages = store->backup_pages;
    op->backup.ready = store->backup_ready;
    if (store->backup_why[0] != '\0') {
        store_op_refuse(op, "%s", store->backup_why);
    } else {
        op->result =
            store->backup != NULL || store->backup_ready ? STORE_DONE : STORE_NOT_FOUND;
    }
    return SQLITE_OK;
}
