/* The due list: which items of a table are due, and whom to tell.
 *
 * TrackPro's rule. An item counts when its status is Active, its date done is empty, and its
 * due date is before today, or within the early-warning days when there are any.
 *
 * Columns are found by their header, in any order; blanks, punctuation and case of a header do
 * not matter. The names that are understood stand in due.c (due_columns) and in `tpn alert
 * --help`. Columns that are not needed are ignored. */
#ifndef TPN_DUE_H
#define TPN_DUE_H

#include "buf.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum due_column {
    DUE_ASSET,
    DUE_DESCRIPTION,
    DUE_LOCATION,
    DUE_STATUS,
    DUE_DATE,
    DUE_DONE,
    DUE_CUSTODIAN,
    DUE_EMAIL,
    DUE_COLUMN_COUNT
};

/* How 03/04/2026 is to be read. Year first and day.month.year are always understood. */
enum due_date_order {
    DUE_ORDER_AUTO, /* only when it can be read in one way */
    DUE_ORDER_DMY,
    DUE_ORDER_MDY,
    DUE_ORDER_ISO /* year first only */
};

/* Days since 1970-01-01. */
typedef int32_t due_day;

enum { DUE_DAY_BYTES = 16 };

/* Read a date, with or without a time behind it, which is ignored.
 * ERR_INVALID: no date, or one that can be read in two ways; why says which. */
enum err due_parse_day(const char *text, enum due_date_order order, due_day *day,
                       struct err_text *why) NODISCARD;
/* "2026-11-23"; returns out. */
const char *due_day_text(due_day day, char out[DUE_DAY_BYTES]);
/* Today by this machine's clock and time zone. */
due_day due_today(void);

struct due_rule {
    due_day today;
    unsigned early_warning_days; /* 0 = only what is past due */
    enum due_date_order order;
};

/* An item that is due. Texts are the list's, on one line each. */
struct due_item {
    char *asset;
    char *description;
    char *location;
    due_day due;
    unsigned line;
};

/* A custodian and the items, those longest overdue first. */
struct due_custodian {
    char *address; /* as first written */
    char *name;    /* or "" */
    struct due_item *items;
    size_t count;
    size_t past_due;
};

struct due_list {
    struct due_custodian *custodians; /* sorted by address */
    size_t count;
    size_t items; /* due, over all custodians */
    size_t rows;  /* read, the bad ones included */
    size_t bad_rows;
    size_t not_due; /* rows that do not count: not active, done, or not due yet */
    size_t no_date; /* of not_due: Active and not done, but without a due date */
    struct buf bad; /* "line N: reason\n" for each bad row */
};

/* Read a table. Bad rows are told in list->bad and left out, the others are read on.
 *  file   its bytes, as exported
 * Returns ERR_OK also when there are bad rows; ERR_INVALID when no row can be read: encoding,
 * or a column that is missing. The list is to be freed in either case. */
enum err due_read(const char *file, size_t len, const struct due_rule *rule,
                  struct due_list *list, struct err_text *why) NODISCARD;
void due_free(struct due_list *list); /* accepts an empty one */

/* Add the columns and their names to a help text. */
void due_describe_columns(struct buf *out);

#endif
