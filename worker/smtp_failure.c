/* Failures to connect, for people and for the outcome table.
 *
 * libcurl's code alone does not tell the phase (a refused EHLO and a refused greeting look
 * alike), and its RESPONSE_CODE is stale after a lost connection; so the replies that came
 * are looked at as well. Decides no outcome: outcome.c does. */
#include "smtp_failure.h"

#include "pb.h"

#include <stdio.h>
#include <string.h>

enum use_reply { REPLY_NO, REPLY_IF_REFUSED };

/* What libcurl's code says by itself. A phase of UNSPECIFIED: by how far the dialogue came. */
static const struct curl_row {
    CURLcode code;
    int phase;
    enum use_reply reply;
    const char *text;
} curl_rows[] = {
    {CURLE_COULDNT_RESOLVE_HOST, PB_PHASE(CONNECT), REPLY_NO, "the server's name is not known"},
    {CURLE_COULDNT_CONNECT, PB_PHASE(CONNECT), REPLY_NO, "cannot connect"},
    {CURLE_OPERATION_TIMEDOUT, PB_PHASE(UNSPECIFIED), REPLY_NO, "no answer in time"},
    {CURLE_WEIRD_SERVER_REPLY, PB_PHASE(UNSPECIFIED), REPLY_IF_REFUSED, "unexpected reply"},
    {CURLE_REMOTE_ACCESS_DENIED, PB_PHASE(EHLO), REPLY_IF_REFUSED, "EHLO refused"},
    {CURLE_USE_SSL_FAILED, PB_PHASE(TLS), REPLY_IF_REFUSED,
     "STARTTLS is required, the server does not do it"},
    {CURLE_SSL_CONNECT_ERROR, PB_PHASE(TLS), REPLY_NO, "TLS handshake failed"},
    {CURLE_PEER_FAILED_VERIFICATION, PB_PHASE(TLS), REPLY_NO, "certificate not accepted"},
    {CURLE_SSL_CACERT_BADFILE, PB_PHASE(TLS), REPLY_NO, "cannot read the CA file"},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, PB_PHASE(TLS), REPLY_NO, "the pinned key does not match"},
    {CURLE_SSL_CERTPROBLEM, PB_PHASE(TLS), REPLY_NO, "certificate problem"},
    {CURLE_SSL_CIPHER, PB_PHASE(TLS), REPLY_NO, "no common cipher"},
    {CURLE_LOGIN_DENIED, PB_PHASE(AUTH), REPLY_IF_REFUSED,
     "the server offers no login of the kind that the settings ask for"},
    {CURLE_UNSUPPORTED_PROTOCOL, PB_PHASE(PREPARE), REPLY_NO, "libcurl cannot do SMTP"},
    {CURLE_URL_MALFORMAT, PB_PHASE(PREPARE), REPLY_NO,
     "smtp_server or helo_name cannot be used"},
};

static const struct curl_row any_row = {CURLE_OK, PB_PHASE(UNSPECIFIED), REPLY_IF_REFUSED,
                                        "connection lost"};

void smtp_dialogue_add(struct smtp_dialogue *dialogue, unsigned code)
{
    if (code == 220) {
        dialogue->starttls = dialogue->greeting;
        dialogue->greeting = true;
        dialogue->ehlo = false;
    } else if (code == 250) {
        dialogue->ehlo = true;
    } else if (code == 235) {
        dialogue->login = true;
    }
}

/* The step that was under way. */
static int phase_of(const struct smtp_failure_input *in)
{
    const struct smtp_dialogue *seen = in->dialogue;
    if (!seen->greeting) {
        return PB_PHASE(CONNECT);
    }
    if (!seen->ehlo) {
        return seen->starttls ? PB_PHASE(TLS) : PB_PHASE(EHLO);
    }
    return in->plan->tls == SETTINGS_TLS_STARTTLS && !seen->starttls ? PB_PHASE(TLS)
                                                                     : PB_PHASE(AUTH);
}

static const char *hint_of(const struct smtp_failure_input *in)
{
    bool implicit = in->plan->tls == SETTINGS_TLS_IMPLICIT;
    if (implicit && strstr(in->error, "wrong version number") != NULL) {
        return "; the port speaks clear text first: STARTTLS (587 or 25) instead of implicit "
               "TLS?";
    }
    if (in->curl == CURLE_WEIRD_SERVER_REPLY && in->dialogue->starttls) {
        return "; the server, or somebody on the way, said more than the answer to STARTTLS";
    }
    if (!implicit && in->curl == CURLE_OPERATION_TIMEDOUT && !in->dialogue->greeting) {
        return "; no greeting: is this a port for implicit TLS (465)?";
    }
    return "";
}

static void decide(struct smtp_failure *out, const struct settings_plan *plan)
{
    out->outcome = smtp_failure_outcome(out, plan);
}

struct outcome smtp_failure_outcome(const struct smtp_failure *failure,
                                    const struct settings_plan *plan)
{
    const struct outcome_reply reply = {.plan = plan,
                                        .phase = failure->phase,
                                        .code = failure->code,
                                        .enhanced = failure->enhanced,
                                        .text = failure->text};
    return outcome_of(&reply);
}

void smtp_failure_of_text(int phase, const char *text, struct smtp_failure *out)
{
    *out = (struct smtp_failure){.phase = phase};
    (void)snprintf(out->text, sizeof out->text, "%s", text);
    decide(out, NULL);
}

void smtp_failure_of_reply(int phase, const struct smtp_reply *reply,
                           const struct settings_plan *plan, struct smtp_failure *out)
{
    *out = (struct smtp_failure){.phase = phase, .code = reply->code};
    (void)snprintf(out->enhanced, sizeof out->enhanced, "%s", reply->enhanced);
    (void)snprintf(out->text, sizeof out->text, "%s", reply->text);
    decide(out, plan);
}

void smtp_failure_of_class(int phase, int class, const char *text, struct smtp_failure *out)
{
    *out = (struct smtp_failure){.phase = phase,
                                 .outcome = {.outcome = PB_OUTCOME(DEFERRED), .class = class}};
    (void)snprintf(out->text, sizeof out->text, "%s", text);
}

void smtp_failure_of_loss(int phase, const char *text, struct smtp_failure *out)
{
    smtp_failure_of_text(phase, text, out);
    out->outcome = outcome_of_silence(PB_PHASE(CONNECT));
}

/* The connection went amid the handshake, which is no answer of TLS: a loss like any other. */
static bool handshake_was_cut(const struct smtp_failure_input *in)
{
    return in->curl == CURLE_SSL_CONNECT_ERROR &&
           (strstr(in->error, "SSL_ERROR_SYSCALL") != NULL ||
            strstr(in->error, "unexpected eof") != NULL ||
            strstr(in->error, "Recv failure") != NULL ||
            strstr(in->error, "Send failure") != NULL);
}

void smtp_failure_of_curl(const struct smtp_failure_input *in, struct smtp_failure *out)
{
    const struct curl_row *row = &any_row;
    for (size_t i = 0; i < sizeof curl_rows / sizeof curl_rows[0]; i++) {
        row = curl_rows[i].code == in->curl ? &curl_rows[i] : row;
    }
    *out = (struct smtp_failure){.phase = row->phase,
                                 .certificate = in->curl == CURLE_PEER_FAILED_VERIFICATION ||
                                                in->curl == CURLE_SSL_PINNEDPUBKEYNOTMATCH};
    if (out->phase == PB_PHASE(UNSPECIFIED)) {
        out->phase = phase_of(in);
    }
    const struct smtp_reply *reply = in->reply;
    if (row->reply == REPLY_IF_REFUSED && reply->state == SMTP_REPLY_DONE &&
        reply->code >= 400) {
        smtp_failure_of_reply(out->phase, reply, in->plan, out);
    } else {
        (void)snprintf(out->text, sizeof out->text, "%s: %s%s", row->text,
                       in->error[0] != '\0' ? in->error : curl_easy_strerror(in->curl),
                       hint_of(in));
    }
    decide(out, in->plan);
    if (in->curl == CURLE_OPERATION_TIMEDOUT || row == &any_row || handshake_was_cut(in)) {
        /* Lost or slow is no fault of the settings, in whatever phase. */
        out->outcome = out->code == 0 ? outcome_of_silence(PB_PHASE(CONNECT)) : out->outcome;
    }
}
