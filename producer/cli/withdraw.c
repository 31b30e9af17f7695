/* tpn withdraw: what waits under a supersede key is no longer wanted (the item was calibrated meanwhile). */
#include "commands.h"

#include "ask.h"
#include "filter.h"
#include "options.h"
#include "show.h"

#include <inttypes.h>
#include <stdio.h>

struct withdraw_options {
    struct common_options common; /* first */
    const char *reason;
};

static const struct option_row rows[] = {
    {OPTION_TEXT, "reason", 0, offsetof(struct withdraw_options, reason), "TEXT",
     "why, for the history"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "withdraw",
    .arguments = "KEY",
    .summary = "Cancel what this producer has waiting under a supersede key",
    .more = "Exits with 1 when something with the key may have been sent already.\n",
    .rows = rows,
};

static int print_answer(const ProtobufCMessage *answer, bool json)
{
    const PB(Withdrawn) *withdrawn = (const PB(Withdrawn) *)answer;
    if (json) {
        show_json(answer);
    } else {
        printf("%" PRIu32 " withdrawn, %" PRIu32 " may be on their way\n", withdrawn->withdrawn,
               withdrawn->left);
    }
    return withdrawn->left > 0 ? EXIT_SOME_FAILED : EXIT_FINE;
}

int command_withdraw(int argc, char *argv[])
{
    struct withdraw_options options = {.reason = NULL};
    struct err_text why = {0};
    struct ask ask = {0};
    PB(Withdraw) body = PB_INIT(WITHDRAW);
    ProtobufCMessage *answer = NULL;
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first != 1) {
        return options_fail(&command, "one KEY is needed");
    }
    body.supersede_key = argv[first];
    body.reason = filter_text(options.reason);
    enum err err = ask_open(&ask, &options.common, options.common.submit, &why);
    if (err == ERR_OK) {
        err = ask_for(&ask, WIRE_WITHDRAW, &body.base, WIRE_WITHDRAWN, &answer, &why);
    }
    ask_close(&ask);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn withdraw: %s\n", why.text);
        return err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
    }
    code = print_answer(answer, options.common.json);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}
