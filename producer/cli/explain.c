/* tpn explain: the whole story of one request, from the history that the broker keeps. */
#include "commands.h"

#include "ask.h"
#include "options.h"
#include "show.h"

#include <stdio.h>

static const struct option_row rows[] = {{OPTION_END, NULL, 0, 0, NULL, NULL}};

static const struct command command = {
    .name = "explain",
    .arguments = "ID",
    .summary = "Tell the whole story of one request: each step with its time, worker, server "
               "and replies",
    .rows = rows,
};

int command_explain(int argc, char *argv[])
{
    struct common_options options = {0};
    struct err_text why = {0};
    struct ask ask = {0};
    PB(QueryReply) *reply = NULL;
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        return code;
    }
    if (argc - first != 1) {
        return options_fail(&command, "one ID is needed");
    }
    enum err err = ask_open(&ask, &options, options.submit, &why);
    if (err == ERR_OK) {
        err = ask_status(&ask, argv[first], true, &reply, &why);
    }
    if (err != ERR_OK) {
        (void)fprintf(stderr, "tpn explain: %s\n", why.text);
        code = err == ERR_AGAIN ? EXIT_UNREACHABLE : EXIT_USAGE;
        goto out;
    }
    code = show_exit_code((int)reply->requests[0]->state);
    if (options.json) {
        show_json(&reply->requests[0]->base);
    } else {
        show_history(reply->requests[0]);
    }
out:
    if (reply != NULL) {
        protobuf_c_message_free_unpacked(&reply->base, NULL);
    }
    ask_close(&ask);
    return code;
}
