/* Answers of token endpoints: what is read can stand in a SASL line and in a log. */
#include "fuzz.h"

#include "oauth_reply.h"

#include <stdlib.h>
#include <string.h>

static void demand_token(const char *token)
{
    for (const char *c = token; c != NULL && *c != '\0'; c++) {
        demand(*c > ' ' && *c <= '~', "byte %d in a token", *c);
    }
    demand(token == NULL || token[0] != '\0', "an empty token");
}

static void demand_line(const char *text, size_t size)
{
    demand(strnlen(text, size) < size, "no end of text");
    for (const char *c = text; *c != '\0'; c++) {
        demand(*c >= ' ' && *c <= '~', "byte %d in a line", *c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oauth_reply reply;
    struct err_text why = {0};
    char *key = NULL;
    char *email = NULL;
    const char *json = (const char *)data;
    enum err err = oauth_reply_read(size > 0 ? json : "", size, &reply, &why);
    demand(err == ERR_OK || why.text[0] != '\0', "refused without a reason");
    demand(err == ERR_OK || reply.access_token == NULL, "refused, but a token is there");
    demand(err != ERR_OK || reply.access_token != NULL || reply.device_code != NULL ||
               reply.error[0] != '\0',
           "taken, but nothing is there");
    demand_token(reply.access_token);
    demand_token(reply.refresh_token);
    demand_token(reply.device_code);
    demand_token(reply.user_code);
    demand_token(reply.verification_uri);
    demand_line(reply.error, sizeof reply.error);
    demand_line(reply.words, sizeof reply.words);
    demand(reply.expires_in_s <= OAUTH_SECONDS_MAX, "a life of %u s",
           (unsigned)reply.expires_in_s);
    oauth_reply_fini(&reply);
    if (oauth_key_file_read(size > 0 ? json : "", size, &key, &email, &why) == ERR_OK) {
        demand(key != NULL && email != NULL, "a key file without its parts");
    }
    free(key);
    free(email);
    return 0;
}
