/* From the options of tpn evidence to the question. */
#include "evidence_options.h"

#include "chain.h"
#include "clock.h"
#include "conf.h"

#include <string.h>
#include <time.h>

/* A day begins at its midnight, UTC; an age is counted from now. end: of that day. */
static enum err read_time(const char *option, const char *text, bool end, int64_t *out,
                          struct err_text *why)
{
    struct tm parts = {0};
    uint64_t age_ms = 0;
    if (text == NULL) {
        return ERR_OK;
    }
    const char *rest = strptime(text, "%Y-%m-%d", &parts);
    if (rest != NULL && *rest == '\0') {
        *out = (int64_t)timegm(&parts) * 1000 + (end ? CHAIN_DAY_MS : 0);
    } else if (conf_duration(text, &age_ms, NULL) == ERR_OK) {
        *out = clock_wall_ms() - (int64_t)age_ms;
    } else {
        return err_set(why, ERR_INVALID, "--%s %s: write 2026-11-25, or an age as 7d", option,
                       text);
    }
    *out = *out > 0 ? *out : 1; /* 0 would be "all" */
    return ERR_OK;
}

enum err evidence_options_wish(const struct evidence_options *options,
                               struct evidence_wish *wish, struct err_text *why)
{
    *wish = (struct evidence_wish){.log = options->audit ? 1 : 0, .label = options->label};
    if (options->label != NULL && strchr(options->label, '=') == NULL) {
        return err_set(why, ERR_INVALID, "--label %s: write NAME=VALUE", options->label);
    }
    enum err err = read_time("from", options->from, false, &wish->from_ms, why);
    err = err == ERR_OK ? read_time("to", options->to, true, &wish->to_ms, why) : err;
    if (err == ERR_OK && wish->to_ms != 0 && wish->to_ms <= wish->from_ms) {
        err = err_set(why, ERR_INVALID, "--from %s is behind --to %s", options->from,
                      options->to);
    }
    return err;
}
