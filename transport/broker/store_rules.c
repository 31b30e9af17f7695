/* Rules that hold in every engine.
 *
 * They stand here once so that two engines cannot differ in them: an engine calls
 * store_op_check before it touches an op, and after that only has to look at what is stored.
 * Nothing here writes. */
#include "store_rules.h"

#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_ROOM = 8 };

enum store_phase store_phase_of(enum state state)
{
    if (state == STATE_UNKNOWN) {
        return STORE_PHASE_HELD;
    }
    return state_is_final(state) ? STORE_PHASE_FINAL : STORE_PHASE_LIVE;
}

enum store_phase store_phase_of_row(enum state state, bool held)
{
    return held && store_is_due_state(state) ? STORE_PHASE_HELD : store_phase_of(state);
}

bool store_label_next(const char **cursor, char out[STORE_LABEL_BYTES])
{
    if (*cursor == NULL || **cursor == '\0') {
        return false;
    }
    size_t len = strcspn(*cursor, "\n");
    size_t kept = len < STORE_LABEL_BYTES ? len : STORE_LABEL_BYTES - 1; /* was checked */
    memcpy(out, *cursor, kept);
    out[kept] = '\0';
    *cursor += (*cursor)[len] == '\n' ? len + 1 : len;
    return true;
}

bool store_keeps_body(enum state state)
{
    return state != STATE_SENT && state != STATE_HANDED_OFF;
}

bool store_is_due_state(enum state state)
{
    return state == STATE_ACCEPTED || state == STATE_DEFERRED;
}

void store_op_refuse(struct store_op *op, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    op->why = (struct err_text){.code = ERR_INVALID};
    if (vsnprintf(op->why.text, sizeof op->why.text, fmt, args) < 0) {
        op->why.text[0] = '\0';
    }
    va_end(args);
    op->result = STORE_REFUSED;
}

static bool ends(const char *text, size_t room)
{
    return memchr(text, '\0', room) != NULL;
}

static bool is_state(enum state state)
{
    return (int)state > STATE_NONE && (int)state < STATE_COUNT;
}

static bool check_labels(struct store_op *op)
{
    const char *line = op->accept.labels;
    size_t count = 0;
    while (line != NULL && *line != '\0') {
        size_t len = strcspn(line, "\n");
        if (len == 0 || line[len] != '\n' || len >= STORE_LABEL_BYTES) {
            store_op_refuse(op, "labels: not lines of 1 to %d bytes", STORE_LABEL_BYTES - 1);
            return false;
        }
        count++;
        line += len + 1;
    }
    if (count > STORE_LABELS_MAX) {
        store_op_refuse(op, "labels: more than %d", STORE_LABELS_MAX);
        return false;
    }
    return true;
}

static bool check_accept(struct store_op *op)
{
    const struct store_row *row = &op->accept.row;
    const struct {
        const char *name;
        const char *text;
        size_t room;
    } texts[] = {
        {"producer", row->producer, sizeof row->producer},
        {"id", row->id, sizeof row->id},
        {"profile", row->profile, sizeof row->profile},
        {"worker", row->worker, sizeof row->worker},
        {"reason", row->reason, sizeof row->reason},
        {"supersede_key", row->supersede_key, sizeof row->supersede_key},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!ends(texts[i].text, texts[i].room)) {
            store_op_refuse(op, "%s: longer than %zu bytes", texts[i].name, texts[i].room - 1);
            return false;
        }
    }
    if (row->id[0] == '\0') {
        store_op_refuse(op, "id: empty");
        return false;
    }
    if (!is_state(row->state) || !state_may_move(STATE_NONE, row->state)) {
        store_op_refuse(op, "state: a request does not begin as %s", state_name(row->state));
        return false;
    }
    if (op->accept.body_len > STORE_BODY_MAX_BYTES) {
        store_op_refuse(op, "body: larger than %d bytes", STORE_BODY_MAX_BYTES);
        return false;
    }
    return check_labels(op);
}

static bool check_text(struct store_op *op, const char *name, const char *text, size_t room)
{
    if (text != NULL && strlen(text) >= room) {
        store_op_refuse(op, "%s: longer than %zu bytes", name, room - 1);
        return false;
    }
    return true;
}

static bool check_move(struct store_op *op)
{
    enum state from = op->move.from;
    enum state to = op->move.to;
    if (!is_state(from) || !is_state(to) || !state_may_move(from, to)) {
        store_op_refuse(op, "state: no move from %s to %s", state_name(from), state_name(to));
        return false;
    }
    return check_text(op, "reason", op->move.reason, STORE_REASON_BYTES) &&
           check_text(op, "worker", op->move.worker, STORE_WORKER_BYTES);
}

static bool check_hold(struct store_op *op)
{
    if (!is_state(op->hold.from) || !store_is_due_state(op->hold.from)) {
        store_op_refuse(op, "state: %s cannot be held", state_name(op->hold.from));
        return false;
    }
    return check_text(op, "reason", op->hold.reason, STORE_REASON_BYTES);
}

static bool check_edit(struct store_op *op)
{
    enum state from = op->edit.from;
    if (!is_state(from) || from == STATE_LEASED || from == STATE_PERMITTED ||
        !store_keeps_body(from)) {
        store_op_refuse(op, "state: %s cannot be edited", state_name(from));
        return false;
    }
    if (op->edit.data == NULL || op->edit.len > STORE_VALUE_MAX_BYTES) {
        store_op_refuse(op, "edit: none, or larger than %d bytes", STORE_VALUE_MAX_BYTES);
        return false;
    }
    return check_text(op, "profile", op->edit.profile, STORE_PROFILE_BYTES);
}

static bool check_audit(struct store_op *op)
{
    if (op->audit.data == NULL || op->audit.len > STORE_VALUE_MAX_BYTES) {
        store_op_refuse(op, "record: none, or larger than %d bytes", STORE_VALUE_MAX_BYTES);
        return false;
    }
    return true;
}

static bool check_value(struct store_op *op, const char *name, const uint8_t *data, size_t len)
{
    if (name == NULL || name[0] == '\0') {
        store_op_refuse(op, "name: empty");
        return false;
    }
    if (data != NULL && len > STORE_VALUE_MAX_BYTES) {
        store_op_refuse(op, "value: larger than %d bytes", STORE_VALUE_MAX_BYTES);
        return false;
    }
    return check_text(op, "name", name, STORE_NAME_BYTES);
}

static bool check_note(struct store_op *op)
{
    if (op->event == NULL) {
        store_op_refuse(op, "event: a note without one");
        return false;
    }
    return op->note.keep == NULL || check_value(op, op->note.keep, op->note.data, op->note.len);
}

static bool check_limit(struct store_op *op, size_t limit)
{
    if (limit == 0) {
        store_op_refuse(op, "limit: must be at least 1");
        return false;
    }
    return true;
}

static bool check_log(struct store_op *op, enum store_log log)
{
    if ((int)log < 0 || log >= STORE_LOG_COUNT) {
        store_op_refuse(op, "log: no such log %d", (int)log);
        return false;
    }
    return true;
}

static bool check_history(struct store_op *op)
{
    if (op->history.pk != 0 && op->history.log != STORE_LOG_EVENTS) {
        store_op_refuse(op, "pk: the audit log is read by number");
        return false;
    }
    return check_log(op, op->history.log) && check_limit(op, op->history.limit);
}

bool store_op_check(struct store_op *op)
{
    if (op->only_if != NULL && op->only_if->result != STORE_DONE) {
        op->result = STORE_STALE;
        return false;
    }
    switch (op->kind) {
    case STORE_ACCEPT:
        return check_accept(op);
    case STORE_MOVE:
        return check_move(op);
    case STORE_NOTE:
        return check_note(op);
    case STORE_GET:
        if (op->get.id == NULL || op->get.id[0] == '\0') {
            store_op_refuse(op, "id: empty");
            return false;
        }
        return true;
    case STORE_LIST:
        return check_limit(op, op->list.limit);
    case STORE_HISTORY:
        return check_history(op);
    case STORE_HOLD:
        return check_hold(op);
    case STORE_EDIT:
        return check_edit(op);
    case STORE_FORGET:
        if (!is_state(op->forget.from) || !state_is_final(op->forget.from)) {
            store_op_refuse(op, "state: %s is not final", state_name(op->forget.from));
            return false;
        }
        return true;
    case STORE_AUDIT:
        return check_audit(op);
    case STORE_SEGMENTS:
        return check_log(op, op->segments.log) && check_limit(op, op->segments.limit);
    case STORE_KEEP:
        return check_value(op, op->keep.name, op->keep.data, op->keep.len);
    case STORE_KEPT:
        return check_limit(op, op->kept.limit);
    case STORE_SWEEP:
        return check_limit(op, op->sweep.limit);
    case STORE_DUE:
    case STORE_LANES:
    case STORE_BACKLOG:
    case STORE_LIVE:
    case STORE_BODY:
    case STORE_COUNTS:
    case STORE_BACKUP:
        return true;
    case STORE_KIND_COUNT:
        break;
    }
    store_op_refuse(op, "kind: no such operation %d", (int)op->kind);
    return false;
}

struct store_op store_note_keep(const struct store_op *note)
{
    return (struct store_op){
        .kind = STORE_KEEP,
        .keep = {.name = note->note.keep, .data = note->note.data, .len = note->note.len}};
}

void store_op_reset(struct store_op *op)
{
    store_op_fini(op);
    op->result = STORE_PENDING;
    op->why = (struct err_text){0};
    op->event_number = 0;
    if (op->kind == STORE_ACCEPT) {
        op->accept.row.pk = 0;
        op->accept.row.last_event = 0;
    } else if (op->kind == STORE_AUDIT) {
        op->audit.number = 0;
    }
}

/* Room is not stored: it is the power of two at or above count, FIRST_ROOM at least. */
static void *grown(void *items, size_t count, size_t size)
{
    if (count == 0) {
        return mem_resize(items, FIRST_ROOM, size);
    }
    if (count >= FIRST_ROOM && (count & (count - 1)) == 0) {
        return mem_resize(items, count * 2, size);
    }
    return items;
}

struct store_row *store_rows_add(struct store_row **items, size_t *count)
{
    *items = grown(*items, *count, sizeof **items);
    struct store_row *item = &(*items)[(*count)++];
    memset(item, 0, sizeof *item);
    return item;
}

struct store_event *store_events_add(struct store_event **items, size_t *count)
{
    *items = grown(*items, *count, sizeof **items);
    struct store_event *item = &(*items)[(*count)++];
    memset(item, 0, sizeof *item);
    return item;
}

struct store_lane *store_lanes_add(struct store_lane **items, size_t *count)
{
    *items = grown(*items, *count, sizeof **items);
    struct store_lane *item = &(*items)[(*count)++];
    memset(item, 0, sizeof *item);
    return item;
}

struct store_segment *store_segments_add(struct store_segment **items, size_t *count)
{
    *items = grown(*items, *count, sizeof **items);
    struct store_segment *item = &(*items)[(*count)++];
    memset(item, 0, sizeof *item);
    return item;
}

struct store_value *store_values_add(struct store_value **items, size_t *count)
{
    *items = grown(*items, *count, sizeof **items);
    struct store_value *item = &(*items)[(*count)++];
    memset(item, 0, sizeof *item);
    return item;
}

static struct store_backlog *backlog_of_profile(struct store_op *op, const char *profile)
{
    for (size_t i = op->backlog.count; i > 0; i--) { /* the newest is the most likely */
        if (strcmp(op->backlog.items[i - 1].profile, profile) == 0) {
            return &op->backlog.items[i - 1];
        }
    }
    op->backlog.items = grown(op->backlog.items, op->backlog.count, sizeof *op->backlog.items);
    struct store_backlog *item = &op->backlog.items[op->backlog.count++];
    *item = (struct store_backlog){.waiting = {0}};
    mem_text_into(item->profile, sizeof item->profile, profile);
    return item;
}

void store_backlog_count(struct store_op *op, const struct store_row *row)
{
    bool each = false;
    uint32_t open = backlog_read(row->results, row->results_len, row->recipients, &each);
    const struct backlog one = backlog_of(each, open);
    struct store_backlog *item = backlog_of_profile(op, row->profile);
    backlog_add(row->held ? &item->held : &item->waiting, &one);
}

static bool has_label(const char *labels, const char *wanted)
{
    char label[STORE_LABEL_BYTES];
    while (store_label_next(&labels, label)) {
        if (strcmp(label, wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* Times, label, key, hold: what only operators and the scheduler ask for. */
static bool match_more(const struct store_op *op, const struct store_row *row)
{
    if (row->accepted_at_ms < op->list.since_ms ||
        (op->list.before_ms != 0 && row->accepted_at_ms >= op->list.before_ms)) {
        return false;
    }
    if (op->list.held_only && !row->held) {
        return false;
    }
    if (op->list.supersede_key != NULL &&
        (state_is_final(row->state) || row->supersede_key[0] == '\0' ||
         strcmp(op->list.supersede_key, row->supersede_key) != 0)) {
        return false;
    }
    return op->list.label == NULL || has_label(row->labels, op->list.label);
}

bool store_list_match(const struct store_op *op, const struct store_row *row)
{
    if (op->list.states != 0 && (op->list.states & (1u << row->state)) == 0) {
        return false;
    }
    if (op->list.profile != NULL && strcmp(op->list.profile, row->profile) != 0) {
        return false;
    }
    if (op->list.producer != NULL && strcmp(op->list.producer, row->producer) != 0) {
        return false;
    }
    if (op->list.id_prefix != NULL &&
        strncmp(row->id, op->list.id_prefix, strlen(op->list.id_prefix)) != 0) {
        return false;
    }
    return match_more(op, row);
}
