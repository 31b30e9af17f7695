/* Mail addresses and host names.
 *
 * Knows the syntax only: whether a domain exists or a server takes the address is found out
 * by sending. Works on bytes the caller keeps; allocates nothing but what libidn2 does
 * inside. No message shows the address itself, because messages end in logs. */
#include "address.h"

#include "text.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <idn2.h>

enum { LABEL_MAX_BYTES = 63 }; /* RFC 1035 2.3.4 */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)text[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* atext of RFC 5322 3.2.3, and UTF-8 as RFC 6532 3.2 adds it. */
static bool is_atext(char c)
{
    return is_alnum(c) || (uint8_t)c >= 0x80 ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static enum err check_label(const char *label, size_t len, struct err_text *why)
{
    if (len == 0) {
        return err_set(why, ERR_INVALID,
                       "domain: must not begin or end with a dot, nor have two in a row");
    }
    if (len > LABEL_MAX_BYTES) {
        return err_set(why, ERR_LIMIT, "domain: at most %d bytes between two dots",
                       LABEL_MAX_BYTES);
    }
    if (label[0] == '-' || label[len - 1] == '-') {
        return err_set(why, ERR_INVALID, "domain: a label must not begin or end with a hyphen");
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(label[i]) && label[i] != '-' && label[i] != '_') {
            return err_set(
                why, ERR_INVALID,
                "domain: may only contain letters, digits, hyphens, underscores and dots");
        }
    }
    return ERR_OK;
}

/* An ASCII host name, label by label. The last one is never a number: that is an IP address
 * without its brackets. */
static enum err check_ascii_host(const char *host, struct err_text *why)
{
    const char *label = host;
    for (;;) {
        size_t len = strcspn(label, ".");
        enum err err = check_label(label, len, why);
        if (err != ERR_OK) {
            return err;
        }
        if (label[len] == '\0') {
            break;
        }
        label += len + 1;
    }
    if (strspn(label, "0123456789") == strlen(label)) {
        return err_set(why, ERR_INVALID,
                       "domain: must not end in a number; an IP address stands in [ ]");
    }
    return ERR_OK;
}

/* IDNA2008 with UTS 46 mapping. IDN2_USE_STD3_ASCII_RULES is left out on purpose: it drops
 * characters in silence (a_b.test becomes ab.test). Instead the outcome is held against our
 * own rule, because the mapping can give anything: a full-width slash becomes a slash. */
static enum err convert_idn(const char *host, char out[ADDRESS_DOMAIN_MAX_BYTES + 1],
                            struct err_text *why)
{
    char *ascii = NULL;
    enum err err = ERR_OK;
    int rc = idn2_to_ascii_8z(host, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (rc != IDN2_OK) {
        return err_set(why, ERR_INVALID, "domain: is no valid internationalised name (%s)",
                       idn2_strerror(rc));
    }
    size_t len = strlen(ascii);
    if (len > ADDRESS_DOMAIN_MAX_BYTES) {
        err = err_set(why, ERR_LIMIT, "domain: at most %d bytes", ADDRESS_DOMAIN_MAX_BYTES);
    } else {
        memcpy(out, ascii, len + 1);
    }
    idn2_free(ascii);
    return err;
}

enum err address_host_to_ascii(const char *host, size_t len,
                               char out[ADDRESS_DOMAIN_MAX_BYTES + 1], struct err_text *why)
{
    if (len == 0) {
        return err_set(why, ERR_INVALID, "domain: is missing");
    }
    if (len > ADDRESS_DOMAIN_MAX_BYTES) {
        return err_set(why, ERR_LIMIT, "domain: at most %d bytes", ADDRESS_DOMAIN_MAX_BYTES);
    }
    if (text_check(host, len, TEXT_LINE) != TEXT_OK) {
        return err_set(why, ERR_INVALID, "domain: must be UTF-8 without control characters");
    }
    char name[ADDRESS_DOMAIN_MAX_BYTES + 1];
    memcpy(name, host, len);
    name[len] = '\0';
    if (is_ascii(host, len)) {
        memcpy(out, name, len + 1);
    } else {
        enum err err = convert_idn(name, out, why);
        if (err != ERR_OK) {
            return err;
        }
    }
    return check_ascii_host(out, why);
}

/* [192.0.2.1] or [IPv6:2001:db8::1], RFC 5321 4.1.3; the general form has no registered tag,
 * so it is refused. */
static enum err check_literal(const char *domain, size_t len, struct err_text *why)
{
    static const char tag[] = "IPv6:";
    char text[INET6_ADDRSTRLEN + sizeof tag];
    struct in6_addr address;
    if (len >= 3 && len - 2 < sizeof text && domain[len - 1] == ']') {
        memcpy(text, domain + 1, len - 2);
        text[len - 2] = '\0';
        if (inet_pton(AF_INET, text, &address) == 1) {
            return ERR_OK;
        }
        if (strncasecmp(text, tag, sizeof tag - 1) == 0 &&
            inet_pton(AF_INET6, text + sizeof tag - 1, &address) == 1) {
            return ERR_OK;
        }
    }
    return err_set(why, ERR_INVALID,
                   "domain: in [ ] must stand an IPv4 address, or IPv6: and an IPv6 address");
}

static enum err check_dot_string(const char *local, size_t len, struct err_text *why)
{
    if (local[0] == '-') {
        return err_set(why, ERR_INVALID, "local part: must not begin with a hyphen");
    }
    bool dot = true; /* none at the start */
    for (size_t i = 0; i < len; i++) {
        if (local[i] != '.' && !is_atext(local[i])) {
            return err_set(why, ERR_INVALID,
                           "local part: blanks and ( ) < > [ ] : ; @ , \" \\ only in quotes");
        }
        if (local[i] == '.' && dot) {
            break;
        }
        dot = local[i] == '.';
    }
    if (dot) {
        return err_set(why, ERR_INVALID,
                       "local part: must not begin or end with a dot, nor have two in a row");
    }
    return ERR_OK;
}

/* Quoted-string of RFC 5321 4.1.2; control characters are known to be absent. */
static enum err check_quoted(const char *local, size_t len, struct err_text *why)
{
    size_t i = 1;
    while (i < len && local[i] != '"') {
        if (local[i] == '\\' && (i + 1 == len || (uint8_t)local[i + 1] >= 0x80)) {
            return err_set(why, ERR_INVALID,
                           "local part: a backslash must stand before an ASCII character");
        }
        i += local[i] == '\\' ? 2 : 1;
    }
    if (len < 3 || i != len - 1) {
        return err_set(why, ERR_INVALID,
                       "local part: the quotes must hold all of it and not be empty");
    }
    return ERR_OK;
}

const char *address_domain(const char *address)
{
    const char *at = strrchr(address, '@');
    return at != NULL ? at + 1 : "";
}

/* Local part and domain of an address that has an @; the domain as it goes on the wire. */
static enum err check_parts(const char *address, char host[ADDRESS_DOMAIN_MAX_BYTES + 1],
                            struct err_text *why)
{
    const char *domain = address_domain(address);
    size_t local_len = (size_t)(domain - address) - 1;
    if (local_len == 0) {
        return err_set(why, ERR_INVALID, "local part: is missing");
    }
    if (local_len > ADDRESS_LOCAL_MAX_BYTES) {
        return err_set(why, ERR_LIMIT, "local part: at most %d bytes", ADDRESS_LOCAL_MAX_BYTES);
    }
    enum err err = address[0] == '"' ? check_quoted(address, local_len, why)
                                     : check_dot_string(address, local_len, why);
    if (err != ERR_OK) {
        return err;
    }
    size_t domain_len = strlen(domain);
    if (domain[0] == '[') {
        err = check_literal(domain, domain_len, why);
        if (err == ERR_OK) {
            memcpy(host, domain, domain_len + 1);
        }
        return err;
    }
    return address_host_to_ascii(domain, domain_len, host, why);
}

static enum err too_long(struct err_text *why)
{
    return err_set(why, ERR_LIMIT, "at most %d bytes", ADDRESS_MAX_BYTES);
}

/* The whole check; host gets the domain as it goes on the wire. */
static enum err check_whole(const char *address, char host[ADDRESS_DOMAIN_MAX_BYTES + 1],
                            struct err_text *why)
{
    size_t len = strnlen(address, ADDRESS_MAX_BYTES + 1);
    if (len == 0) {
        return err_set(why, ERR_INVALID, "must not be empty");
    }
    if (len > ADDRESS_MAX_BYTES) {
        return too_long(why);
    }
    if (text_check(address, len, TEXT_LINE) != TEXT_OK) {
        return err_set(why, ERR_INVALID,
                       "must be UTF-8 without CR, LF or other control characters");
    }
    if (strchr(address, '@') == NULL) {
        return err_set(why, ERR_INVALID, "must be local-part@domain");
    }
    enum err err = check_parts(address, host, why);
    if (err != ERR_OK) {
        return err;
    }
    size_t local_len = (size_t)(address_domain(address) - address); /* with the @ */
    return local_len + strlen(host) > ADDRESS_MAX_BYTES ? too_long(why) : ERR_OK;
}

enum err address_check(const char *address, struct err_text *why)
{
    char host[ADDRESS_DOMAIN_MAX_BYTES + 1];
    return check_whole(address, host, why);
}

enum err address_to_ascii(const char *address, char out[ADDRESS_MAX_BYTES + 1],
                          bool *needs_utf8, struct err_text *why)
{
    char host[ADDRESS_DOMAIN_MAX_BYTES + 1];
    enum err err = check_whole(address, host, why);
    if (err != ERR_OK) {
        return err;
    }
    size_t local_len = (size_t)(address_domain(address) - address); /* with the @ */
    memcpy(out, address, local_len);
    memcpy(out + local_len, host, strlen(host) + 1);
    *needs_utf8 = !is_ascii(address, local_len);
    return ERR_OK;
}
