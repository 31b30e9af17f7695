/* From a call to a record in the store. It keeps nothing: order, retry and chain are the ledger's and the store's. */
#include "audit.h"

#include "broker.h"
#include "log.h"
#include "mem.h"
#include "pack.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Limits of AuditRecord (proto/README.md), without the NUL. */
enum { WHO_MAX = 128, ACT_MAX = 64, TARGET_MAX = 512, WHY_MAX = 512, TEXTS = 4 };

static const char *const outcomes[] = {
    [AUDIT_DONE] = "done", [AUDIT_REFUSED] = "refused", [AUDIT_FAILED] = "failed"};

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* A line of at most max bytes: '?' for each byte that is no UTF-8 and for each control character. */
static char *clean_line(const char *text, size_t max)
{
    const char *from = text != NULL ? text : "";
    size_t len = strlen(from);
    char *out = mem_zero(1, max + 1);
    size_t used = 0;
    while (len > 0) {
        uint32_t code = 0;
        size_t step = utf8_next(from, len, &code);
        bool good = step > 0 && !is_control(code);
        size_t take = good ? step : 1;
        if (used + take > max) {
            break;
        }
        if (good) {
            memcpy(out + used, from, step);
        } else {
            out[used] = '?';
        }
        used += take;
        step = step > 0 ? step : 1;
        from += step;
        len -= step;
    }
    return out;
}

void audit_record_count(struct broker *broker, const char *who, const char *act,
                        const char *target, enum audit_outcome outcome, const char *why,
                        uint32_t count)
{
    const char *const texts[TEXTS] = {who, act, target, why};
    static const size_t limits[TEXTS] = {WHO_MAX, ACT_MAX, TARGET_MAX, WHY_MAX};
    char *lines[TEXTS];
    for (int i = 0; i < TEXTS; i++) {
        lines[i] = clean_line(texts[i], limits[i]);
    }
    PB(AuditRecord) record = PB_INIT(AUDIT_RECORD);
    record.who = lines[0][0] != '\0' ? lines[0] : (char *)(uintptr_t) "?"; /* required */
    record.act = lines[1][0] != '\0' ? lines[1] : (char *)(uintptr_t) "?";
    record.target = lines[2];
    record.outcome = (char *)(uintptr_t)outcomes[outcome];
    record.why = lines[3];
    record.at_ms = broker_now_ms(broker);
    record.count = count > 1 ? count : 0;
    struct ledger_op *op = ledger_op_new(STORE_AUDIT, NULL, NULL);
    op->texts = (char *)pack_new(&record.base, &op->store.audit.len); /* the ledger frees it */
    op->store.audit.data = (const uint8_t *)op->texts;
    op->store.audit.at_ms = record.at_ms;
    op->patient = true; /* one more write is not worth a commit of its own */
    ledger_add(broker->ledger, op);
    char quoted[3][LOG_QUOTE_BYTES];
    log_info("audit", "who=%s act=%s target=%s outcome=%s count=%u why=%s",
             log_quote(record.who, quoted[0]), record.act, log_quote(record.target, quoted[1]),
             record.outcome, count > 1 ? count : 1, log_quote(record.why, quoted[2]));
    for (int i = 0; i < TEXTS; i++) {
        free(lines[i]);
    }
}

void audit_record(struct broker *broker, const char *who, const char *act, const char *target,
                  enum audit_outcome outcome, const char *why)
{
    audit_record_count(broker, who, act, target, outcome, why, 1);
}
