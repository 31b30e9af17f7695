/* The SQLite engine's writing ops.
 *
 * An op looks first and writes only when nothing can refuse it any more, so a refused op
 * leaves no trace and needs no savepoint. What an op counts it counts in store->now, which
 * exec puts back when the batch is rolled back. */
#include "store_sqlite.h"

#include "clock.h"
#include "mem.h"
#include "store_rules.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { SPACE_FRESH_MS = 1000 };

struct sqlite_head *sqlite_head_place(struct sqlite_store *store, uint64_t pk)
{
    return &store->heads[pk % SQLITE_HEADS];
}

static bool space_is_low(struct sqlite_store *store)
{
    int64_t now_ms = clock_mono_ms();
    if (store->reserve_bytes == 0 || now_ms < store->space_until_ms) {
        return store->space_low;
    }
    store->space_low = sqlite_log_space_below(store->folder, store->reserve_bytes);
    store->space_until_ms = now_ms + SPACE_FRESH_MS;
    return store->space_low;
}

/* Number the op's event, if it has one; the caller writes the number into the row. */
uint64_t sqlite_event_number(struct sqlite_store *store, const struct store_op *op)
{
    if (op->event == NULL) {
        return 0;
    }
    store->now.sequence++;
    return store->base.epoch << STORE_SEQUENCE_BITS | store->now.sequence;
}

int sqlite_event_add(struct sqlite_store *store, struct store_op *op, const int64_t values[4])
{
    const struct chain_entry entry = {.number = (uint64_t)values[0],
                                      .request = (uint64_t)values[1],
                                      .at_ms = values[3],
                                      .data = op->event,
                                      .len = op->event_len};
    int rc = sqlite_chain_add(store, STORE_LOG_EVENTS, &entry);
    if (rc != SQLITE_OK) {
        return rc;
    }
    struct sqlite_entry late = {.data = op->event, .len = op->event_len};
    memcpy(late.values, values, sizeof late.values);
    memcpy(late.chain, store->now.chains[STORE_LOG_EVENTS].head, sizeof late.chain);
    sqlite_later_add(store, &late);
    op->event_number = entry.number;
    return SQLITE_OK;
}

static int find_key(struct sqlite_store *store, const struct store_op *op, uint64_t *pk,
                    bool *same)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_KEY_GET);
    sqlite_db_bind_text(statement, 1, op->accept.row.id);
    sqlite_db_bind_text(statement, 2, op->accept.row.producer);
    *pk = 0;
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        *pk = (uint64_t)sqlite3_column_int64(statement, 0);
        *same = sqlite3_column_bytes(statement, 1) == STORE_DIGEST_BYTES &&
                memcmp(sqlite3_column_blob(statement, 1), op->accept.digest,
                       STORE_DIGEST_BYTES) == 0;
    }
    (void)sqlite3_reset(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int answer_known(struct sqlite_store *store, struct store_op *op, uint64_t pk, bool same)
{
    if (!same) {
        op->result = STORE_CONFLICT;
        return SQLITE_OK;
    }
    struct sqlite_duplicate duplicate = {.op = op};
    bool found = false;
    int rc = sqlite_read_row(store, pk, &duplicate.row, &found);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!found) {
        return SQLITE_CORRUPT; /* key and row are made and dropped together */
    }
    store->duplicates =
        mem_resize(store->duplicates, store->duplicate_count + 1, sizeof *store->duplicates);
    store->duplicates[store->duplicate_count++] = duplicate;
    op->result = STORE_DUPLICATE;
    return SQLITE_OK;
}

static int add_request(struct sqlite_store *store, const struct store_op *op)
{
    const struct store_row *row = &op->accept.row;
    const int64_t values[] = {
        (int64_t)row->pk,
        (int64_t)row->state,
        (int64_t)store_phase_of(row->state),
        (int64_t)row->lease,
        (int64_t)row->last_event,
        row->visible_at_ms,
        row->changed_at_ms,
        row->attempt,
        row->losses,
        row->partial ? 1 : 0,
        row->priority,
        row->expire_at_ms,
        row->accepted_at_ms,
        row->recipients,
    };
    enum { INTS = sizeof values / sizeof values[0] };
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_REQUEST_ADD);
    sqlite_db_bind_ints(statement, 1, values, INTS);
    sqlite_db_bind_text(statement, INTS + 1, row->profile);
    sqlite_db_bind_text(statement, INTS + 2, row->producer);
    sqlite_db_bind_text(statement, INTS + 3, row->id);
    sqlite_db_bind_text(statement, INTS + 4, row->worker);
    sqlite_db_bind_text(statement, INTS + 5, row->reason);
    sqlite_db_bind_bytes(statement, INTS + 6, op->accept.results, op->accept.results_len);
    sqlite_db_bind_text(statement, INTS + 7, row->supersede_key);
    sqlite_db_bind_text(statement, INTS + 8, op->accept.labels);
    return sqlite_db_run(statement);
}

static int add_labels(struct sqlite_store *store, const struct store_op *op)
{
    const char *cursor = op->accept.labels;
    char label[STORE_LABEL_BYTES];
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && store_label_next(&cursor, label)) {
        sqlite3_stmt *statement = sqlite_db_statement(store, SQL_LABEL_ADD);
        sqlite_db_bind_text(statement, 1, label);
        (void)sqlite3_bind_int64(statement, 2, (int64_t)op->accept.row.pk);
        rc = sqlite_db_run(statement);
    }
    return rc;
}

static int add_body(struct sqlite_store *store, const struct store_op *op)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_BODY_ADD);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)op->accept.row.pk);
    /* A null pointer would bind NULL. */
    sqlite_db_bind_bytes(statement, 2,
                         op->accept.body_len > 0 ? op->accept.body : (const void *)"",
                         op->accept.body_len);
    return sqlite_db_run(statement);
}

/* Take the key for the next pk. *taken false: somebody has it. */
static int add_key(struct sqlite_store *store, const struct store_op *op, bool *taken)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_KEY_ADD);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)(store->now.last_pk + 1));
    sqlite_db_bind_text(statement, 2, op->accept.row.id);
    sqlite_db_bind_text(statement, 3, op->accept.row.producer);
    sqlite_db_bind_bytes(statement, 4, op->accept.digest, STORE_DIGEST_BYTES);
    int rc = sqlite_db_run(statement);
    *taken = rc == SQLITE_OK && sqlite3_changes(store->db) == 1;
    return rc;
}

int sqlite_write_accept(struct sqlite_store *store, struct store_op *op)
{
    struct store_row *row = &op->accept.row;
    bool taken = false;
    bool closed = op->accept.known_only || space_is_low(store);
    int rc = closed ? SQLITE_OK : add_key(store, op, &taken);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!taken) {
        uint64_t pk = 0;
        bool same = false;
        rc = find_key(store, op, &pk, &same);
        if (rc == SQLITE_OK && pk != 0) {
            return answer_known(store, op, pk, same);
        }
        if (rc == SQLITE_OK && op->accept.known_only) {
            op->result = STORE_NOT_FOUND;
        } else if (rc == SQLITE_OK) {
            store_op_refuse(op, "disk: less than %" PRIu64 " bytes free", store->reserve_bytes);
        }
        return rc;
    }
    store->wrote = true;
    row->pk = ++store->now.last_pk;
    row->last_event = sqlite_event_number(store, op);
    rc = add_request(store, op);
    if (rc == SQLITE_OK) {
        rc = add_body(store, op);
    }
    if (rc == SQLITE_OK) {
        rc = add_labels(store, op);
    }
    if (rc == SQLITE_OK && row->last_event != 0) {
        const int64_t values[4] = {(int64_t)row->last_event, (int64_t)row->pk, 0,
                                   row->accepted_at_ms};
        rc = sqlite_event_add(store, op, values);
    }
    *sqlite_head_place(store, row->pk) = (struct sqlite_head){
        .pk = row->pk,
        .lease = row->lease,
        .last_event = row->last_event,
        .visible_at_ms = row->visible_at_ms,
        .state = row->state,
    };
    sqlite_count_in(&store->now, row->state, row->pk);
    op->result = STORE_DONE;
    return rc;
}

/* The head of a row; pk 0 when there is no such row. */
int sqlite_head_read(struct sqlite_store *store, uint64_t pk, struct sqlite_head *head)
{
    struct sqlite_head *place = sqlite_head_place(store, pk);
    if (place->pk == pk) {
        *head = *place;
        return SQLITE_OK;
    }
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_REQUEST_HEAD);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)pk);
    int rc = sqlite3_step(statement);
    *head = (struct sqlite_head){0};
    if (rc == SQLITE_ROW) {
        head->pk = pk;
        head->state = (enum state)sqlite3_column_int(statement, 0);
        head->lease = (uint64_t)sqlite3_column_int64(statement, 1);
        head->last_event = (uint64_t)sqlite3_column_int64(statement, 2);
        head->visible_at_ms = sqlite3_column_int64(statement, 3);
        head->held = sqlite3_column_int(statement, 4) != 0;
        *place = *head;
    }
    (void)sqlite3_reset(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sqlite_body_there(struct sqlite_store *store, uint64_t pk, bool *there)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_BODY_THERE);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)pk);
    int rc = sqlite3_step(statement);
    *there = rc == SQLITE_ROW;
    (void)sqlite3_reset(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sqlite_drop_by_pk(struct sqlite_store *store, enum sql sql, uint64_t pk)
{
    sqlite3_stmt *statement = sqlite_db_statement(store, sql);
    (void)sqlite3_bind_int64(statement, 1, (int64_t)pk);
    return sqlite_db_run(statement);
}

static int drop_body(struct sqlite_store *store, uint64_t pk)
{
    int rc = sqlite_drop_by_pk(store, SQL_BODY_DROP, pk);
    return rc == SQLITE_OK && store->has_edits ? sqlite_drop_by_pk(store, SQL_EDIT_DROP, pk)
                                               : rc;
}

static int update_row(struct sqlite_store *store, const struct store_op *op,
                      const struct sqlite_head *head, uint64_t last_event)
{
    enum store_phase phase = store_phase_of(op->move.to);
    bool stays = phase == store_phase_of(head->state) && !head->held &&
                 op->move.visible_at_ms == head->visible_at_ms;
    sqlite3_stmt *statement =
        sqlite_db_statement(store, stays ? SQL_REQUEST_MOVE : SQL_REQUEST_REPLACE);
    const int64_t values[] = {
        (int64_t)op->move.pk, (int64_t)op->move.to,     (int64_t)op->move.lease,
        (int64_t)last_event,  op->move.changed_at_ms,   op->move.attempt,
        op->move.losses,      op->move.partial ? 1 : 0,
    };
    enum { INTS = sizeof values / sizeof values[0] };
    sqlite_db_bind_ints(statement, 1, values, INTS);
    sqlite_db_bind_text(statement, INTS + 1, op->move.worker);
    sqlite_db_bind_text(statement, INTS + 2, op->move.reason);
    sqlite_db_bind_bytes(statement, INTS + 3, op->move.results, op->move.results_len);
    if (!stays) {
        (void)sqlite3_bind_int64(statement, INTS + 4, op->move.visible_at_ms);
        (void)sqlite3_bind_int(statement, INTS + 5, (int)phase);
    }
    return sqlite_db_run(statement);
}

/* Look at the row; leaves result PENDING when the move may be made. */
static int judge_move(struct sqlite_store *store, struct store_op *op, struct sqlite_head *head)
{
    int rc = sqlite_head_read(store, op->move.pk, head);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (head->pk == 0) {
        op->result = STORE_NOT_FOUND;
        return SQLITE_OK;
    }
    if (head->state != op->move.from ||
        (op->move.expect_lease != UINT64_MAX && head->lease != op->move.expect_lease) ||
        (head->held && op->move.to == STATE_LEASED)) {
        op->result = STORE_STALE;
        return SQLITE_OK;
    }
    if (state_is_final(head->state)) {
        bool there = false;
        rc = sqlite_body_there(store, op->move.pk, &there);
        if (rc == SQLITE_OK && !there) {
            store_op_refuse(op, "the body is gone");
        }
    }
    return rc;
}

int sqlite_write_move(struct sqlite_store *store, struct store_op *op)
{
    struct sqlite_head head;
    int rc = judge_move(store, op, &head);
    if (rc != SQLITE_OK || op->result != STORE_PENDING) {
        return rc;
    }
    store->wrote = true;
    uint64_t number = sqlite_event_number(store, op);
    rc = update_row(store, op, &head, number != 0 ? number : head.last_event);
    if (rc == SQLITE_OK && !store_keeps_body(op->move.to)) {
        rc = drop_body(store, op->move.pk);
    }
    if (rc == SQLITE_OK && number != 0) {
        const int64_t values[4] = {(int64_t)number, (int64_t)op->move.pk,
                                   (int64_t)head.last_event, op->move.changed_at_ms};
        rc = sqlite_event_add(store, op, values);
    }
    *sqlite_head_place(store, op->move.pk) = (struct sqlite_head){
        .pk = op->move.pk,
        .lease = op->move.lease,
        .last_event = number != 0 ? number : head.last_event,
        .visible_at_ms = op->move.visible_at_ms,
        .state = op->move.to,
    };
    sqlite_count_out(&store->now, head.state);
    sqlite_count_in(&store->now, op->move.to, op->move.pk);
    store->now.held -= head.held ? 1 : 0;
    op->result = STORE_DONE;
    return rc;
}

/* Its row names it as the newest one. */
static int point_at_event(struct sqlite_store *store, const int64_t values[4])
{
    const int64_t update[2] = {values[0], values[1]};
    sqlite3_stmt *statement = sqlite_db_statement(store, SQL_REQUEST_EVENT);
    sqlite_db_bind_ints(statement, 1, update, 2);
    sqlite_head_place(store, (uint64_t)values[1])->last_event = (uint64_t)values[0];
    return sqlite_db_run(statement);
}

int sqlite_write_note(struct sqlite_store *store, struct store_op *op)
{
    struct sqlite_head head = {.pk = 0};
    int rc = op->note.pk != 0 ? sqlite_head_read(store, op->note.pk, &head) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (head.pk != op->note.pk) {
        op->result = STORE_NOT_FOUND;
        return SQLITE_OK;
    }
    store->wrote = true;
    const int64_t values[4] = {(int64_t)sqlite_event_number(store, op), (int64_t)op->note.pk,
                               (int64_t)head.last_event, clock_wall_ms()};
    if (head.pk != 0) {
        rc = point_at_event(store, values);
    }
    if (rc == SQLITE_OK && op->note.keep != NULL) {
        struct store_op keep = store_note_keep(op);
        rc = sqlite_write_keep(store, &keep);
    }
    op->result = STORE_DONE;
    return rc == SQLITE_OK ? sqlite_event_add(store, op, values) : rc;
}
