/* Forgetting, in the SQLite engine: rows that are final for long, and days of the logs that are over for long.
 *
 * The two are apart. A row goes with its key, body and edit; its history stays, and its labels with it, until the day of the
 * history goes. A day of a log goes as a whole (store_sqlite_chain.c), whatever rows its entries are about: so what is left
 * of the chain has no holes. */
#include "store_sqlite.h"

#include "mem.h"
#include "store_rules.h"

#include <stdlib.h>
#include <string.h>

/* One row that goes: what else hangs on it. */
struct old_row {
    uint64_t pk;
    uint64_t last_event;
    enum state state;
    char id[STORE_ID_BYTES];
    char producer[STORE_PRODUCER_BYTES];
    char *labels; /* owned; null = none */
};

/* May the row under the statement go? */
static bool is_old(sqlite3_stmt *statement, int64_t before_ms)
{
    return sqlite3_column_int(statement, 3) == STORE_PHASE_FINAL &&
           sqlite3_column_int64(statement, 4) < before_ms;
}

static void read_old(sqlite3_stmt *statement, struct old_row *row)
{
    row->pk = (uint64_t)sqlite3_column_int64(statement, 0);
    row->state = (enum state)sqlite3_column_int(statement, 1);
    row->last_event = (uint64_t)sqlite3_column_int64(statement, 2);
    sqlite_db_read_text(statement, 6, row->id, sizeof row->id);
    sqlite_db_read_text(statement, 7, row->producer, sizeof row->producer);
    row->labels = sqlite3_column_bytes(statement, 8) > 0
                      ? mem_text((const char *)sqlite3_column_text(statement, 8))
                      : NULL;
}

/* Walk on from where the last call stopped, over a bounded number of rows, and collect what may
 * go before anything is dropped. Rows stand in the order of their acceptance, and none became
 * final before it was accepted: so the walk ends at the first that is too young, and seldom
 * sees a row in vain. That saves each message an index that only the sweep would use. */
static int find_old(struct sqlite_store *store, struct store_op *op, struct old_row **rows,
                    size_t *count)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_REQUEST_OLD);
    const int64_t values[2] = {(int64_t)store->sweep_pk, STORE_LIST_LOOK_ROWS};
    sqlite_db_bind_ints(statement, 1, values, 2);
    size_t room = 0;
    size_t looked = 0;
    int rc = SQLITE_ROW;
    op->sweep.more = true;
    while (*count < op->sweep.limit && looked < STORE_LIST_LOOK_ROWS) {
        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW || sqlite3_column_int64(statement, 5) >= op->sweep.before_ms) {
            op->sweep.more = false;
            break;
        }
        looked++;
        store->sweep_pk = (uint64_t)sqlite3_column_int64(statement, 0);
        if (is_old(statement, op->sweep.before_ms)) {
            if (*count == room) {
                room = room > 0 ? room * 2 : 64;
                *rows = mem_resize(*rows, room, sizeof **rows);
            }
            read_old(statement, &(*rows)[(*count)++]);
        }
    }
    if (!op->sweep.more) {
        store->sweep_pk = 0;
    }
    (void)sqlite3_reset(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Is an event of that number still there? */
static int find_event(struct sqlite_store *store, uint64_t number, bool *there)
{
    int rc = sqlite_later_write(store); /* the event of this very op may wait */
    if (rc != SQLITE_OK) {
        return rc;
    }
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_EVENT_PREV);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)number);
    rc = sqlite3_step(statement);
    *there = rc == SQLITE_ROW;
    (void)sqlite3_reset(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The labels outlive the row as long as its history does: they find it. */
static int end_labels(struct sqlite_store *store, const struct old_row *row)
{
    bool there = false;
    const char *cursor = row->labels;
    char label[STORE_LABEL_BYTES];
    int rc = row->labels != NULL ? find_event(store, row->last_event, &there) : SQLITE_OK;
    while (rc == SQLITE_OK && store_label_next(&cursor, label)) {
        sqlite3_stmt *statement =
            sqlite_db_statement(store, there ? SQL_LABEL_END : SQL_LABEL_DROP);
        const int64_t values[2] = {(int64_t)row->pk, (int64_t)row->last_event};
        sqlite_db_bind_text(statement, 1, label);
        sqlite_db_bind_ints(statement, 2, values, there ? 2 : 1);
        rc = sqlite_db_run(statement);
    }
    return rc;
}

static int drop_old(struct sqlite_store *store, const struct old_row *row)
{
    int rc = end_labels(store, row);
    if (rc == SQLITE_OK) {
        rc = sqlite_drop_by_pk(store, SQL_BODY_DROP, row->pk);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite_drop_by_pk(store, SQL_EDIT_DROP, row->pk);
    }
    if (rc == SQLITE_OK) {
        sqlite3_stmt *statement = sqlite_db_statement(store, SQL_KEY_DROP);
        sqlite_db_bind_text(statement, 1, row->id);
        sqlite_db_bind_text(statement, 2, row->producer);
        rc = sqlite_db_run(statement);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite_drop_by_pk(store, SQL_REQUEST_DROP, row->pk);
    }
    if (sqlite_head_place(store, row->pk)->pk == row->pk) {
        sqlite_head_place(store, row->pk)->pk = 0;
    }
    sqlite_count_out(&store->now, row->state);
    return rc;
}

int sqlite_write_sweep(struct sqlite_store *store, struct store_op *op)
{
    struct old_row *rows = NULL;
    size_t count = 0;
    bool more = false;
    int rc = find_old(store, op, &rows, &count);
    for (size_t i = 0; i < count; i++) {
        store->wrote = true;
        rc = rc == SQLITE_OK ? drop_old(store, &rows[i]) : rc;
        free(rows[i].labels);
    }
    free(rows);
    op->sweep.swept = count;
    op->sweep.history_swept = 0;
    if (rc == SQLITE_OK) {
        rc = sqlite_chain_sweep(store, op->sweep.history_before_ms, op->sweep.limit,
                                &op->sweep.history_swept, &more);
    }
    op->sweep.more = op->sweep.more || more;
    op->result = STORE_DONE;
    return rc;
}

/* The row as the sweep would have read it. */
static struct old_row old_of(struct store_row *row)
{
    struct old_row old = {.pk = row->pk, .last_event = row->last_event, .state = row->state};
    memcpy(old.id, row->id, sizeof old.id);
    memcpy(old.producer, row->producer, sizeof old.producer);
    old.labels = row->labels;
    row->labels = NULL; /* moved */
    return old;
}

int sqlite_write_forget(struct sqlite_store *store, struct store_op *op)
{
    struct store_row row = {0};
    struct old_row old = {0};
    bool found = false;
    int rc = sqlite_read_row(store, op->forget.pk, &row, &found);
    if (rc != SQLITE_OK || !found || row.state != op->forget.from) {
        op->result = found ? STORE_STALE : STORE_NOT_FOUND;
        goto out;
    }
    store->wrote = true;
    uint64_t number = sqlite_event_number(store, op);
    if (number != 0) {
        const int64_t values[4] = {(int64_t)number, (int64_t)row.pk, (int64_t)row.last_event,
                                   op->forget.at_ms};
        rc = sqlite_event_add(store, op, values);
        row.last_event = number;
    }
    old = old_of(&row);
    rc = rc == SQLITE_OK ? drop_old(store, &old) : rc;
    op->result = STORE_DONE;
out:
    free(old.labels);
    store_row_fini(&row);
    return rc;
}
