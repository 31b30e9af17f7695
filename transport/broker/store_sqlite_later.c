/* The history entries of a batch, kept until its end and then inserted by one statement.
 *
 * Each run of a statement costs SQLite a set-up that is dearer than the row itself: cursors,
 * the schema's cookie, a look at every bound value. A message has four entries, so they come
 * out of a virtual table (sqlite.org/vtab.html#epovtab) that shows what waits: one run a batch.
 * The bytes of an entry are borrowed from its op and live as long as the call. */
#include "store_sqlite.h"

#include "mem.h"

#include <stdlib.h>

struct later_cursor {
    sqlite3_vtab_cursor base;
    const struct sqlite_later *later;
    size_t at;
};

struct later_table {
    sqlite3_vtab base;
    const struct sqlite_later *later;
};

/* The columns, in the order of the declaration. */
enum { NUMBER, REQUEST, PREV, AT, EVENT, CHAIN };

static int connect_table(sqlite3 *db, void *arg, int argc, const char *const *argv,
                         sqlite3_vtab **out, char **why)
{
    (void)argc;
    (void)argv;
    (void)why;
    int rc = sqlite3_declare_vtab(
        db, "create table later (number, request, prev, at, event, chain)");
    if (rc == SQLITE_OK) {
        struct later_table *table = mem_zero(1, sizeof *table);
        table->later = arg;
        *out = &table->base;
    }
    return rc;
}

static int disconnect_table(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

/* There is one plan: all of it, from the first. */
static int plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = 1;
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
    struct later_cursor *cursor = mem_zero(1, sizeof *cursor);
    cursor->later = ((const struct later_table *)table)->later;
    *out = &cursor->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

static int begin_walk(sqlite3_vtab_cursor *base, int number, const char *text, int argc,
                      sqlite3_value **argv)
{
    (void)number;
    (void)text;
    (void)argc;
    (void)argv;
    ((struct later_cursor *)base)->at = 0;
    return SQLITE_OK;
}

static int next_entry(sqlite3_vtab_cursor *base)
{
    ((struct later_cursor *)base)->at++;
    return SQLITE_OK;
}

static int at_end(sqlite3_vtab_cursor *base)
{
    const struct later_cursor *cursor = (const struct later_cursor *)base;
    return cursor->at >= cursor->later->count;
}

static int give_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    const struct later_cursor *cursor = (const struct later_cursor *)base;
    const struct sqlite_entry *entry = &cursor->later->entries[cursor->at];
    if (column < EVENT) {
        sqlite3_result_int64(context, entry->values[column]);
    } else if (column == EVENT) {
        sqlite3_result_blob64(context, entry->data, entry->len, SQLITE_STATIC);
    } else {
        sqlite3_result_blob(context, entry->chain, DIGEST_BYTES, SQLITE_STATIC);
    }
    return SQLITE_OK;
}

static int give_row_id(sqlite3_vtab_cursor *base, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)((const struct later_cursor *)base)->at;
    return SQLITE_OK;
}

/* No xCreate: the table is there by itself and cannot be made by anybody. */
static const sqlite3_module module = {
    .xConnect = connect_table,
    .xBestIndex = plan,
    .xDisconnect = disconnect_table,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = begin_walk,
    .xNext = next_entry,
    .xEof = at_end,
    .xColumn = give_column,
    .xRowid = give_row_id,
};

int sqlite_later_attach(struct sqlite_store *store)
{
    return sqlite3_create_module_v2(store->db, "later", &module, &store->later, NULL);
}

void sqlite_later_add(struct sqlite_store *store, const struct sqlite_entry *entry)
{
    struct sqlite_later *later = &store->later;
    if (later->count == later->room) {
        later->room = later->room > 0 ? 2 * later->room : 256;
        later->entries = mem_resize(later->entries, later->room, sizeof *later->entries);
    }
    later->entries[later->count++] = *entry;
}

int sqlite_later_write(struct sqlite_store *store)
{
    if (store->later.count == 0) {
        return SQLITE_OK;
    }
    int rc = sqlite_db_run(sqlite_db_statement(store, SQL_EVENTS_ADD));
    store->later.count = 0;
    return rc;
}
