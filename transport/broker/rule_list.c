/* Reply rules from YAML. What a rule may say is reply_rule.c's. */
#include "rule_list.h"

#include "mem.h"
#include "reply_rule.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64, TEXT_MAX_BYTES = 128 };

static const struct conf_name phase_names[] = {
    {"connect", PB_PHASE(CONNECT)},     {"tls", PB_PHASE(TLS)},
    {"auth", PB_PHASE(AUTH)},           {"ehlo", PB_PHASE(EHLO)},
    {"mail", PB_PHASE(MAIL)},           {"rcpt", PB_PHASE(RCPT)},
    {"data", PB_PHASE(DATA)},           {"content", PB_PHASE(CONTENT)},
    {"final_dot", PB_PHASE(FINAL_DOT)}, {NULL, 0}};
static const struct conf_name class_names[] = {
    {"recipient", PB_CLASS(RECIPIENT)}, {"message", PB_CLASS(MESSAGE)},
    {"transient", PB_CLASS(TRANSIENT)}, {"quota", PB_CLASS(QUOTA)},
    {"login", PB_CLASS(LOGIN)},         {"configuration", PB_CLASS(CONFIGURATION)},
    {"host_down", PB_CLASS(HOST_DOWN)}, {NULL, 0}};

/* The keys are the wire's but for failure_class, which a person calls class. */
static enum err check_rule(void *target, const char **field, struct err_text *why)
{
    enum err err = reply_rule_check(target, field, why);
    if (err != ERR_OK && strcmp(*field, "failure_class") == 0) {
        *field = "class";
    }
    return err;
}

#define AT(field) offsetof(PB(ReplyRule), field)

static const struct conf_row rule_rows[] = {
    {.key = "phase",
     .kind = CONF_ENUM,
     .offset = AT(phase),
     .names = phase_names,
     .doc = "the command that was answered; default any"},
    {.key = "code",
     .kind = CONF_TEXT,
     .offset = AT(code),
     .default_text = "",
     .max = 3,
     .doc = "reply code as 450, or a range as 45x or 5xx; default any"},
    {.key = "enhanced_code",
     .kind = CONF_TEXT,
     .offset = AT(enhanced_code),
     .default_text = "",
     .max = 16,
     .doc = "as 5.7.1, with x for any number; default any"},
    {.key = "text",
     .kind = CONF_TEXT,
     .offset = AT(text),
     .default_text = "",
     .max = TEXT_MAX_BYTES,
     .doc = "words in the server's answer, in any case; default any"},
    {.key = "class",
     .kind = CONF_ENUM,
     .offset = AT(failure_class),
     .names = class_names,
     .doc = "recipient or message (refused); transient, quota, login, configuration or "
            "host_down (deferred)"},
    {.key = NULL, .whole = check_rule},
};

static void *new_rule(void *target, const char *name, struct err_text *why)
{
    struct rule_list *list = target;
    size_t len =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-");
    if (len == 0 || len > NAME_MAX_BYTES || name[len] != '\0') {
        (void)err_set(why, ERR_INVALID, "a rule's name is 1 to %d of A-Z a-z 0-9 . _ @ + -",
                      NAME_MAX_BYTES);
        return NULL;
    }
    if (list->count >= REPLY_RULES_MAX) {
        (void)err_set(why, ERR_LIMIT, "at most %d rules", REPLY_RULES_MAX);
        return NULL;
    }
    PB(ReplyRule) *rule = mem_zero(1, sizeof *rule);
    PB(ReplyRule) init = PB_INIT(REPLY_RULE);
    *rule = init;
    conf_defaults(rule_rows, rule);
    rule->name = mem_text(name);
    list->items = mem_resize(list->items, list->count + 1, sizeof list->items[0]);
    list->items[list->count++] = rule;
    return rule;
}

const struct conf_map rule_list_map = {.rows = rule_rows, .item = new_rule};

void rule_list_fini(struct rule_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        conf_free(rule_rows, list->items[i]);
        free(list->items[i]->name);
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct rule_list){.items = NULL};
}
