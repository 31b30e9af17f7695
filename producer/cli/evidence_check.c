/* The checker: it works every chain value out anew and compares.
 *
 * It trusts nothing but the first day's start: what that should be, only somebody who noted a head knows (--head). */
#include "evidence_check.h"

#include <inttypes.h>
#include <string.h>

void evidence_check_init(struct evidence_check *check)
{
    *check = (struct evidence_check){.maker = digest_maker_new()};
}

void evidence_check_fini(struct evidence_check *check)
{
    digest_maker_free(&check->maker);
}

static enum err find(const struct evidence_check *check, struct err_text *why, uint64_t number,
                     const char *finding)
{
    char date[CHAIN_DATE_BYTES];
    return err_set(why, ERR_INVALID, "entry %" PRIu64 " of %s: %s", number,
                   chain_date(check->wanted.day, date), finding);
}

static enum err end_day(struct evidence_check *check, struct err_text *why)
{
    if (!check->in_day) {
        return ERR_OK;
    }
    check->in_day = false;
    if (!check->chained) {
        return ERR_OK;
    }
    memcpy(check->head, check->wanted.head, DIGEST_BYTES);
    check->has_head = true;
    if (check->swept) {
        return ERR_OK;
    }
    if (check->now.count != check->wanted.count) {
        char date[CHAIN_DATE_BYTES];
        return err_set(why, ERR_INVALID,
                       "%s has %" PRIu64 " entries here and had %" PRIu64
                       ": entries are missing or were added",
                       chain_date(check->wanted.day, date), check->now.count,
                       check->wanted.count);
    }
    return memcmp(check->now.head, check->wanted.head, DIGEST_BYTES) == 0
               ? ERR_OK
               : find(check, why, check->wanted.last, "the day does not end in its head");
}

static bool take_digest(const ProtobufCBinaryData *data, uint8_t out[DIGEST_BYTES])
{
    if (data->len != DIGEST_BYTES) {
        return false;
    }
    memcpy(out, data->data, DIGEST_BYTES);
    return true;
}

enum err evidence_check_day(struct evidence_check *check, const PB(EvidenceDay) *day,
                            struct err_text *why)
{
    enum err err = end_day(check, why);
    if (err != ERR_OK) {
        return err;
    }
    check->in_day = true;
    check->swept = day->swept;
    check->chained = day->chained;
    check->days++;
    check->swept_days += day->swept ? 1 : 0;
    check->now = (struct chain){0};
    check->wanted = (struct chain){
        .day = day->day, .first = day->first, .last = day->last, .count = day->count};
    if (!day->chained) {
        return ERR_OK;
    }
    if (!take_digest(&day->start, check->now.head) ||
        !take_digest(&day->head, check->wanted.head)) {
        return find(check, why, day->first, "the day has no chain values");
    }
    if (check->has_head && memcmp(check->head, check->now.head, DIGEST_BYTES) != 0) {
        return find(check, why, day->first,
                    "the day does not begin where the one before it ended: a day is missing "
                    "or was changed");
    }
    chain_turn(&check->now, check->maker, day->day);
    return ERR_OK;
}

enum err evidence_check_entry(struct evidence_check *check, const PB(EvidenceEntry) *entry,
                              struct err_text *why)
{
    uint8_t digest[DIGEST_BYTES];
    uint8_t stored[DIGEST_BYTES];
    if (!check->in_day || check->swept) {
        return find(check, why, entry->number, "it stands in no day");
    }
    if (!check->chained) {
        check->unchained++;
        return ERR_OK;
    }
    if (entry->number <= check->now.last) {
        return find(check, why, entry->number, "it is out of order");
    }
    if (entry->digest.len == 0) {
        const struct chain_entry content = {.number = entry->number,
                                            .request = entry->request,
                                            .at_ms = entry->at_ms,
                                            .data = entry->data.data,
                                            .len = entry->data.len};
        chain_digest(check->maker, &content, digest);
        check->entries++;
    } else if (take_digest(&entry->digest, digest)) {
        check->digests++;
    } else {
        return find(check, why, entry->number, "its digest is damaged");
    }
    chain_link(check->maker, check->now.head, digest, check->now.head);
    check->now.last = entry->number;
    check->now.count++;
    if (!take_digest(&entry->chain, stored) ||
        memcmp(stored, check->now.head, DIGEST_BYTES) != 0) {
        return find(check, why, entry->number, "it was changed, or one before it is missing");
    }
    return ERR_OK;
}

enum err evidence_check_end(struct evidence_check *check, struct err_text *why)
{
    return end_day(check, why);
}
