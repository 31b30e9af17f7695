/* The paging of DAYS and EVIDENCE. It looks at nothing of what an entry says. */
#include "evidence_feed.h"

#include "chain.h"
#include "filter.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct day_list {
    PB(EvidenceDay) *items; /* with bytes of their own: digests */
    uint8_t (*digests)[2][DIGEST_BYTES];
    size_t count;
};

static bool touches(const struct evidence_wish *wish, const PB(EvidenceDay) *day)
{
    return (day->day + 1) * CHAIN_DAY_MS > wish->from_ms &&
           (wish->to_ms == 0 || day->day * CHAIN_DAY_MS < wish->to_ms);
}

static void keep_day(struct day_list *list, const PB(EvidenceDay) *day)
{
    list->items = mem_resize(list->items, list->count + 1, sizeof *list->items);
    list->digests = mem_resize(list->digests, list->count + 1, sizeof *list->digests);
    list->items[list->count] = *day;
    if (day->start.len == DIGEST_BYTES && day->head.len == DIGEST_BYTES) {
        memcpy(list->digests[list->count][0], day->start.data, DIGEST_BYTES);
        memcpy(list->digests[list->count][1], day->head.data, DIGEST_BYTES);
    }
    list->count++;
}

static enum err read_days(struct ask *ask, const struct evidence_wish *wish,
                          struct day_list *list, struct err_text *why)
{
    PB(DaysAsk) question = PB_INIT(DAYS_ASK);
    question.log = (Trackpro__Notify__V1__EvidenceLog)wish->log;
    for (bool more = true; more;) {
        ProtobufCMessage *answer = NULL;
        enum err err = ask_for(ask, WIRE_DAYS, &question.base, WIRE_DAYS_OK, &answer, why);
        if (err != ERR_OK) {
            return err;
        }
        const PB(Days) *days = (const PB(Days) *)answer;
        for (size_t i = 0; i < days->n_days; i++) {
            question.after = days->days[i]->first;
            if (touches(wish, days->days[i])) {
                keep_day(list, days->days[i]);
            }
        }
        more = days->more && days->n_days > 0;
        protobuf_c_message_free_unpacked(answer, NULL);
    }
    /* The lists stand still now, so what is lent stays where it is. */
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].start.data = list->digests[i][0];
        list->items[i].head.data = list->digests[i][1];
    }
    return ERR_OK;
}

static enum err read_entries(struct ask *ask, const struct evidence_wish *wish,
                             const PB(EvidenceDay) *day, const struct evidence_sink *sink,
                             struct err_text *why)
{
    PB(EvidenceAsk) question = PB_INIT(EVIDENCE_ASK);
    question.log = (Trackpro__Notify__V1__EvidenceLog)wish->log;
    question.from_ms = wish->from_ms;
    question.to_ms = wish->to_ms;
    question.label = filter_text(wish->label);
    question.after = day->first - 1;
    question.until = day->last;
    while (true) {
        ProtobufCMessage *answer = NULL;
        enum err err =
            ask_for(ask, WIRE_EVIDENCE, &question.base, WIRE_EVIDENCE_OK, &answer, why);
        if (err != ERR_OK) {
            return err;
        }
        const PB(Evidence) *page = (const PB(Evidence) *)answer;
        for (size_t i = 0; i < page->n_entries && err == ERR_OK; i++) {
            err = sink->entry(sink->arg, page->entries[i], why);
        }
        /* A cursor that does not rise would make this endless. */
        bool more = page->next > question.after;
        question.after = page->next;
        protobuf_c_message_free_unpacked(answer, NULL);
        if (err != ERR_OK || !more) {
            return err;
        }
    }
}

enum err evidence_feed(struct ask *ask, const struct evidence_wish *wish,
                       const struct evidence_sink *sink, struct err_text *why)
{
    struct day_list list = {0};
    enum err err = read_days(ask, wish, &list, why);
    for (size_t i = 0; i < list.count && err == ERR_OK; i++) {
        err = sink->day(sink->arg, &list.items[i], why);
        if (err == ERR_OK && !list.items[i].swept && !wish->days_only) {
            err = read_entries(ask, wish, &list.items[i], sink, why);
        }
    }
    free(list.items);
    free(list.digests);
    return err;
}
