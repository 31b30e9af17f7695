/* From the options of a filter to the message that the broker takes.
 *
 * Names of states are checked here, so that a mistake is told with the option's name; what else may stand in a filter is
 * the broker's to say (proto/README.md). */
#include "filter.h"

#include "mem.h"
#include "pb_text.h"

char *filter_text(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
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
            return err_set(why, ERR_INVALID, "--state %s: no such state",
                           options->states.items[i]);
        }
        filter->states[filter->n_states++] = (Trackpro__Notify__V1__State)state;
    }
    return ERR_OK;
}
