/* What every engine does alike: the checks that need no look at the data, what a state means
 * for the store, and the making of output. For engines only. */
#ifndef TPN_STORE_RULES_H
#define TPN_STORE_RULES_H

#include "store.h"

enum {
    /* SQLite holds 1 GB in a blob at most; a mail is refused long before that by the gate. */
    STORE_BODY_MAX_BYTES = 512 * 1024 * 1024,
    /* Rows that one LIST looks at: it must not hold up the commits of others. */
    STORE_LIST_LOOK_ROWS = 4096,
    /* SQLite's own limit on names is far above; a kept value is a few numbers. */
    STORE_VALUE_MAX_BYTES = 64 * 1024
};

/* Where a row stands for the scheduler. The numbers are on disk. */
enum store_phase {
    STORE_PHASE_FINAL = 0, /* counts for the retention time */
    STORE_PHASE_LIVE = 1,  /* ACCEPTED, DEFERRED, LEASED, PERMITTED: its lane has work */
    STORE_PHASE_HELD =
        2 /* UNKNOWN, or held: waits for a policy or a person, takes no turn in its lane */
};

enum store_phase store_phase_of(enum state state);

/* The phase of a row that may be held. */
enum store_phase store_phase_of_row(enum state state, bool held);

/* Is the body kept while the row is in this state? It goes at once when the mail is
 * certainly out; all others may be driven again. */
bool store_keeps_body(enum state state);

/* May a DUE hand the row out? */
bool store_is_due_state(enum state state);

/* The checks of an op that need no look at the data. False: the op is REFUSED and why says
 * how. */
bool store_op_check(struct store_op *op) NODISCARD;

/* Answer an op with REFUSED and a sentence. */
void store_op_refuse(struct store_op *op, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Make an op as it was before the call, so that it can be given again: a failed call left
 * nothing of it. */
void store_op_reset(struct store_op *op);

/* Append a zeroed row, event or lane to an op's output and return it; *items grows by
 * doubling. */
struct store_row *store_rows_add(struct store_row **items, size_t *count);
struct store_event *store_events_add(struct store_event **items, size_t *count);
struct store_lane *store_lanes_add(struct store_lane **items, size_t *count);
struct store_segment *store_segments_add(struct store_segment **items, size_t *count);
struct store_value *store_values_add(struct store_value **items, size_t *count);

/* Count a row that waits in an answer to BACKLOG. Of the row: profile, held, recipients, results. */
void store_backlog_count(struct store_op *op, const struct store_row *row);

/* The KEEP that goes with a NOTE that has one. It borrows what the note borrows. */
struct store_op store_note_keep(const struct store_op *note);

/* The next label of a row's labels: *cursor begins as the labels (null = none). Copies the line without its end into out;
 * false at the end. */
bool store_label_next(const char **cursor, char out[STORE_LABEL_BYTES]);

/* Does a row pass the filter of a LIST (all of it but the cursor)? */
bool store_list_match(const struct store_op *op, const struct store_row *row);

#endif
