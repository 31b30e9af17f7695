/* The SQLite engine's reading ops: they see what earlier ops of the same batch wrote.
 *
 * None walks more than a bounded number of rows, but for the two that are asked once after
 * open (LIVE) or seldom (LANES, which seeks from lane to lane). */
#include "store_sqlite.h"

#include "mem.h"
#include "store_rules.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What the end of a walk means: rows or none are both fine. */
static int walk_end(sqlite3_stmt *statement, int rc)
{
    (void)sqlite3_reset(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_one(sqlite3_stmt *statement, struct store_row *row, bool *found)
{
    int rc = sqlite3_step(statement);
    *found = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        sqlite_db_read_row(statement, row);
    }
    return walk_end(statement, rc);
}

int sqlite_read_row(struct sqlite_store *store, uint64_t pk, struct store_row *row, bool *found)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_REQUEST_GET);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)pk);
    return read_one(statement, row, found);
}

int sqlite_read_get(struct sqlite_store *store, struct store_op *op)
{
    bool any = op->get.producer == NULL;
    bool found = false;
    sqlite3_stmt *statement =
        sqlite_db_statement(store, any ? SQL_REQUEST_BY_ID : SQL_REQUEST_BY_KEY);
    sqlite_db_bind_text(statement, 1, op->get.id);
    if (!any) {
        sqlite_db_bind_text(statement, 2, op->get.producer);
    }
    int rc = read_one(statement, &op->get.row, &found);
    op->result = found ? STORE_DONE : STORE_NOT_FOUND;
    return rc;
}

/* A limit as SQLite takes it. */
static int64_t limit_of(size_t limit)
{
    return limit > INT_MAX ? INT_MAX : (int64_t)limit;
}

static void bind_lane(sqlite3_stmt *statement, const struct store_lane *lane)
{
    sqlite_db_bind_text(statement, 1, lane->profile);
    sqlite_db_bind_text(statement, 2, lane->producer);
    (void)sqlite3_bind_int(statement, 3, lane->priority);
}

static int read_rows(sqlite3_stmt *statement, struct store_row **rows, size_t *count)
{
    int rc = sqlite3_step(statement);
    for (; rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
        sqlite_db_read_row(statement, store_rows_add(rows, count));
    }
    return walk_end(statement, rc);
}

/* The rows of the cursor's own time behind its pk. */
static int read_due_same(struct sqlite_store *store, struct store_op *op)
{
    uint64_t after_pk = op->due.after_pk;
    const int64_t values[] = {op->due.after_ms,
                              after_pk > INT64_MAX ? INT64_MAX : (int64_t)after_pk,
                              limit_of(op->due.limit)};
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_DUE_SAME);
    bind_lane(statement, &op->due.lane);
    sqlite_db_bind_ints(statement, 4, values, sizeof values / sizeof values[0]);
    return read_rows(statement, &op->due.rows, &op->due.count);
}

static int read_due_later(struct sqlite_store *store, struct store_op *op)
{
    const int64_t values[] = {op->due.after_ms, op->due.now_ms,
                              limit_of(op->due.limit - op->due.count)};
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_DUE);
    bind_lane(statement, &op->due.lane);
    sqlite_db_bind_ints(statement, 4, values, sizeof values / sizeof values[0]);
    return read_rows(statement, &op->due.rows, &op->due.count);
}

int sqlite_read_due(struct sqlite_store *store, struct store_op *op)
{
    int rc = op->due.after_ms <= op->due.now_ms ? read_due_same(store, op) : SQLITE_OK;
    if (rc == SQLITE_OK && op->due.count < op->due.limit) {
        rc = read_due_later(store, op);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_DUE_NEXT);
    bind_lane(statement, &op->due.lane);
    (void)sqlite3_bind_int64(statement, 4, op->due.now_ms);
    rc = sqlite3_step(statement);
    op->due.next_due_ms = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    op->result = STORE_DONE;
    return walk_end(statement, rc);
}

/* The lane behind *lane by one of the seeks; *found tells. */
static int seek_lane(struct sqlite_store *store, enum sql sql, struct store_lane *lane,
                     bool *found)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, sql);
    struct store_lane next = {.priority = 0};
    sqlite_db_bind_text(statement, 1, lane->profile);
    if (sql != SQL_LANE_PROFILE) {
        sqlite_db_bind_text(statement, 2, lane->producer);
    }
    if (sql == SQL_LANE_PRIORITY) {
        (void)sqlite3_bind_int(statement, 3, lane->priority);
    }
    int rc = sqlite3_step(statement);
    *found = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        sqlite_db_read_text(statement, 0, next.profile, sizeof next.profile);
        sqlite_db_read_text(statement, 1, next.producer, sizeof next.producer);
        next.priority = sqlite3_column_int(statement, 2);
    }
    rc = walk_end(statement, rc); /* the lane that is bound may change only after this */
    if (*found) {
        *lane = next;
    }
    return rc;
}

int sqlite_read_lanes(struct sqlite_store *store, struct store_op *op)
{
    static const enum sql seeks[] = {SQL_LANE_PRIORITY, SQL_LANE_PRODUCER, SQL_LANE_PROFILE};
    struct store_lane lane = {.priority = INT_MIN};
    int rc = SQLITE_OK;
    bool found = true;
    op->result = STORE_DONE;
    while (found && rc == SQLITE_OK) {
        found = false;
        for (size_t i = 0; i < 3 && !found && rc == SQLITE_OK; i++) {
            rc = seek_lane(store, seeks[i], &lane, &found);
        }
        if (found) {
            *store_lanes_add(&op->lanes.lanes, &op->lanes.count) = lane;
        }
    }
    return rc;
}

int sqlite_read_backlog(struct sqlite_store *store, struct store_op *op)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_BACKLOG);
    int rc = SQLITE_OK;
    op->result = STORE_DONE;
    for (rc = sqlite3_step(statement); rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
        struct store_row row = {.held = sqlite3_column_int(statement, 1) != 0};
        sqlite_db_read_text(statement, 0, row.profile, sizeof row.profile);
        row.recipients = (uint32_t)sqlite3_column_int64(statement, 2);
        /* Borrowed until the next step, and only read. */
        row.results = (uint8_t *)(uintptr_t)sqlite3_column_blob(statement, 3);
        row.results_len = (size_t)sqlite3_column_bytes(statement, 3);
        store_backlog_count(op, &row);
    }
    return walk_end(statement, rc);
}

int sqlite_read_live(struct sqlite_store *store, struct store_op *op)
{
    op->result = STORE_DONE;
    return read_rows(sqlite_db_statement(store, SQL_REQUEST_LIVE), &op->live.rows,
                     &op->live.count);
}

static int read_edit(struct sqlite_store *store, struct store_op *op)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_EDIT_GET);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)op->body.pk);
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        op->body.edit_len = (size_t)sqlite3_column_bytes(statement, 0);
        op->body.edit = mem_copy(sqlite3_column_blob(statement, 0), op->body.edit_len);
    }
    return walk_end(statement, rc);
}

int sqlite_read_body(struct sqlite_store *store, struct store_op *op)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_BODY_GET);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)op->body.pk);
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        op->body.len = (size_t)sqlite3_column_bytes(statement, 0);
        op->body.data = mem_copy(sqlite3_column_blob(statement, 0), op->body.len);
    }
    op->result = rc == SQLITE_ROW ? STORE_DONE : STORE_NOT_FOUND;
    rc = walk_end(statement, rc);
    return rc == SQLITE_OK && op->result == STORE_DONE ? read_edit(store, op) : rc;
}

/* The statement that gives the rows a LIST looks at, in the order of their pk. With a label it gives only their pk. */
static sqlite3_stmt *list_walk(struct sqlite_store *store, const struct store_op *op,
                               uint64_t after)
{
    const int64_t values[] = {after > INT64_MAX ? INT64_MAX : (int64_t)after,
                              STORE_LIST_LOOK_ROWS};
    sqlite3_stmt *statement = NULL;
    if (op->list.label != NULL) {
        statement = sqlite_db_statement(store, SQL_LABEL_AFTER);
        sqlite_db_bind_text(statement, 1, op->list.label);
        sqlite_db_bind_ints(statement, 2, values, 2);
    } else if (op->list.supersede_key != NULL && op->list.producer != NULL) {
        statement = sqlite_db_statement(store, SQL_REQUEST_SUPERSEDED);
        sqlite_db_bind_text(statement, 1, op->list.producer);
        sqlite_db_bind_text(statement, 2, op->list.supersede_key);
        sqlite_db_bind_ints(statement, 3, values, 2);
    } else {
        statement = sqlite_db_statement(store, SQL_REQUEST_LIST);
        sqlite_db_bind_ints(statement, 1, values, 2);
    }
    return statement;
}

/* The row the walk stands at; pk 0 when it is gone (a label outlives its row). */
static int list_row(struct sqlite_store *store, const struct store_op *op,
                    sqlite3_stmt *statement, struct store_row *row)
{
    bool found = false;
    if (op->list.label != NULL) {
        return sqlite_read_row(store, (uint64_t)sqlite3_column_int64(statement, 0), row,
                               &found);
    }
    sqlite_db_read_row(statement, row);
    return SQLITE_OK;
}

/* Where rows of the states that are asked for can be; last 0 = there are none. */
static struct sqlite_span span_of(const struct sqlite_store *store, uint32_t states)
{
    struct sqlite_span span = {.first = UINT64_MAX};
    if (states == 0) {
        return (struct sqlite_span){.first = 1, .last = UINT64_MAX};
    }
    for (int i = 0; i < STATE_COUNT; i++) {
        const struct sqlite_span *of = &store->now.spans[i];
        if ((states >> i & 1) != 0 && store->now.by_state[i] > 0) {
            span.first = of->first < span.first ? of->first : span.first;
            span.last = of->last > span.last ? of->last : span.last;
        }
    }
    return span;
}

int sqlite_read_list(struct sqlite_store *store, struct store_op *op)
{
    struct sqlite_span span = span_of(store, op->list.states);
    uint64_t after = op->list.after >= span.first ? op->list.after : span.first - 1;
    sqlite3_stmt *statement = list_walk(store, op, after);
    size_t looked = 0;
    int rc = SQLITE_ROW;
    op->list.next = 0;
    while (looked < STORE_LIST_LOOK_ROWS && op->list.count < op->list.limit) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW && (uint64_t)sqlite3_column_int64(statement, 0) > span.last) {
            rc = SQLITE_DONE;
        }
        if (rc != SQLITE_ROW) {
            break;
        }
        struct store_row row = {0};
        op->list.next = (uint64_t)sqlite3_column_int64(statement, 0);
        int read = list_row(store, op, statement, &row);
        if (read != SQLITE_OK) {
            (void)sqlite3_reset(statement);
            return read;
        }
        looked++;
        if (row.pk != 0 && store_list_match(op, &row)) {
            *store_rows_add(&op->list.rows, &op->list.count) = row;
        } else {
            store_row_fini(&row);
        }
    }
    if (rc == SQLITE_DONE) {
        op->list.next = 0;
    }
    op->result = STORE_DONE;
    return walk_end(statement, rc);
}

static void read_event(sqlite3_stmt *statement, struct store_event *event)
{
    event->number = (uint64_t)sqlite3_column_int64(statement, 0);
    event->pk = (uint64_t)sqlite3_column_int64(statement, 1);
    event->at_ms = sqlite3_column_int64(statement, 2);
    event->len = (size_t)sqlite3_column_bytes(statement, 3);
    event->data = mem_copy(sqlite3_column_blob(statement, 3), event->len);
    event->matches = true;
    event->chained = sqlite3_column_bytes(statement, 4) == DIGEST_BYTES;
    if (event->chained) {
        memcpy(event->chain, sqlite3_column_blob(statement, 4), DIGEST_BYTES);
    }
}

static int find_label(struct sqlite_store *store, const char *label, struct store_event *event)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_LABEL_THERE);
    sqlite_db_bind_text(statement, 1, label);
    (void)sqlite3_bind_int64(statement, 2, (int64_t)event->pk);
    int rc = sqlite3_step(statement);
    event->matches = rc == SQLITE_ROW;
    return walk_end(statement, rc);
}

static int read_by_number(struct sqlite_store *store, struct store_op *op)
{
    const int64_t values[] = {(int64_t)op->history.after, limit_of(op->history.limit)};
    sqlite3_stmt *statement = sqlite_db_statement(
        store, op->history.log == STORE_LOG_EVENTS ? SQL_EVENT_AFTER : SQL_AUDIT_AFTER);
    sqlite_db_bind_ints(statement, 1, values, 2);
    int found = SQLITE_OK;
    int rc = sqlite3_step(statement);
    for (; rc == SQLITE_ROW && found == SQLITE_OK; rc = sqlite3_step(statement)) {
        struct store_event *event = store_events_add(&op->history.events, &op->history.count);
        read_event(statement, event);
        if (op->history.label != NULL) {
            found = find_label(store, op->history.label, event);
        }
    }
    rc = walk_end(statement, rc);
    return found == SQLITE_OK ? rc : found;
}

/* The numbers of a request's events, newest first, down to the one behind `after`. */
struct number_list {
    uint64_t *numbers;
    size_t count;
};

static int walk_chain(struct sqlite_store *store, uint64_t number, uint64_t after,
                      struct number_list *chain)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_EVENT_PREV);
    size_t room = 0;
    int rc = SQLITE_OK;
    while (number > after && rc == SQLITE_OK) {
        if (chain->count == room) {
            room = room > 0 ? room * 2 : 16;
            chain->numbers = mem_resize(chain->numbers, room, sizeof *chain->numbers);
        }
        chain->numbers[chain->count++] = number;
        (void)sqlite3_bind_int64(statement, 1, (int64_t)number);
        rc = sqlite3_step(statement);
        number = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
        rc = walk_end(statement, rc);
    }
    return rc;
}

static int read_numbers(struct sqlite_store *store, const struct number_list *chain,
                        struct store_op *op)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_EVENT_GET);
    int rc = SQLITE_OK;
    for (size_t i = chain->count; i > 0 && op->history.count < op->history.limit; i--) {
        (void)sqlite3_bind_int64(statement, 1, (int64_t)chain->numbers[i - 1]);
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW) {
            read_event(statement, store_events_add(&op->history.events, &op->history.count));
        }
        rc = walk_end(statement, rc);
        if (rc != SQLITE_OK) {
            break;
        }
    }
    return rc;
}

static int read_of_request(struct sqlite_store *store, struct store_op *op)
{
    struct store_row row = {0};
    struct number_list chain = {0};
    bool found = false;
    int rc = sqlite_read_row(store, op->history.pk, &row, &found);
    if (rc != SQLITE_OK) {
        goto out;
    }
    if (!found) {
        op->result = STORE_NOT_FOUND;
        goto out;
    }
    rc = walk_chain(store, row.last_event, op->history.after, &chain);
    if (rc == SQLITE_OK) {
        rc = read_numbers(store, &chain, op);
    }
out:
    free(chain.numbers);
    store_row_fini(&row);
    return rc;
}

int sqlite_read_history(struct sqlite_store *store, struct store_op *op)
{
    op->result = STORE_DONE;
    return op->history.pk == 0 ? read_by_number(store, op) : read_of_request(store, op);
}

int sqlite_read_counts(struct sqlite_store *store, struct store_op *op)
{
    memcpy(op->counts.by_state, store->now.by_state, sizeof op->counts.by_state);
    op->counts.held = store->now.held;
    op->result = STORE_DONE;
    return SQLITE_OK;
}
