/* Remedies: rows of (phase, code, enhanced code, words) with a sentence. The first row that fits is taken, so a special
 * case stands above the general one of its phase.
 *
 * Sources: the provider tables of Microsoft ("SMTP AUTH client submission", Set-CASMailbox, Set-TransportConfig), Google
 * ("Fix SMTP errors", app passwords), Yahoo; RFC 4954, RFC 3207, RFC 6647 (greylisting). */
#include "remedy.h"

#include "clock.h"
#include "pb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What must hold beside the words. */
enum remedy_need {
    NEED_NOTHING,
    NEED_IMPLICIT_WORKS,
    NEED_STARTTLS_WORKS,
    NEED_CLEAR_WORKS,
    NEED_CERTIFICATE, /* the server showed one */
    NEED_CLEAR,       /* the settings ask for no TLS */
    NEED_LOGIN,       /* the settings have a login */
    NEED_NO_LOGIN
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order in which the table is read
struct remedy_row {
    int phase;            /* 0 = any */
    unsigned code;        /* 0 = any */
    const char *enhanced; /* null = any */
    const char *words;    /* part of the text, in any case of letters; null = any */
    enum remedy_need need;
    const char *sentence; /* {server}, {port}, … are filled in */
};

#define APP_PASSWORD                                                                           \
    "The account wants an app password: turn on two-step verification, make an app password "  \
    "and use it as password; or set authentication to oauth2."

#define NOT_SMTP                                                                               \
    "The server does not answer as a mail server does: check smtp_server and smtp_port, and "  \
    "whether something in between answers in its place."

static const struct remedy_row rows[] = {
    {PB_PHASE(TLS), 0, NULL, "somebody on the way", NEED_NOTHING,
     "More came than the answer to STARTTLS: the server is broken, or somebody in between puts "
     "words "
     "in. Do not turn TLS off; have the way to the server looked at."},
    {PB_PHASE(TLS), 454, NULL, NULL, NEED_NOTHING,
     "The server cannot do TLS now: nothing to change, the worker tries again by itself. If it "
     "stays "
     "so, its administrator must mend its certificate."},
    {PB_PHASE(TLS), 502, NULL, NULL, NEED_NOTHING,
     "The server offers STARTTLS and then does not know it: its administrator must mend that, "
     "or use "
     "port 465."},
    {PB_PHASE(TLS), 0, NULL, "handshake", NEED_CLEAR_WORKS,
     "The server offers STARTTLS on port {port}, but no TLS of version 1.2 or later comes of "
     "it: it is "
     "too old or broken. With use_tls false the port answers, unencrypted."},
    /* TLS mode and port. */
    {0, 0, NULL, NULL, NEED_IMPLICIT_WORKS,
     "Port {port} speaks TLS from the first byte: set tls_mode to implicit and use_tls to true "
     "(465 is the usual port for it, and needs no tls_mode)."},
    {0, 0, NULL, NULL, NEED_STARTTLS_WORKS,
     "Port {port} offers STARTTLS: set use_tls to true and tls_mode to auto or starttls."},
    {0, 0, NULL, NULL, NEED_CLEAR_WORKS,
     "The server does no TLS on port {port}: use its port for TLS (587 or 465), or have its "
     "administrator turn STARTTLS on. With use_tls false the port answers, unencrypted."},
    {PB_PHASE(PREPARE), 0, NULL, "465", NEED_NOTHING,
     "Port 465 speaks TLS from the first byte: set use_tls to true, or use port 587 or 25."},
    /* Certificates. */
    {PB_PHASE(TLS), 0, NULL, "expired", NEED_CERTIFICATE,
     "The server's certificate ended on {until}: its administrator must renew it."},
    {PB_PHASE(TLS), 0, NULL, "does not match target host", NEED_CERTIFICATE,
     "The certificate is for {names}, not for {server}: write one of these names into "
     "smtp_server."},
    {PB_PHASE(TLS), 0, NULL, "no alternative certificate subject name", NEED_CERTIFICATE,
     "The certificate is for {names}, not for {server}: write one of these names into "
     "smtp_server."},
    {PB_PHASE(TLS), 0, NULL, "pin", NEED_CERTIFICATE,
     "The server's key is {pin}, not the pinned one. If its administrator renewed the key, pin "
     "the new one; if nobody did, somebody may be listening in: do not go on."},
    {PB_PHASE(TLS), 0, NULL, "certificate", NEED_CERTIFICATE,
     "The certificate (for {names}, issued by {issuer}) is not signed by an authority this "
     "worker trusts: put the issuing CA into ca_file. Its key is {pin}."},
    {PB_PHASE(TLS), 0, NULL, "CA file", NEED_NOTHING,
     "ca_file must name a PEM file that the worker may read."},
    {PB_PHASE(TLS), 0, NULL, NULL, NEED_NOTHING,
     "No TLS of version 1.2 or later could be agreed on with {server}:{port}: the server may "
     "be "
     "too old."},
    /* Name and connection. */
    {PB_PHASE(CONNECT), 0, NULL, "not known", NEED_NOTHING,
     "The name {server} cannot be found: check its spelling in smtp_server, and the DNS of the "
     "worker's machine."},
    {PB_PHASE(CONNECT), 421, NULL, NULL, NEED_NOTHING,
     "The server is busy or limits connections: nothing to change, the worker tries again by "
     "itself. If it stays so, lower max_connections."},
    {PB_PHASE(CONNECT), 554, NULL, NULL, NEED_NOTHING,
     "The server wants no mail from this machine's address: ask its administrator to allow it, "
     "or use the provider's submission port 587 with a login."},
    {PB_PHASE(CONNECT), 0, NULL, "cannot connect", NEED_NOTHING,
     "Nothing listens on port {port} of {server}: check smtp_port (587, 465 or 25) and the "
     "firewall."},
    {PB_PHASE(CONNECT), 0, NULL, "greeting", NEED_NOTHING,
     "{server} accepts connections on port {port} but says nothing: check smtp_port, and "
     "whether "
     "a firewall or virus scanner stands in between."},
    {PB_PHASE(CONNECT), 0, NULL, "no answer", NEED_NOTHING,
     "No answer from {server}:{port}: a firewall may stand in between. Many networks let only "
     "587 and 465 out, not 25."},
    {PB_PHASE(CONNECT), 0, NULL, "unexpected reply", NEED_NOTHING,
     "What answers on port {port} is no mail server: check smtp_server and smtp_port."},
    {PB_PHASE(CONNECT), 0, NULL, "response headers", NEED_NOTHING, NOT_SMTP},
    {PB_PHASE(CONNECT), 0, NULL, "connection lost", NEED_NOTHING,
     "{server}:{port} hangs up at once: it may allow only known addresses, or not be a mail "
     "server."},
    {0, 0, NULL, "egress.", NEED_NOTHING,
     "This worker may not connect to that address. If the server is meant to lie there, its "
     "network belongs into egress.allow of worker.yaml."},
    /* What may happen at any step. */
    {0, 421, NULL, NULL, NEED_NOTHING,
     "The server is busy or going down: nothing to change, the worker tries again by itself."},
    {0, 0, NULL, "no answer", NEED_NOTHING,
     "The server stops answering at this step: it is overloaded, or a firewall or virus "
     "scanner in "
     "between holds the connection up."},
    {0, 0, NULL, "response headers", NEED_NOTHING, NOT_SMTP},
    {0, 0, NULL, "no SMTP", NEED_NOTHING, NOT_SMTP},
    {0, 0, NULL, "neither 235", NEED_NOTHING, NOT_SMTP},
    {0, 354, NULL, NULL, NEED_NOTHING, NOT_SMTP},
    {0, 0, NULL, "connection lost", NEED_NOTHING,
     "The server hangs up at this step: its log says why."},
    {PB_PHASE(EHLO), 0, NULL, NULL, NEED_NOTHING,
     "The server refuses our EHLO: set helo_name to this machine's full DNS name."},
    /* Login. */
    {PB_PHASE(AUTH), 535, "5.7.139", "disabled for the Tenant", NEED_NOTHING,
     "SMTP AUTH is off for the whole organisation. An administrator runs in Exchange Online "
     "PowerShell: Set-TransportConfig -SmtpClientAuthenticationDisabled $false  (or, for this "
     "mailbox only: Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled "
     "$false)."},
    {PB_PHASE(AUTH), 535, "5.7.139", "disabled for the Mailbox", NEED_NOTHING,
     "SMTP AUTH is off for this mailbox. An administrator runs in Exchange Online PowerShell: "
     "Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled $false"},
    {PB_PHASE(AUTH), 535, "5.7.139", "basic authentication is disabled", NEED_NOTHING,
     "The service takes no passwords any more: set authentication to oauth2 (tpn profile "
     "login)."},
    {PB_PHASE(AUTH), 535, "5.7.139", NULL, NEED_NOTHING,
     "Microsoft 365 refuses this login by policy: SMTP AUTH may be off (Set-CASMailbox "
     "-Identity "
     "{user} -SmtpClientAuthenticationDisabled $false), or security defaults or conditional "
     "access forbid it; oauth2 is the way that stays."},
    {PB_PHASE(AUTH), 550, "5.7.30", NULL, NEED_NOTHING,
     "The service takes no passwords any more: set authentication to oauth2 (tpn profile "
     "login)."},
    {PB_PHASE(AUTH), 534, "5.7.9", NULL, NEED_NOTHING, APP_PASSWORD},
    {PB_PHASE(AUTH), 0, NULL, "application-specific password", NEED_NOTHING, APP_PASSWORD},
    {PB_PHASE(AUTH), 535, NULL, "AUTH005", NEED_NOTHING,
     "Too many failed logins: wait before the next try. Yahoo and AOL take app passwords "
     "only."},
    {PB_PHASE(AUTH), 432, "4.7.12", NULL, NEED_NOTHING,
     "The server wants the password set anew: log in to the account by another way, and change "
     "it."},
    {PB_PHASE(AUTH), 432, NULL, NULL, NEED_NOTHING,
     "Too many connections with this login: set max_connections to 3 or less."},
    {PB_PHASE(AUTH), 454, NULL, NULL, NEED_NOTHING,
     "The server cannot check logins now: nothing to change, the worker tries again by "
     "itself."},
    {PB_PHASE(AUTH), 538, NULL, NULL, NEED_NOTHING,
     "The server takes this login over TLS only: set use_tls to true."},
    {PB_PHASE(AUTH), 530, NULL, "STARTTLS", NEED_NOTHING,
     "The server takes logins over TLS only: set use_tls to true."},
    {PB_PHASE(AUTH), 535, NULL, NULL, NEED_NOTHING,
     "The server does not know this user name and password: check both (the user name's upper "
     "and "
     "lower case count; some servers want the whole address, some only the part before the @). "
     "Gmail, Yahoo and others want an app password."},
    {PB_PHASE(AUTH), 0, NULL, "offered no AUTH", NEED_CLEAR,
     "The server offers no login of a known kind without TLS: set use_tls to true."},
    {PB_PHASE(AUTH), 0, NULL, "offered no AUTH", NEED_NOTHING,
     "The server offers no login on port {port}: logins are usually taken on 587 or 465. A "
     "relay "
     "that knows this machine by its address needs authentication anonymous."},
    {PB_PHASE(AUTH), 0, NULL, "no login of the kind", NEED_NOTHING,
     "The server offers other kinds of login only: try another authentication (basic, ntlm, "
     "oauth2)."},
    {PB_PHASE(AUTH), 0, NULL, "without TLS", NEED_NOTHING,
     "A password would cross the network readable by anybody: set use_tls to true."},
    {PB_PHASE(AUTH), 0, NULL, NULL, NEED_NOTHING,
     "Check authentication, user_name and password of the profile."},
    /* Sender. */
    {PB_PHASE(MAIL), 452, NULL, NULL, NEED_NOTHING,
     "The server's disk is full for now: nothing to change, the worker tries again by itself."},
    {PB_PHASE(MAIL), 530, NULL, "STARTTLS", NEED_NOTHING,
     "The server takes mail over TLS only: set use_tls to true."},
    {0, 530, NULL, NULL, NEED_NO_LOGIN,
     "The server wants a login first: set authentication, user_name and password."},
    {PB_PHASE(MAIL), 550, "5.7.60", NULL, NEED_NOTHING,
     "{user} may not send as {from}: give that mailbox the right Send As "
     "(Add-RecipientPermission "
     "-AccessRights SendAs), or send from {user}."},
    {PB_PHASE(MAIL), 0, NULL, "SendAsDenied", NEED_NOTHING,
     "{user} may not send as {from}: give that mailbox the right Send As "
     "(Add-RecipientPermission "
     "-AccessRights SendAs), or send from {user}."},
    {PB_PHASE(MAIL), 0, NULL, NULL, NEED_LOGIN,
     "The server does not take {from} as sender: it often wants the address of the login "
     "itself."},
    {PB_PHASE(MAIL), 0, NULL, NULL, NEED_NOTHING,
     "The server does not take {from} as sender: use an address of a domain that it knows."},
    /* Recipient. */
    {PB_PHASE(RCPT), 450, NULL, "greylist", NEED_NOTHING,
     "Greylisting: the server puts off mail from senders it has not seen yet. Nothing to "
     "change: "
     "the worker tries again by itself and gets through."},
    {PB_PHASE(RCPT), 451, NULL, "greylist", NEED_NOTHING,
     "Greylisting: the server puts off mail from senders it has not seen yet. Nothing to "
     "change: "
     "the worker tries again by itself and gets through."},
    {PB_PHASE(RCPT), 0, "5.1.1", NULL, NEED_NOTHING,
     "The server knows no mailbox {recipient}: check the address."},
    {PB_PHASE(RCPT), 0, "5.7.1", NULL, NEED_NO_LOGIN,
     "The server does not relay mail of this machine to {recipient}: set a login "
     "(authentication), or have its administrator allow this machine's address as a relay "
     "client."},
    {PB_PHASE(RCPT), 0, NULL, "relay", NEED_NO_LOGIN,
     "The server does not relay mail of this machine to {recipient}: set a login "
     "(authentication), or have its administrator allow this machine's address as a relay "
     "client."},
    {PB_PHASE(RCPT), 0, NULL, "relay", NEED_LOGIN,
     "The server does not relay mail of {user} to {recipient}: its administrator must allow "
     "it."},
    {PB_PHASE(RCPT), 450, NULL, NULL, NEED_NOTHING,
     "The server puts this recipient off for now: the worker tries again by itself."},
    {PB_PHASE(RCPT), 451, NULL, NULL, NEED_NOTHING,
     "The server puts this recipient off for now: the worker tries again by itself."},
    {PB_PHASE(RCPT), 452, NULL, NULL, NEED_NOTHING,
     "The server or the mailbox is full for now: the worker tries again by itself."},
    {PB_PHASE(RCPT), 0, NULL, NULL, NEED_NOTHING,
     "The server does not take mail for {recipient}: its words say why."},
    /* Pickup folder. */
    {PB_PHASE(PICKUP), 0, NULL, "not below", NEED_NOTHING,
     "Add the folder, or one above it, to pickup.roots in worker.yaml; a worker writes nowhere "
     "else."},
    {PB_PHASE(PICKUP), 0, NULL, "symbolic link", NEED_NOTHING,
     "Name the folder by its real path: symbolic links are not followed."},
    {PB_PHASE(PICKUP), 0, NULL, "Permission denied", NEED_NOTHING,
     "Give the user that tpn-worker runs as the right to write and rename files in {server}."},
    {PB_PHASE(PICKUP), 0, NULL, "Read-only", NEED_NOTHING,
     "{server} is mounted read-only on the worker's machine."},
    {PB_PHASE(PICKUP), 0, NULL, "No space", NEED_NOTHING,
     "The disk of {server} is full: make room; the worker tries again by itself."},
    {PB_PHASE(PICKUP), 0, NULL, "quota", NEED_NOTHING,
     "The worker's user has used up its quota on the disk of {server}."},
    {PB_PHASE(PICKUP), 0, NULL, "cross-device", NEED_NOTHING,
     "{server} spans two file systems, so a finished file cannot be put in place in one step: "
     "use a folder that is wholly on one."},
    {PB_PHASE(PICKUP), 0, NULL, NULL, NEED_NOTHING,
     "Make the folder on the worker's machine, or correct smtp_server; it must be an absolute "
     "path "
     "there."},
};

static bool contains(const char *text, const char *words)
{
    size_t len = strlen(words);
    for (; *text != '\0'; text++) {
        if (strncasecmp(text, words, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool works(const struct remedy_case *what, enum settings_tls mode)
{
    return (what->works & (1U << mode)) != 0;
}

static bool is_met(enum remedy_need need, const struct remedy_case *what)
{
    bool login = what->plan->authentication != PB_AUTH(ANONYMOUS);
    const bool met[] = {
        [NEED_NOTHING] = true,
        [NEED_IMPLICIT_WORKS] = works(what, SETTINGS_TLS_IMPLICIT),
        [NEED_STARTTLS_WORKS] = works(what, SETTINGS_TLS_STARTTLS),
        [NEED_CLEAR_WORKS] = works(what, SETTINGS_TLS_NONE),
        [NEED_CERTIFICATE] = what->certificate != NULL,
        [NEED_CLEAR] = what->plan->tls == SETTINGS_TLS_NONE,
        [NEED_LOGIN] = login,
        [NEED_NO_LOGIN] = !login,
    };
    return met[need];
}

static bool fits(const struct remedy_row *row, const struct remedy_case *what)
{
    return (row->phase == 0 || row->phase == what->phase) &&
           (row->code == 0 || row->code == what->code) &&
           (row->enhanced == NULL || strcmp(row->enhanced, what->enhanced) == 0) &&
           (row->words == NULL || contains(what->text, row->words)) && is_met(row->need, what);
}

static const char *or_else(const char *text, const char *none)
{
    return text != NULL && text[0] != '\0' ? text : none;
}

/* Fill in the words in braces. */
static void expand(const char *sentence, const struct remedy_case *what, char out[REMEDY_BYTES])
{
    char port[8];
    char until[CLOCK_TEXT_BYTES] = "";
    const struct certificate none = {.not_after_ms = 0};
    const struct certificate *seen = what->certificate != NULL ? what->certificate : &none;
    const struct settings_plan *plan = what->plan;
    (void)snprintf(port, sizeof port, "%u", (unsigned)plan->port);
    (void)snprintf(until, 11, "%s",
                   clock_text(seen->not_after_ms, (char[CLOCK_TEXT_BYTES]){0}));
    const struct {
        const char *word;
        const char *value;
    } words[] = {
        {"{server}",
         plan->route == SETTINGS_PICKUP ? or_else(plan->folder, "?") : plan->server},
        {"{port}", port},
        {"{user}", or_else(plan->user_name, "the login")},
        {"{names}", or_else(seen->names, "no name")},
        {"{issuer}", or_else(seen->issuer, "nobody named")},
        {"{until}", until},
        {"{pin}", seen->pin},
        {"{from}", or_else(what->from, "the empty sender <>")},
        {"{recipient}", or_else(what->recipient, "this recipient")},
    };
    size_t used = 0;
    while (*sentence != '\0' && used + 1 < REMEDY_BYTES) {
        size_t i = 0;
        size_t count = sizeof words / sizeof words[0];
        while (i < count && strncmp(sentence, words[i].word, strlen(words[i].word)) != 0) {
            i++;
        }
        if (i == count) {
            out[used++] = *sentence++;
            continue;
        }
        int len = snprintf(out + used, REMEDY_BYTES - used, "%.300s", words[i].value);
        used += len > 0 ? (size_t)len : 0;
        used = used < REMEDY_BYTES ? used : REMEDY_BYTES - 1;
        sentence += strlen(words[i].word);
    }
    out[used] = '\0';
}

const char *remedy_for(const struct remedy_case *what, char out[REMEDY_BYTES])
{
    out[0] = '\0';
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (fits(&rows[i], what)) {
            expand(rows[i].sentence, what, out);
            break;
        }
    }
    return out;
}
