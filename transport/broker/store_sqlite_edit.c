/* The SQLite engine's ops for what operators change without a move: hold and edit, and the kept values.
 *
 * As in store_sqlite_write.c an op looks first and writes only when nothing can refuse it any more. */
#include "store_sqlite.h"

#include "mem.h"
#include "store_rules.h"

#include <limits.h>
#include <string.h>

/* The head of the row when it is in that state; else the op is answered. */
static int find_row(struct sqlite_store *store, struct store_op *op, uint64_t pk,
                    enum state from, struct sqlite_head *head)
{
    int rc = sqlite_head_read(store, pk, head);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (head->pk == 0) {
        op->result = STORE_NOT_FOUND;
    } else if (head->state != from) {
        op->result = STORE_STALE;
    }
    return SQLITE_OK;
}

/* The op's event, if it has one, with the row's number updated in the cache. */
static int add_event(struct sqlite_store *store, struct store_op *op,
                     const struct sqlite_head *head, uint64_t number, int64_t at_ms)
{
    if (number == 0) {
        return SQLITE_OK;
    }
    const int64_t values[4] = {(int64_t)number, (int64_t)head->pk, (int64_t)head->last_event,
                               at_ms};
    return sqlite_event_add(store, op, values);
}

int sqlite_write_hold(struct sqlite_store *store, struct store_op *op)
{
    struct sqlite_head head;
    int rc = find_row(store, op, op->hold.pk, op->hold.from, &head);
    if (rc != SQLITE_OK || op->result != STORE_PENDING) {
        return rc;
    }
    if (head.held == op->hold.held) {
        store_op_refuse(op, head.held ? "it is held already" : "it is not held");
        return SQLITE_OK;
    }
    store->wrote = true;
    uint64_t number = sqlite_event_number(store, op);
    const int64_t values[] = {
        (int64_t)op->hold.pk,
        op->hold.held ? 1 : 0,
        (int64_t)store_phase_of_row(head.state, op->hold.held),
        op->hold.visible_at_ms,
        op->hold.changed_at_ms,
        (int64_t)(number != 0 ? number : head.last_event),
    };
    enum { INTS = sizeof values / sizeof values[0] };
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_REQUEST_HOLD);
    sqlite_db_bind_ints(statement, 1, values, INTS);
    sqlite_db_bind_text(statement, INTS + 1, op->hold.reason);
    rc = sqlite_db_run(statement);
    if (rc == SQLITE_OK) {
        rc = add_event(store, op, &head, number, op->hold.changed_at_ms);
    }
    head.held = op->hold.held;
    head.visible_at_ms = op->hold.visible_at_ms;
    head.last_event = number != 0 ? number : head.last_event;
    *sqlite_head_place(store, head.pk) = head;
    if (op->hold.held) {
        store->now.held++;
    } else {
        store->now.held--;
    }
    op->result = STORE_DONE;
    return rc;
}

static int set_edit(struct sqlite_store *store, const struct store_op *op)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_EDIT_SET);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)op->edit.pk);
    /* A null pointer would bind NULL. */
    sqlite_db_bind_bytes(statement, 2, op->edit.len > 0 ? op->edit.data : (const void *)"",
                         op->edit.len);
    return sqlite_db_run(statement);
}

int sqlite_write_edit(struct sqlite_store *store, struct store_op *op)
{
    struct sqlite_head head;
    bool there = false;
    int rc = find_row(store, op, op->edit.pk, op->edit.from, &head);
    if (rc != SQLITE_OK || op->result != STORE_PENDING) {
        return rc;
    }
    rc = sqlite_body_there(store, op->edit.pk, &there);
    if (rc != SQLITE_OK || !there) {
        store_op_refuse(op, "the body is gone");
        return rc;
    }
    store->wrote = true;
    store->has_edits = true; /* also when the batch is rolled back: it only costs a look */
    uint64_t number = sqlite_event_number(store, op);
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_REQUEST_EDIT);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)op->edit.pk);
    (void)sqlite3_bind_text(statement, 2, op->edit.profile, -1, SQLITE_STATIC);
    sqlite_db_bind_bytes(statement, 3, op->edit.results, op->edit.results_len);
    (void)sqlite3_bind_int64(statement, 4, op->edit.changed_at_ms);
    (void)sqlite3_bind_int64(statement, 5, (int64_t)(number != 0 ? number : head.last_event));
    rc = sqlite_db_run(statement);
    if (rc == SQLITE_OK) {
        rc = set_edit(store, op);
    }
    if (rc == SQLITE_OK) {
        rc = add_event(store, op, &head, number, op->edit.changed_at_ms);
    }
    head.last_event = number != 0 ? number : head.last_event;
    *sqlite_head_place(store, head.pk) = head;
    op->result = STORE_DONE;
    return rc;
}

/* ---- kept values ---- */

int sqlite_write_keep(struct sqlite_store *store, struct store_op *op)
{
    bool forget = op->keep.data == NULL;
    sqlite3_stmt *statement = sqlite_db_statement(store, forget ? SQL_KEEP_DROP : SQL_KEEP_SET);
    sqlite_db_bind_text(statement, 1, op->keep.name);
    if (!forget) {
        sqlite_db_bind_bytes(statement, 2, op->keep.data, op->keep.len);
    }
    store->wrote = true;
    op->result = STORE_DONE;
    return sqlite_db_run(statement);
}

int sqlite_read_kept(struct sqlite_store *store, struct store_op *op)
{
    const char *prefix = op->kept.prefix != NULL ? op->kept.prefix : "";
    const char *after = op->kept.after != NULL ? op->kept.after : "";
    size_t len = strlen(prefix);
    bool from_prefix = strcmp(after, prefix) < 0;
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_KEPT_FROM);
    sqlite_db_bind_text(statement, 1, from_prefix ? prefix : after);
    (void)sqlite3_bind_int64(statement, 2, -1);
    int rc = SQLITE_DONE;
    op->result = STORE_DONE;
    while (op->kept.count < op->kept.limit) {
        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW) {
            break;
        }
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        if (name == NULL || strncmp(name, prefix, len) != 0) {
            break;
        }
        if (strcmp(name, after) == 0) {
            continue;
        }
        struct store_value *value = store_values_add(&op->kept.values, &op->kept.count);
        sqlite_db_read_text(statement, 0, value->name, sizeof value->name);
        value->len = (size_t)sqlite3_column_bytes(statement, 1);
        value->data = mem_copy(sqlite3_column_blob(statement, 1), value->len);
    }
    (void)sqlite3_reset(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}
