/* CDO fields: one table says what becomes of each. Everything that is not taken over is told, with the reason.
 *
 * Source: Microsoft, "CDO for Windows 2000, configuration namespace"; the values of sendusing and smtpauthenticate are
 * CdoSendUsing and CdoProtocolsAuthentication. */
#include "cdo.h"

#include "pb.h"
#include "settings.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum cdo_action {
    CDO_TEXT,     /* taken over as it is */
    CDO_NUMBER,   /* digits */
    CDO_BOOL,     /* true, false, 1, 0, -1 */
    CDO_SECONDS,  /* a duration */
    CDO_USING,    /* sendusing */
    CDO_LOGIN,    /* smtpauthenticate */
    CDO_FOLDER,   /* smtpserverpickupdirectory */
    CDO_PASSWORD, /* never taken over */
    CDO_NAME,     /* name of the profile */
    CDO_IGNORED,
    CDO_REFUSED
};

struct cdo_row {
    const char *field;
    enum cdo_action action;
    const char *key; /* of profiles.yaml, or why it is not taken over */
};

/* Keep sorted by name; a name that ends in '*' stands for all that begin so. */
static const struct cdo_row rows[] = {
    {"autopromotebodyparts", CDO_IGNORED,
     "how a mail is put together is the worker's business"},
    {"flushbuffersonwrite", CDO_IGNORED, "every pickup file is flushed"},
    {"httpcookies", CDO_IGNORED, "no web page is fetched"},
    {"languagecode", CDO_IGNORED, "replies of servers are told as they are"},
    {"nntp*", CDO_REFUSED, "news (NNTP) is not sent"},
    {"post*", CDO_REFUSED, "news (NNTP) is not sent"},
    {"savesentitems", CDO_IGNORED, "sent mail is kept in the history, not in a mailbox"},
    {"sendemailaddress", CDO_IGNORED, "each request names its sender (message.from)"},
    {"sendpassword", CDO_PASSWORD, "password"},
    {"sendusername", CDO_TEXT, "user_name"},
    {"senduserreplyemailaddress", CDO_IGNORED,
     "each request names where replies go (message.reply_to)"},
    {"sendusing", CDO_USING, "use_pickup_folder"},
    {"sendusingmethod", CDO_USING, "use_pickup_folder"},
    {"smtpaccountname", CDO_NAME, "name of the profile"},
    {"smtpauthenticate", CDO_LOGIN, "authentication"},
    {"smtpconnectiontimeout", CDO_SECONDS, "connect_timeout"},
    {"smtpserver", CDO_TEXT, "smtp_server"},
    {"smtpserverpickupdirectory", CDO_FOLDER, "smtp_server"},
    {"smtpserverport", CDO_NUMBER, "smtp_port"},
    {"smtpusessl", CDO_BOOL, "use_tls"},
    {"url*", CDO_IGNORED, "no web page is fetched"},
    {"usemessageresponsetext", CDO_IGNORED, "replies of servers are told as they are"},
};

enum { ROWS = sizeof rows / sizeof rows[0], FIELD_BYTES = 64 };

/* One line, taken apart. */
struct cdo_line {
    size_t number;
    char field[FIELD_BYTES]; /* lower case, without the namespace and without "cdo" */
    char value[CDO_VALUE_BYTES];
    bool good; /* the value is one line of text and not too long */
};

static void note(struct cdo_import *import, const struct cdo_line *line, const char *what,
                 const char *why)
{
    buf_add_format(&import->notes, "%s: line %zu: %s: %s\n", line->field, line->number, what,
                   why);
}

static void refuse(struct cdo_import *import, const struct cdo_line *line, const char *why)
{
    import->refused++;
    note(import, line, "refused", why);
}

/* A later line of the same field replaces the earlier one, as CDO has it. */
static void set(struct cdo_import *import, const char *key, const char *value)
{
    size_t at = 0;
    while (at < import->count && strcmp(import->settings[at].key, key) != 0) {
        at++;
    }
    if (at == CDO_SETTINGS) {
        return; /* cannot be: there are fewer keys than that */
    }
    import->count += at == import->count;
    import->settings[at].key = key;
    (void)snprintf(import->settings[at].value, CDO_VALUE_BYTES, "%s", value);
}

static const char *get(const struct cdo_import *import, const char *key)
{
    for (size_t i = 0; i < import->count; i++) {
        if (strcmp(import->settings[i].key, key) == 0) {
            return import->settings[i].value;
        }
    }
    return "";
}

/* ---- values ---- */

/* A word of a value and what it stands for; the number that CDO has for it is a word as well. */
struct cdo_word {
    const char *word;
    const char *meaning; /* null = refused */
};

static const struct cdo_word using_words[] = {
    {"1", "true"},  {"cdoSendUsingPickup", "true"},
    {"2", "false"}, {"cdoSendUsingPort", "false"},
    {"3", NULL},    {"cdoSendUsingExchange", NULL},
    {NULL, NULL},
};
static const struct cdo_word login_words[] = {
    {"0", "anonymous"}, {"cdoAnonymous", "anonymous"}, {"1", "basic"}, {"cdoBasic", "basic"},
    {"2", "ntlm"},      {"cdoNTLM", "ntlm"},           {NULL, NULL},
};
static const struct cdo_word bool_words[] = {
    {"true", "true"},   {"1", "true"},  {"-1", "true"},  {"yes", "true"},
    {"false", "false"}, {"0", "false"}, {"no", "false"}, {NULL, NULL},
};

static const struct cdo_word *find_word(const struct cdo_word *words, const char *value)
{
    while (words->word != NULL && strcasecmp(words->word, value) != 0) {
        words++;
    }
    return words->word != NULL ? words : NULL;
}

static void take_word(struct cdo_import *import, const struct cdo_row *row,
                      const struct cdo_line *line, const struct cdo_word *words,
                      const char *wanted)
{
    const struct cdo_word *found = find_word(words, line->value);
    if (found == NULL) {
        refuse(import, line, wanted);
    } else if (found->meaning == NULL) {
        refuse(import, line,
               "sending through Exchange's store is not possible: use port (2) or pickup (1)");
    } else {
        set(import, row->key, found->meaning);
    }
}

static void take_number(struct cdo_import *import, const struct cdo_row *row,
                        const struct cdo_line *line)
{
    char value[CDO_VALUE_BYTES + 1];
    size_t digits = strspn(line->value, "0123456789");
    if (digits == 0 || digits > 9 || line->value[digits] != '\0') {
        refuse(import, line, "must be a number");
        return;
    }
    (void)snprintf(value, sizeof value, "%s%s", line->value,
                   row->action == CDO_SECONDS ? "s" : "");
    set(import, row->key, value);
}

static void take(struct cdo_import *import, const struct cdo_row *row,
                 const struct cdo_line *line)
{
    switch (row->action) {
    case CDO_TEXT:
        set(import, row->key, line->value);
        break;
    case CDO_NUMBER:
    case CDO_SECONDS:
        take_number(import, row, line);
        break;
    case CDO_BOOL:
        take_word(import, row, line, bool_words, "must be true or false");
        break;
    case CDO_USING:
        take_word(import, row, line, using_words,
                  "must be 1 (pickup), 2 (port) or 3 (Exchange, refused)");
        break;
    case CDO_LOGIN:
        take_word(import, row, line, login_words,
                  "must be 0 (anonymous), 1 (basic) or 2 (NTLM)");
        break;
    case CDO_FOLDER:
        (void)snprintf(import->folder, sizeof import->folder, "%s", line->value);
        break;
    case CDO_PASSWORD:
        import->has_password = line->value[0] != '\0';
        break;
    case CDO_NAME:
        (void)snprintf(import->name, sizeof import->name, "%.64s", line->value);
        break;
    case CDO_IGNORED:
        note(import, line, "ignored", row->key);
        break;
    case CDO_REFUSED:
        refuse(import, line, row->key);
        break;
    }
}

/* ---- lines ---- */

static bool row_is_for(const struct cdo_row *row, const char *field)
{
    size_t len = strlen(row->field);
    return row->field[len - 1] == '*' ? strncmp(row->field, field, len - 1) == 0
                                      : strcmp(row->field, field) == 0;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Copy without blanks around it and without one pair of quotes. False when it is no line of text that fits. */
static bool copy_value(const char *from, size_t len, char out[CDO_VALUE_BYTES])
{
    while (len > 0 && strchr(" \t", *from) != NULL) {
        from++;
        len--;
    }
    while (len > 0 && strchr(" \t\r;", from[len - 1]) != NULL) {
        len--;
    }
    if (len >= 2 && (*from == '"' || *from == '\'') && from[len - 1] == *from) {
        from++;
        len -= 2;
    }
    if (len >= CDO_VALUE_BYTES || text_check(from, len, TEXT_LINE) != TEXT_OK) {
        return false;
    }
    (void)snprintf(out, CDO_VALUE_BYTES, "%.*s", (int)len, from);
    return true;
}

/* Where the field's name begins: behind the namespace, or at the constant, or at the first letter. */
static const char *find_field(const char *line)
{
    static const char space[] = "/cdo/configuration/";
    const char *at = strstr(line, space);
    if (at != NULL) {
        return at + sizeof space - 1;
    }
    at = strstr(line, "cdo");
    at = at != NULL ? at : line;
    while (*at != '\0' && !is_letter(*at)) {
        at++;
    }
    return at;
}

/* False for a line without a field: blank, a comment, another statement of a script. */
static bool split(const char *text, struct cdo_line *line)
{
    const char *at = text + strspn(text, " \t\r\"");
    if (*at == '\0' || *at == '\'' || *at == '#' || *at == ';' || *at == '[') {
        return false;
    }
    const char *field = find_field(at);
    size_t len = 0;
    while (len < FIELD_BYTES - 1 && is_letter(field[len])) {
        line->field[len] = (char)(field[len] | 0x20);
        len++;
    }
    line->field[len] = '\0';
    if (strncmp(line->field, "cdo", 3) == 0) {
        memmove(line->field, line->field + 3, len - 2);
    }
    const char *value = strpbrk(field + len, "=:");
    if (value == NULL || line->field[0] == '\0') {
        return false;
    }
    line->good = copy_value(value + 1, strlen(value + 1), line->value);
    return true;
}

static void read_line(struct cdo_import *import, const char *text, size_t number)
{
    struct cdo_line line = {.number = number};
    if (!split(text, &line)) {
        return;
    }
    if (!line.good) {
        refuse(import, &line, "the value is too long, or no line of UTF-8 text");
        return;
    }
    for (size_t i = 0; i < ROWS; i++) {
        if (row_is_for(&rows[i], line.field)) {
            take(import, &rows[i], &line);
            return;
        }
    }
    refuse(import, &line, "no CDO configuration field of that name");
}

void cdo_read(struct cdo_import *import, const char *text, size_t len)
{
    char line[2 * CDO_VALUE_BYTES];
    size_t number = 0;
    buf_init(&import->notes, CDO_NOTES_MAX_BYTES);
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t take_len = end != NULL ? (size_t)(end - text) : len;
        number++;
        if (take_len >= sizeof line || memchr(text, '\0', take_len) != NULL) {
            import->refused++;
            buf_add_format(&import->notes, "line %zu: refused: too long, or no text\n", number);
        } else {
            memcpy(line, text, take_len);
            line[take_len] = '\0';
            read_line(import, line, number);
        }
        take_len += end != NULL;
        text += take_len;
        len -= take_len;
    }
    import->pickup = strcmp(get(import, "use_pickup_folder"), "true") == 0;
    if (import->pickup && import->folder[0] != '\0') {
        set(import, "smtp_server", import->folder);
    } else if (import->folder[0] != '\0') {
        buf_add_text(&import->notes,
                     "smtpserverpickupdirectory: ignored: sendusing is not 1\n");
    }
}

void cdo_fini(struct cdo_import *import)
{
    buf_fini(&import->notes);
}

/* ---- as a profile ---- */

static bool is(const struct cdo_import *import, const char *key, const char *value)
{
    return strcmp(get(import, key), value) == 0;
}

bool cdo_check(struct cdo_import *import)
{
    PB(MailingSettings) settings = PB_INIT(MAILING_SETTINGS);
    struct settings_plan plan;
    struct err_text why;
    const char *field = "";
    settings.smtp_server = (char *)(uintptr_t)get(import, "smtp_server");
    settings.user_name = (char *)(uintptr_t)get(import, "user_name");
    settings.password = (char *)(uintptr_t)(import->has_password ? "file:/secret" : "");
    settings.smtp_port = (uint32_t)strtoul(get(import, "smtp_port"), NULL, 10);
    settings.use_pickup_folder = import->pickup;
    settings.use_tls = is(import, "use_tls", "true");
    settings.authentication = is(import, "authentication", "basic")  ? PB_AUTH(BASIC)
                              : is(import, "authentication", "ntlm") ? PB_AUTH(NTLM)
                                                                     : PB_AUTH(ANONYMOUS);
    if (settings_plan(&settings, &plan, &field, &why) != ERR_OK) {
        buf_add_format(&import->notes, "%s: refused: %s\n", field, why.text);
        import->refused++;
        return false;
    }
    return true;
}

static void write_value(struct buf *out, const char *key, const char *value)
{
    bool plain =
        value[0] != '\0' && value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789"
                                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ./-_")] == '\0';
    buf_add_format(out, "    %s: ", key);
    if (plain) {
        buf_add_format(out, "%s\n", value);
        return;
    }
    buf_add_char(out, '"');
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, *p);
    }
    buf_add_text(out, "\"\n");
}

void cdo_write(const struct cdo_import *import, const char *name, struct buf *out)
{
    buf_add_format(out, "profiles:\n  %s:\n", name);
    for (size_t i = 0; i < import->count; i++) {
        write_value(out, import->settings[i].key, import->settings[i].value);
    }
    if (import->has_password) {
        buf_add_format(out, "    password: file:/etc/trackpro-notify/%s.password\n", name);
    }
}
