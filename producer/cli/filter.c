/* From the options of a filter to the message that the broker takes.
 *
 * Names of states are checked here, so that a mistake is told with the option's name; what else may stand in a filter is
 * the broker's to say (proto/README.md). */
#include "filter.h"

#include "buf.h"
#include "clock.h"
#include "conf.h"
#include "mem.h"
#include "pb_text.h"

#include <string.h>

char *filter_text(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

bool filter_given(const struct filter_options *options)
{
    return options->states.count > 0 || options->profile != NULL || options->prefix != NULL ||
           options->label != NULL || options->older != NULL || options->newer != NULL ||
           options->held;
}

/* The time so long ago. */
static enum err read_age(const char *option, const char *text, int64_t *out,
                         struct err_text *why)
{
    uint64_t age_ms = 0;
    struct err_text reason;
    if (text == NULL) {
        return ERR_OK;
    }
    if (conf_duration(text, &age_ms, &reason) != ERR_OK) {
        return err_set(why, ERR_INVALID, "--%s %s: %s", option, text, reason.text);
    }
    int64_t at_ms = clock_wall_ms() - (int64_t)age_ms;
    *out = at_ms > 0 ? at_ms : 1; /* 0 would be "any" */
    return ERR_OK;
}

static enum err say_no_state(const char *word, struct err_text *why)
{
    const ProtobufCEnumDescriptor *type = PB_DESCRIPTOR(state);
    struct buf list;
    buf_init(&list, sizeof why->text);
    for (unsigned i = 0; i < type->n_values; i++) {
        int state = type->values[i].value;
        if (state != PB_STATE(UNSPECIFIED)) {
            buf_add_format(&list, "%s%s", list.len > 0 ? ", " : "", pb_state_word(state));
        }
    }
    buf_add_char(&list, '\0');
    enum err err = err_set(
        why, ERR_INVALID, "--state %s: no such state; one of %s (may be repeated)", word,
        buf_status(&list) == ERR_OK ? (const char *)list.data : "those of tpn queue ls");
    buf_fini(&list);
    return err;
}

enum err filter_fill(const struct filter_options *options, PB(QueueFilter) *filter,
                     struct err_text *why)
{
    filter->profile = filter_text(options->profile);
    filter->producer = filter_text(options->producer);
    filter->id_prefix = filter_text(options->prefix);
    filter->states = mem_zero(options->states.count + 1, sizeof *filter->states);
    for (size_t i = 0; i < options->states.count; i++) {
        int state = 0;
        if (pb_enum_parse(PB_DESCRIPTOR(state), options->states.items[i], &state) != ERR_OK) {
            return say_no_state(options->states.items[i], why);
        }
        filter->states[filter->n_states++] = (Trackpro__Notify__V1__State)state;
    }
    if (options->label != NULL && strchr(options->label, '=') == NULL) {
        return err_set(why, ERR_INVALID, "--label %s: write NAME=VALUE", options->label);
    }
    filter->label = filter_text(options->label);
    filter->held = options->held;
    enum err err = read_age("older", options->older, &filter->before_ms, why);
    return err == ERR_OK ? read_age("newer", options->newer, &filter->since_ms, why) : err;
}
