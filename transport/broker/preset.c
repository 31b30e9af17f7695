/* What the services say about themselves. Each value is a text as it would stand in the file, and is read by the same row.
 *
 * The limits are what the service publishes for an ordinary account, in the units that a profile has; where it counts
 * messages a day, as many recipients are never too many. TLS is asked for by use_tls alone, so that the port follows from it
 * (587, STARTTLS) and an own smtp_port 465 means implicit TLS. No authentication: that is the user's choice. */
#include "preset.h"

#include "mem.h"

#include <stddef.h>
#include <string.h>

struct preset_value {
    const char *key;
    const char *text;
};

/* Google, "Gmail sending limits": 500 messages a day, 100 recipients of a message by SMTP. */
static const struct preset_value gmail[] = {{"smtp_server", "smtp.gmail.com"},
                                            {"use_tls", "true"},
                                            {"max_recipients_per_message", "100"},
                                            {"max_recipients_per_day", "500"},
                                            {NULL, NULL}};

/* Google Workspace, the same page: 2,000 messages a day. */
static const struct preset_value workspace[] = {{"smtp_server", "smtp.gmail.com"},
                                                {"use_tls", "true"},
                                                {"max_recipients_per_message", "100"},
                                                {"max_recipients_per_day", "2000"},
                                                {NULL, NULL}};

/* Outlook.com: 300 recipients a day without a subscription, 100 of a message. */
static const struct preset_value outlook[] = {{"smtp_server", "smtp-mail.outlook.com"},
                                              {"use_tls", "true"},
                                              {"max_connections", "3"},
                                              {"max_recipients_per_message", "100"},
                                              {"max_recipients_per_day", "300"},
                                              {NULL, NULL}};

/* Microsoft, "Exchange Online limits": 30 messages a minute, 10,000 recipients a day, 500 of a message; 3 connections at
 * a time. Its port 465 takes no submission. */
static const struct preset_value microsoft365[] = {{"smtp_server", "smtp.office365.com"},
                                                   {"use_tls", "true"},
                                                   {"max_connections", "3"},
                                                   {"max_messages_per_minute", "30"},
                                                   {"max_recipients_per_message", "500"},
                                                   {"max_recipients_per_day", "10000"},
                                                   {NULL, NULL}};

/* Yahoo: about 500 messages a day, 100 recipients of a message; 20 messages of a connection. */
static const struct preset_value yahoo[] = {
    {"smtp_server", "smtp.mail.yahoo.com"}, {"use_tls", "true"},
    {"max_messages_per_connection", "20"},  {"max_recipients_per_message", "100"},
    {"max_recipients_per_day", "500"},      {NULL, NULL}};

/* Exchange Server, "Pickup directory": 100 recipients of a file, 100 files a minute. The folder is the user's to say. */
static const struct preset_value exchange_pickup[] = {{"use_pickup_folder", "true"},
                                                      {"pickup_dialect", "exchange"},
                                                      {"max_messages_per_minute", "100"},
                                                      {"max_recipients_per_message", "100"},
                                                      {NULL, NULL}};

enum { NONE, GMAIL, WORKSPACE, OUTLOOK, MICROSOFT365, YAHOO, EXCHANGE_PICKUP };

static const struct preset_value nothing[] = {{NULL, NULL}};

static const struct preset_value *const presets[] = {
    [NONE] = nothing,
    [GMAIL] = gmail,
    [WORKSPACE] = workspace,
    [OUTLOOK] = outlook,
    [MICROSOFT365] = microsoft365,
    [YAHOO] = yahoo,
    [EXCHANGE_PICKUP] = exchange_pickup,
};

const struct conf_name preset_names[] = {{"none", NONE},
                                         {"gmail", GMAIL},
                                         {"workspace", WORKSPACE},
                                         {"outlook", OUTLOOK},
                                         {"microsoft365", MICROSOFT365},
                                         {"yahoo", YAHOO},
                                         {"exchange-pickup", EXCHANGE_PICKUP},
                                         {NULL, 0}};

void preset_fill(const struct conf_row *rows, void *target, const char *name)
{
    const struct preset_value *value = nothing;
    for (const struct conf_name *word = preset_names; word->name != NULL; word++) {
        value = strcmp(word->name, name) == 0 ? presets[word->value] : value;
    }
    for (; value->key != NULL; value++) {
        struct err_text why = {0};
        if (conf_set(rows, target, value->key, value->text, &why) != ERR_OK) {
            bug("preset %s: %s: %s", name, value->key, why.text);
        }
    }
}
