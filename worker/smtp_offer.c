/* One line of an EHLO reply at a time. Keeps no text: only what a transaction asks for. */
#include "smtp_offer.h"

#include "settings_login.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WORD_BYTES = 256 };

static void take_size(struct smtp_offer *offer, const char *digits)
{
    digits += strspn(digits, " ");
    offer->size = true;
    /* strtoull takes a sign. */
    offer->size_bytes = *digits >= '0' && *digits <= '9' ? strtoull(digits, NULL, 10) : 0;
}

/* The words behind AUTH; some servers spell it "AUTH=PLAIN LOGIN" still. */
static void take_mechanisms(struct smtp_offer *offer, const char *words, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t end = at;
        while (end < len && strchr(" =\r\n", words[end]) == NULL) {
            end++;
        }
        enum settings_mechanism mechanism = settings_mechanism_find(words + at, end - at);
        if (mechanism != SETTINGS_MECHANISM_COUNT) {
            offer->mechanisms |= 1U << mechanism;
        }
        at = end + 1;
    }
}

/* The number behind a name in "LIMITS MAILMAX=20 RCPTMAX=100"; 0 when it is not there or makes no sense. */
static uint32_t read_limit(const char *words, const char *name)
{
    const char *found = strcasestr(words, name);
    const char *digits = found != NULL ? found + strlen(name) : "";
    unsigned long value = *digits >= '0' && *digits <= '9' ? strtoul(digits, NULL, 10) : 0;
    return value <= UINT32_MAX ? (uint32_t)value : 0;
}

void smtp_offer_take(struct smtp_offer *offer, const char *line, size_t len)
{
    static const struct {
        const char *word;
        size_t flag;
    } words[] = {
        {"PIPELINING", offsetof(struct smtp_offer, pipelining)},
        {"SMTPUTF8", offsetof(struct smtp_offer, smtputf8)},
        {"DSN", offsetof(struct smtp_offer, dsn)},
        {"8BITMIME", offsetof(struct smtp_offer, eight_bit)},
    };
    if (len > 5 && strncasecmp(line, "AUTH", 4) == 0 && (line[4] == ' ' || line[4] == '=')) {
        take_mechanisms(offer, line + 5, len - 5);
    }
    char word[WORD_BYTES];
    size_t take = len < sizeof word - 1 ? len : sizeof word - 1;
    memcpy(word, line, take);
    word[take] = '\0';
    word[strcspn(word, "\r\n")] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(word, words[i].word) == 0) {
            *(bool *)((char *)offer + words[i].flag) = true;
        }
    }
    if (strncasecmp(word, "SIZE", 4) == 0 && (word[4] == ' ' || word[4] == '\0')) {
        take_size(offer, word + 4);
    } else if (strncasecmp(word, "LIMITS ", 7) == 0) {
        offer->rcpt_max = read_limit(word, " RCPTMAX=");
        offer->mail_max = read_limit(word, " MAILMAX=");
    }
}
