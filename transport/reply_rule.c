/* Rules for replies: one row of a profile's own table. Knows no table and no order: who has
 * several rules tries them from the first. */
#include "reply_rule.h"

#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum err refuse(const char **field, const char *name, struct err_text *why,
                       const char *words)
{
    *field = name;
    return err_set(why, ERR_INVALID, "%s", words);
}

/* "450", "45x", "4xx"; an x only behind digits. */
static bool is_code(const char *text)
{
    return strlen(text) == 3 && (text[0] == '4' || text[0] == '5') &&
           (is_digit(text[1]) ? is_digit(text[2]) || text[2] == 'x'
                              : strcmp(text + 1, "xx") == 0);
}

/* One component: a number of 1 to 3 digits, or x. Returns what stands behind it, null when there is none. */
static const char *skip_component(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return *text == 'x' ? text + 1 : digits >= 1 && digits <= 3 ? text + digits : NULL;
}

/* "5.7.1", with an x for any component. */
static bool is_enhanced(const char *text)
{
    if ((text[0] != '4' && text[0] != '5' && text[0] != 'x') || text[1] != '.') {
        return false;
    }
    const char *detail = skip_component(text + 2);
    const char *end = detail != NULL && *detail == '.' ? skip_component(detail + 1) : NULL;
    return end != NULL && *end == '\0';
}

static bool is_phase_of_a_reply(int phase)
{
    return phase == PB_PHASE(UNSPECIFIED) ||
           (phase >= PB_PHASE(CONNECT) && phase <= PB_PHASE(FINAL_DOT));
}

static bool is_class_of_a_refusal(int class)
{
    return class > PB_CLASS(NONE) && class < PB_CLASS(UNCERTAIN);
}

enum err reply_rule_check(const PB(ReplyRule) *rule, const char **field, struct err_text *why)
{
    if (!is_class_of_a_refusal((int)rule->failure_class)) {
        return refuse(field, "failure_class", why,
                      "required: recipient, message, transient, quota, login, configuration "
                      "or host_down");
    }
    if (!is_phase_of_a_reply((int)rule->phase)) {
        return refuse(field, "phase", why,
                      "must be a step that a server answers: connect, tls, auth, ehlo, mail, "
                      "rcpt, data, content or final_dot");
    }
    if (rule->code[0] != '\0' && !is_code(rule->code)) {
        return refuse(
            field, "code", why,
            "must be a reply code from 400 to 599, as 450, or a range, as 45x or 5xx");
    }
    if (rule->enhanced_code[0] != '\0' && !is_enhanced(rule->enhanced_code)) {
        return refuse(field, "enhanced_code", why,
                      "must be an enhanced status code (RFC 3463) as 5.7.1, or with x for any "
                      "number, as 5.7.x or x.2.2");
    }
    if (rule->code[0] == '\0' && rule->enhanced_code[0] == '\0' && rule->text[0] == '\0') {
        return refuse(
            field, "code", why,
            "a rule needs a code, an enhanced_code or a text: this one fits everything");
    }
    return ERR_OK;
}

bool reply_rule_enhanced_fits(const char *pattern, const char *enhanced)
{
    if (*pattern == '\0') {
        return true;
    }
    while (*pattern != '\0' && *enhanced != '\0') {
        if (*pattern == 'x') {
            while (*enhanced != '.' && *enhanced != '\0') {
                enhanced++;
            }
            pattern++;
            continue;
        }
        if (*pattern != *enhanced) {
            return false;
        }
        pattern++;
        enhanced++;
    }
    return *pattern == '\0' && *enhanced == '\0';
}

static bool code_fits(const char *pattern, unsigned code)
{
    char digits[12];
    (void)snprintf(digits, sizeof digits, "%u", code);
    for (size_t i = 0; pattern[i] != '\0'; i++) {
        if (pattern[i] != 'x' && pattern[i] != digits[i]) {
            return false;
        }
    }
    return true;
}

bool reply_rule_fits(const PB(ReplyRule) *rule, int phase, unsigned code, const char *enhanced,
                     const char *text)
{
    return code >= 400 && code <= 599 &&
           (rule->phase == PB_PHASE(UNSPECIFIED) || (int)rule->phase == phase) &&
           code_fits(rule->code, code) &&
           reply_rule_enhanced_fits(rule->enhanced_code, enhanced) &&
           (rule->text[0] == '\0' || strcasestr(text, rule->text) != NULL);
}
