/* The due list: what comes out of a table can be mailed, and nothing is counted twice or lost.
 *
 * Input: a byte (how dates are read, early warning), then a file; its bytes are also tried as a date. */
#include "fuzz.h"

#include "address.h"
#include "due.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { TODAY = 20780, ORDERS = DUE_ORDER_ISO + 1 };

static void demand_line(const char *text)
{
    demand(text_check(text, strlen(text), TEXT_LINE) == TEXT_OK, "no line: %s", text);
}

static void demand_list(const struct due_list *list, const struct due_rule *rule)
{
    size_t items = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct due_custodian *one = &list->custodians[i];
        struct err_text why = {0};
        demand(address_check(one->address, &why) == ERR_OK, "%s: %s", one->address, why.text);
        demand(one->count > 0 && one->past_due <= one->count, "%zu of %zu", one->past_due,
               one->count);
        demand_line(one->name);
        items += one->count;
        for (size_t k = 0; k < one->count; k++) {
            const struct due_item *item = &one->items[k];
            demand_line(item->asset);
            demand_line(item->description);
            demand_line(item->location);
            demand(item->due < rule->today + (due_day)rule->early_warning_days + 1,
                   "due on %ld", (long)item->due);
        }
    }
    demand(items == list->items, "%zu items, counted %zu", items, list->items);
    demand(list->rows == list->items + list->not_due + list->bad_rows,
           "%zu rows: %zu due, %zu not, %zu bad", list->rows, list->items, list->not_due,
           list->bad_rows);
}

static void try_day(const uint8_t *data, size_t size, enum due_date_order order)
{
    char *text = fuzz_text(data, size);
    char shown[DUE_DAY_BYTES];
    struct err_text why = {0};
    due_day day = 0;
    due_day again = 0;
    if (due_parse_day(text, order, &day, &why) == ERR_OK) {
        due_day_text(day, shown);
        demand(due_parse_day(shown, DUE_ORDER_ISO, &again, &why) == ERR_OK && day == again,
               "%s is %s: %s", text, shown, why.text);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct due_rule rule = {.today = TODAY,
                            .early_warning_days = data[0] / ORDERS,
                            .order = (enum due_date_order)(data[0] % ORDERS)};
    struct due_list list = {0};
    struct err_text why = {0};
    try_day(data + 1, size - 1, rule.order);
    if (due_read((const char *)data + 1, size - 1, &rule, &list, &why) == ERR_OK) {
        demand_list(&list, &rule);
    } else {
        demand(why.text[0] != '\0', "refused without a word");
    }
    due_free(&list);
    return 0;
}
