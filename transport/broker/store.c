/* What every engine and every caller of the store shares: freeing what an op put out.
 *
 * Both functions leave the thing as if it had never been filled, so they may be called twice
 * and on zeroed memory. Inputs are borrowed and never freed here. */
#include "store.h"

#include "path.h"

#include <stdlib.h>

char *store_backup_path(const char *folder)
{
    return path_join(folder, "backup.db");
}

void store_row_fini(struct store_row *row)
{
    free(row->results);
    row->results = NULL;
    row->results_len = 0;
    free(row->labels);
    row->labels = NULL;
}

static void free_rows(struct store_row **rows, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        store_row_fini(&(*rows)[i]);
    }
    free(*rows);
    *rows = NULL;
    *count = 0;
}

static void free_events(struct store_event **events, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        free((*events)[i].data);
    }
    free(*events);
    *events = NULL;
    *count = 0;
}

static void free_values(struct store_value **values, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        free((*values)[i].data);
    }
    free(*values);
    *values = NULL;
    *count = 0;
}

void store_op_fini(struct store_op *op)
{
    switch (op->kind) {
    case STORE_ACCEPT:
        store_row_fini(&op->accept.row);
        break;
    case STORE_GET:
        store_row_fini(&op->get.row);
        break;
    case STORE_DUE:
        free_rows(&op->due.rows, &op->due.count);
        break;
    case STORE_LANES:
        free(op->lanes.lanes);
        op->lanes.lanes = NULL;
        op->lanes.count = 0;
        break;
    case STORE_BACKLOG:
        free(op->backlog.items);
        op->backlog.items = NULL;
        op->backlog.count = 0;
        break;
    case STORE_LIVE:
        free_rows(&op->live.rows, &op->live.count);
        break;
    case STORE_BODY:
        free(op->body.data);
        op->body.data = NULL;
        op->body.len = 0;
        free(op->body.edit);
        op->body.edit = NULL;
        op->body.edit_len = 0;
        break;
    case STORE_LIST:
        free_rows(&op->list.rows, &op->list.count);
        break;
    case STORE_HISTORY:
        free_events(&op->history.events, &op->history.count);
        break;
    case STORE_SEGMENTS:
        free(op->segments.segments);
        op->segments.segments = NULL;
        op->segments.count = 0;
        break;
    case STORE_KEPT:
        free_values(&op->kept.values, &op->kept.count);
        break;
    case STORE_MOVE:
    case STORE_NOTE:
    case STORE_HOLD:
    case STORE_EDIT:
    case STORE_FORGET:
    case STORE_AUDIT:
    case STORE_KEEP:
    case STORE_BACKUP:
    case STORE_COUNTS:
    case STORE_SWEEP:
    case STORE_KIND_COUNT:
        break;
    }
}
