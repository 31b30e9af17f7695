/* The tables of the SQLite engine, and how an older file is brought up to date.
 *
 * Shape of the data: rows that change often (request) apart from bytes that never change
 * (body) and from what is only appended (history, audit). `phase` stands beside `state` so that the
 * partial index is touched when a request is accepted, put off or finished, and not by leases
 * and permits. There is no index for the sweep: it walks the rows (store_sqlite_sweep.c).
 *
 * A migration is one row of the table below: the statements that turn version N into N + 1. They run in one
 * transaction with the new number, so a crash leaves the old file or the new one. They touch as little as they
 * can: what the tables did not hold before is empty in the old rows. What a program of version N wrote is never
 * rewritten, so a migration takes as long for a million rows as for one, but for what its comment says.
 * A column is added at the end of its table, here and there alike: a test compares the two. */
#include "store_sqlite.h"

#include "log.h"
#include "path.h"

#include <inttypes.h>

#define ZEROS "x'0000000000000000000000000000000000000000000000000000000000000000'"

/* How far the last committed batch came, and the open day of both logs (chain.h). One row. */
#define MARK                                                                                   \
    "create table mark (one integer primary key check (one = 1), batch integer not null,"      \
    "  last_pk integer not null, event_day integer not null, event_first integer not null,"    \
    "  event_last integer not null, event_count integer not null, event_start blob not null,"  \
    "  event_head blob not null, audit_day integer not null, audit_first integer not null,"    \
    "  audit_last integer not null, audit_count integer not null, audit_start blob not null,"  \
    "  audit_head blob not null) strict;"

#define NO_CHAINS "0, 0, 0, 0, " ZEROS ", " ZEROS ", 0, 0, 0, 0, " ZEROS ", " ZEROS

/* What came with version 2 and is the same in a new file and in a migrated one.
 *
 * A row of label outlives its request: `until` is then the number of its last event, and the label goes with the day of
 * that event. segment: the days that are over; swept 1 = its entries are going, 2 = they are gone. An empty head: the
 * entries from before there was a chain. */
#define VERSION_2                                                                              \
    "create index request_supersede on request (producer, supersede_key)"                      \
    "  where phase <> 0 and supersede_key <> '';"                                              \
    "create table label (text text not null, pk integer not null,"                             \
    "  until integer not null default 0, primary key (text, pk)) strict, without rowid;"       \
    "create index label_until on label (until) where until <> 0;"                              \
    "create table edit (pk integer primary key, data blob not null) strict;"                   \
    "create table audit (number integer primary key, at integer not null,"                     \
    "  record blob not null, chain blob not null) strict;"                                     \
    "create table segment (log integer not null, first integer not null,"                      \
    "  day integer not null, last integer not null, count integer not null,"                   \
    "  start blob not null, head blob not null, swept integer not null,"                       \
    "  primary key (log, first)) strict, without rowid;"                                       \
    "create table kept (name text primary key, value blob not null) strict, without rowid;"

/* Times are wall clock milliseconds. uint64 values are stored as the int64 with the same
 * bits. */
static const char schema[] =
    "begin;"
    "create table meta (key text primary key, value integer not null) strict, without rowid;"
    /* By chance, so that lease numbers of two stores on one machine are not the same. */
    "insert into meta values ('schema', 2), ('epoch', abs(random() % 1048576));" MARK
    "insert into mark values (1, 0, 0, " NO_CHAINS ");"
    /* What a move looks at stands first. */
    "create table request (pk integer primary key, state integer not null,"
    "  phase integer not null, lease integer not null, last_event integer not null,"
    "  visible_at integer not null, changed_at integer not null, attempt integer not null,"
    "  losses integer not null, partial integer not null, priority integer not null,"
    "  expire_at integer not null, accepted_at integer not null, recipients integer not null,"
    "  profile text not null, producer text not null, id text not null,"
    "  worker text not null, reason text not null, results blob,"
    "  supersede_key text not null default '', labels text not null default '',"
    "  held integer not null default 0) strict;"
    "create index request_due on request (profile, producer, priority, visible_at)"
    "  where phase = 1;"
    /* id first: people ask for an id without its producer. */
    "create table key (id text not null, producer text not null, pk integer not null,"
    "  digest blob not null, primary key (id, producer)) strict, without rowid;"
    "create table body (pk integer primary key, payload blob not null) strict;"
    /* prev: the event before this one of the same request, 0 = it is the first. */
    "create table history (number integer primary key, request integer not null,"
    "  prev integer not null, at integer not null, event blob not null, chain blob) "
    "strict;" VERSION_2 "commit;";

static const struct {
    int from;
    const char *text; /* without begin, commit and the new number */
} migrations[] = {
    /* Requests that an older program accepted have no labels and supersede nothing: what it kept of
     * them does not say. Their history has no chain; it is a day of its own, the day of its last
     * entry, so that it is swept in its time. The walk over the history is the one thing that grows
     * with the file: about a second for ten million entries. */
    {1, "alter table request add column supersede_key text not null default '';"
        "alter table request add column labels text not null default '';"
        "alter table request add column held integer not null default 0;"
        "alter table history add column chain blob;"
        "alter table mark rename to old_mark;" MARK
        "insert into mark select 1, batch, last_pk, " NO_CHAINS " from old_mark;"
        "drop table old_mark;" VERSION_2
        "insert into segment (log, first, day, last, count, start, head, swept)"
        "  select 0, min(number), max(at) / 86400000, max(number), count(*), x'', x'', 0"
        "  from history having count(*) > 0;"},
};

_Static_assert(STORE_SCHEMA_VERSION == 2,
               "number in the schema above, and a row for the step to it");
_Static_assert(STORE_LOG_EVENTS == 0 && (int)CHAIN_DAY_MS == 86400000,
               "numbers in the SQL above");

static enum err make_schema(struct sqlite_store *store, struct err_text *why)
{
    enum err err = sqlite_db_run_text(store->db, schema, store->path, why);
    return err != ERR_OK ? err : path_sync_folder(store->folder, why);
}

static enum err migrate(struct sqlite_store *store, int64_t from, struct err_text *why)
{
    enum err err = sqlite_db_run_text(store->db, "begin", store->path, why);
    for (size_t i = 0; i < sizeof migrations / sizeof migrations[0] && err == ERR_OK; i++) {
        if (migrations[i].from >= from) {
            err = sqlite_db_run_text(store->db, migrations[i].text, store->path, why);
        }
    }
    char set[96];
    (void)sqlite3_snprintf(sizeof set, set, "update meta set value = %d where key = 'schema'",
                           STORE_SCHEMA_VERSION);
    if (err == ERR_OK) {
        err = sqlite_db_run_text(store->db, set, store->path, why);
    }
    if (err == ERR_OK) {
        err = sqlite_db_run_text(store->db, "commit", store->path, why);
    }
    if (err == ERR_OK) {
        log_info("store-migrated", "from=%" PRId64 " to=%d", from, STORE_SCHEMA_VERSION);
    }
    return err; /* the caller closes the connection, and that rolls back */
}

enum err sqlite_schema_open(struct sqlite_store *store, struct err_text *why)
{
    int64_t tables = 0;
    int64_t version = 0;
    bool found = false;
    if (sqlite_db_query_int(store->db, "select count(*) from sqlite_schema", &tables, &found) !=
        SQLITE_OK) {
        return sqlite_db_error(store->db, ERR_STORAGE, store->path, why);
    }
    if (tables == 0) {
        return make_schema(store, why);
    }
    int rc = sqlite_db_query_int(store->db, "select value from meta where key = 'schema'",
                                 &version, &found);
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
    if (version < migrations[0].from) {
        return err_set(why, ERR_CONFIG, "%s: schema %" PRId64 " cannot be brought up to %d",
                       store->path, version, STORE_SCHEMA_VERSION);
    }
    return version < STORE_SCHEMA_VERSION ? migrate(store, version, why) : ERR_OK;
}
