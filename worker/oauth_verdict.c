/* The table of endings. Rows are tried from the top; the last one catches everything. */
#include "oauth_verdict.h"

#include "pb.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A word of the server decides before its status: Azure says invalid_grant with 400, others with 401. */
static const struct word_row {
    const char *error;
    int class;
} words[] = {
    {"invalid_grant", PB_CLASS(LOGIN)}, /* revoked, expired, password changed */
    {"interaction_required", PB_CLASS(LOGIN)},
    {"consent_required", PB_CLASS(LOGIN)},
    {"login_required", PB_CLASS(LOGIN)},
    {"access_denied", PB_CLASS(LOGIN)},
    {"invalid_client", PB_CLASS(LOGIN)}, /* the client's secret is wrong, or ran out */
    {"unauthorized_client", PB_CLASS(CONFIGURATION)},
    {"invalid_scope", PB_CLASS(CONFIGURATION)},
    {"invalid_request", PB_CLASS(CONFIGURATION)},
    {"unsupported_grant_type", PB_CLASS(CONFIGURATION)},
    {"temporarily_unavailable", PB_CLASS(TRANSIENT)},
    {"server_error", PB_CLASS(TRANSIENT)},
    {"slow_down", PB_CLASS(TRANSIENT)},
};

static const struct status_row {
    unsigned from;
    unsigned to;
    int class;
} statuses[] = {
    {408, 408, PB_CLASS(TRANSIENT)},     {425, 425, PB_CLASS(TRANSIENT)},
    {429, 429, PB_CLASS(TRANSIENT)},     {500, 599, PB_CLASS(TRANSIENT)},
    {100, 499, PB_CLASS(CONFIGURATION)}, /* a redirect, a page that is not there, a token that is none */
};

/* No answer: only what lies in the settings is not a matter of waiting. */
static const CURLcode settings_faults[] = {
    CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_URL_MALFORMAT,
    CURLE_UNSUPPORTED_PROTOCOL, CURLE_WRITE_ERROR /* the answer was too long */
};

int oauth_verdict(const struct oauth_ending *ending)
{
    for (size_t i = 0; i < sizeof settings_faults / sizeof settings_faults[0]; i++) {
        if (ending->curl == settings_faults[i]) {
            return PB_CLASS(CONFIGURATION);
        }
    }
    if (ending->curl != CURLE_OK) {
        return PB_CLASS(TRANSIENT);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(ending->error, words[i].error) == 0) {
            return words[i].class;
        }
    }
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (ending->status >= statuses[i].from && ending->status <= statuses[i].to) {
            return statuses[i].class;
        }
    }
    return PB_CLASS(TRANSIENT);
}
