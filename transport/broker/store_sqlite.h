/* Inside of the SQLite engine: its connection, its statements, its parts. No other code
 * includes this. */
#ifndef TPN_STORE_SQLITE_H
#define TPN_STORE_SQLITE_H

#include "store.h"

#include <sqlite3.h>

/* The statements; each is prepared once and kept. Order as in store_sqlite_db.c. */
enum sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_MARK_SET,
    SQL_KEY_ADD,
    SQL_KEY_GET,
    SQL_KEY_DROP,
    SQL_REQUEST_ADD,
    SQL_REQUEST_GET,
    SQL_REQUEST_BY_KEY,
    SQL_REQUEST_BY_ID,
    SQL_REQUEST_HEAD,
    SQL_REQUEST_MOVE,
    SQL_REQUEST_REPLACE,
    SQL_REQUEST_HOLD,
    SQL_REQUEST_EDIT,
    SQL_REQUEST_EVENT,
    SQL_REQUEST_DROP,
    SQL_REQUEST_LIVE,
    SQL_REQUEST_LIST,
    SQL_REQUEST_SUPERSEDED,
    SQL_REQUEST_OLD,
    SQL_DUE_SAME,
    SQL_DUE,
    SQL_DUE_NEXT,
    SQL_LANE_PRIORITY,
    SQL_BACKLOG,
    SQL_LANE_PRODUCER,
    SQL_LANE_PROFILE,
    SQL_BODY_ADD,
    SQL_BODY_GET,
    SQL_EDIT_SET,
    SQL_EDIT_GET,
    SQL_EDIT_DROP,
    SQL_LABEL_ADD,
    SQL_LABEL_AFTER,
    SQL_LABEL_THERE,
    SQL_LABEL_END,
    SQL_LABEL_DROP,
    SQL_LABEL_SWEEP,
    SQL_BODY_THERE,
    SQL_BODY_DROP,
    SQL_EVENTS_ADD,
    SQL_EVENT_GET,
    SQL_EVENT_PREV,
    SQL_EVENT_AFTER,
    SQL_EVENT_SWEEP,
    SQL_AUDIT_ADD,
    SQL_AUDIT_AFTER,
    SQL_AUDIT_SWEEP,
    SQL_SEGMENT_ADD,
    SQL_SEGMENT_AFTER,
    SQL_SEGMENT_OLD,
    SQL_SEGMENT_SWEPT,
    SQL_KEEP_SET,
    SQL_KEEP_DROP,
    SQL_KEPT_FROM,
    SQL_COUNT
};

/* No row of a state lies outside; narrowed only when the state is empty, so there may be few rows inside. */
struct sqlite_span {
    uint64_t first; /* pk */
    uint64_t last;
};

/* What changes with a batch and is kept in memory: copied before, put back when the batch is
 * rolled back. */
struct sqlite_tally {
    uint64_t
        batch; /* batches that wrote; also on disk, table mark, to find out a lost answer */
    uint64_t last_pk;  /* highest ever given; on disk too */
    uint64_t sequence; /* of the newest event in this epoch */
    uint64_t by_state[STATE_COUNT];
    struct sqlite_span spans[STATE_COUNT];
    uint64_t held;
    struct chain chains[STORE_LOG_COUNT]; /* the open day of each log; on disk too */
};

/* A duplicate's row waits here for the commit: until then its op must keep its input. */
struct sqlite_duplicate {
    struct store_op *op;
    struct store_row row;
};

/* What a move needs to know of a row. */
struct sqlite_head {
    uint64_t pk; /* 0 = empty place */
    uint64_t lease;
    uint64_t last_event;
    int64_t visible_at_ms;
    enum state state;
    bool held;
};

/* An entry of the history that the batch still has to write. */
struct sqlite_entry {
    int64_t values[4];   /* number, pk, number of the row's event before, time */
    const uint8_t *data; /* borrowed from the op */
    size_t len;
    uint8_t chain[DIGEST_BYTES];
};

struct sqlite_later {
    struct sqlite_entry *entries;
    size_t count;
    size_t room;
};

enum { SQLITE_HEADS = 16384 }; /* a power of two; 640 KB */

/* The VFS of one store (store_sqlite_log.c). */
struct sqlite_log {
    sqlite3_vfs vfs; /* first: SQLite hands us this one */
    char name[32];
    int64_t room; /* bytes that a log has from the start on; read when it is opened */
};

struct sqlite_store {
    struct store base;
    struct sqlite_log log;
    struct digest_maker *digests;
    sqlite3_backup *backup; /* under way; null = none, or it is ready */
    sqlite3 *backup_db;
    uint64_t backup_done; /* pages */
    uint64_t backup_pages;
    bool backup_ready;
    char backup_why[160]; /* of one that failed; "" = none did */
    char *folder;
    char *path;
    int lock_fd;
    uint64_t reserve_bytes;
    uint64_t log_bytes;
    int64_t space_until_ms; /* monotonic: the figure below is fresh until then */
    bool space_low;
    sqlite3 *db; /* null after a failure, until it could be opened again */
    sqlite3_stmt *statements[SQL_COUNT];
    struct sqlite_tally now;
    struct sqlite_tally before; /* as of the begin of the batch */
    bool
        has_edits; /* perhaps: most stores never have one, and each end of a request would look */
    bool wrote;    /* in this batch */
    bool in_doubt;     /* a commit failed and nobody has looked yet whether it happened */
    uint64_t sweep_pk; /* how far the sweep walked; 0 = it starts anew */
    int wal_pages;     /* in the log and not yet known to be in the file */
    struct sqlite_duplicate *duplicates;
    size_t duplicate_count;
    struct sqlite_later later;
    /* Heads of rows touched of late, at pk % SQLITE_HEADS: a move seldom has to read its row
     * first. As in the transaction; forgotten as a whole when one is rolled back. */
    struct sqlite_head heads[SQLITE_HEADS];
};

/* ---- store_sqlite_log.c: few large writes into the log ---- */

/* Make the VFS known to SQLite under log->name; it stands before the default one of now.
 * SQLITE_OK or SQLite's error. The struct must stay where it is until it is unregistered. */
int sqlite_log_register(struct sqlite_log *log) NODISCARD;

/* Take it back, when no connection uses it any more; accepts one never registered. */
void sqlite_log_unregister(struct sqlite_log *log);

/* Is less than that free in the folder's file system? False when it cannot be asked: the commit itself will tell. */
bool sqlite_log_space_below(const char *folder, uint64_t bytes);

/* ---- store_sqlite_db.c: the connection ---- */

/* Open the file, set the modes, make or check the schema, prepare all statements.
 * ERR_CONFIG: not our file or a newer schema. ERR_STORAGE: anything of the disk. On failure
 * nothing stays open. */
enum err sqlite_db_connect(struct sqlite_store *store, struct err_text *why) NODISCARD;

/* Close the connection, if any. */
void sqlite_db_disconnect(struct sqlite_store *store);

/* Forget the cached heads: what they tell may have been rolled back. */
void sqlite_db_forget_heads(struct sqlite_store *store);

/* Raise the epoch on disk and take it. */
enum err sqlite_db_raise_epoch(struct sqlite_store *store, struct err_text *why) NODISCARD;

/* Read the mark (batch, last_pk) of the last committed batch that wrote. */
enum err sqlite_db_read_mark(struct sqlite_store *store, struct sqlite_tally *out,
                             struct err_text *why) NODISCARD;

/* Count the rows by state: reads the whole table, for open. */
enum err sqlite_db_count(struct sqlite_store *store, struct sqlite_tally *out,
                         struct err_text *why) NODISCARD;

/* The first column of the first row of a query; *found false when there is none. SQLITE_OK or SQLite's error. */
int sqlite_db_query_int(sqlite3 *db, const char *text, int64_t *out, bool *found) NODISCARD;

/* Run statements that give no rows. ERR_CONFIG: the file is no database; ERR_STORAGE: the rest. */
enum err sqlite_db_run_text(sqlite3 *db, const char *text, const char *what,
                            struct err_text *why) NODISCARD;

/* Put what SQLite says of its last error into why. */
enum err sqlite_db_error(sqlite3 *db, enum err code, const char *what, struct err_text *why);

/* A statement, ready to be bound. */
sqlite3_stmt *sqlite_db_statement(struct sqlite_store *store, enum sql sql);

/* Run a bound statement that gives no rows. SQLITE_OK or SQLite's error. */
int sqlite_db_run(sqlite3_stmt *statement) NODISCARD;

/* Bind count integers to the parameters from `first` on. */
void sqlite_db_bind_ints(sqlite3_stmt *statement, int first, const int64_t *values, int count);

/* Bind borrowed text (null = "") or bytes (null = NULL); both must live until the statement
 * has run. */
void sqlite_db_bind_text(sqlite3_stmt *statement, int place, const char *text);
void sqlite_db_bind_bytes(sqlite3_stmt *statement, int place, const void *data, size_t len);

/* A text column of the row under a statement, cut to the room. */
void sqlite_db_read_text(sqlite3_stmt *statement, int column, char *out, size_t room);

/* The row under a statement whose columns are those of a request. */
void sqlite_db_read_row(sqlite3_stmt *statement, struct store_row *row);

/* ---- store_sqlite_later.c: the history entries of a batch, inserted by one statement ---- */

/* Let the connection see the entries that wait. SQLITE_OK or SQLite's error. */
int sqlite_later_attach(struct sqlite_store *store) NODISCARD;

/* Let an entry wait; its data must live until the call of exec ends. */
void sqlite_later_add(struct sqlite_store *store, const struct sqlite_entry *entry);

/* Write what waits: before the commit, and before an op that looks into the history. SQLITE_OK or SQLite's error. */
int sqlite_later_write(struct sqlite_store *store) NODISCARD;

/* ---- store_sqlite_schema.c: the tables, and how they came to be ---- */

/* Make the tables of an empty file, or bring those of an older schema up to date, in one transaction.
 * ERR_CONFIG: not our file, or a newer schema. ERR_STORAGE: anything of the disk; then nothing was changed. */
enum err sqlite_schema_open(struct sqlite_store *store, struct err_text *why) NODISCARD;

/* ---- store_sqlite_chain.c: the two chained logs ---- */

/* Link an entry into its log; closes the day when the entry begins a new one. The chain value stands in
 * store->now.chains[log].head afterwards. The caller writes the entry. SQLITE_OK or SQLite's error. */
int sqlite_chain_add(struct sqlite_store *store, enum store_log log,
                     const struct chain_entry *entry) NODISCARD;

/* Drop up to limit entries of days that ended before that time; adds to *swept; *more: call again. */
int sqlite_chain_sweep(struct sqlite_store *store, int64_t before_ms, size_t limit,
                       size_t *swept, bool *more) NODISCARD;

/* Walk over both logs and work every chain value out anew. ERR_STORAGE with the first finding. */
enum err sqlite_chain_check(struct sqlite_store *store, struct err_text *why) NODISCARD;

int sqlite_write_audit(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_segments(struct sqlite_store *store, struct store_op *op) NODISCARD;

/* ---- store_sqlite_backup.c: a copy while the store is in use ---- */

enum {
    SQLITE_BACKUP_BUSY_PAGES = 64, /* behind each batch: 256 KB, about as long as the batch */
    SQLITE_BACKUP_IDLE_PAGES = 1024
};

int sqlite_backup(struct sqlite_store *store, struct store_op *op) NODISCARD;
/* Copy so many pages on. True when there is more to do. */
bool sqlite_backup_step(struct sqlite_store *store, int pages);
/* The connection goes: a backup under way has failed. */
void sqlite_backup_cut(struct sqlite_store *store);
/* Remove what a program that was killed left of one. */
void sqlite_backup_clean(const struct sqlite_store *store);
/* Forget a backup and its file. Accepts that there is none. */
void sqlite_backup_drop(struct sqlite_store *store);

/* ---- store_sqlite_write.c, store_sqlite_sweep.c, store_sqlite_edit.c, store_sqlite_read.c: one op each ----
 * They return SQLITE_OK with the op's result set, or SQLite's error: then exec rolls back. */
int sqlite_write_accept(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_write_move(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_write_note(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_write_hold(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_write_edit(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_write_forget(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_write_keep(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_write_sweep(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_get(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_due(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_lanes(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_backlog(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_live(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_body(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_list(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_history(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_counts(struct sqlite_store *store, struct store_op *op) NODISCARD;
int sqlite_read_kept(struct sqlite_store *store, struct store_op *op) NODISCARD;

/* Count a row that comes into a state, or leaves it. */
void sqlite_count_in(struct sqlite_tally *tally, enum state state, uint64_t pk);
void sqlite_count_out(struct sqlite_tally *tally, enum state state);

/* What the writing files share: the cached head of a row, the number of an op's event (0 = it has none), and the writing of
 * that event. values: number, pk, number of the row's event before, time. */
struct sqlite_head *sqlite_head_place(struct sqlite_store *store, uint64_t pk);
int sqlite_head_read(struct sqlite_store *store, uint64_t pk,
                     struct sqlite_head *head) NODISCARD;
uint64_t sqlite_event_number(struct sqlite_store *store, const struct store_op *op);
int sqlite_event_add(struct sqlite_store *store, struct store_op *op,
                     const int64_t values[4]) NODISCARD;
int sqlite_drop_by_pk(struct sqlite_store *store, enum sql sql, uint64_t pk) NODISCARD;
int sqlite_body_there(struct sqlite_store *store, uint64_t pk, bool *there) NODISCARD;

/* One row by pk into *row; *found tells. */
int sqlite_read_row(struct sqlite_store *store, uint64_t pk, struct store_row *row,
                    bool *found) NODISCARD;

#endif
