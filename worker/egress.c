/* Addresses as 16 bytes, IPv4 as ::ffff:a.b.c.d, so that one comparison serves both.
 *
 * Knows no host names but "localhost"; asks no name server. */
#include "egress.h"

#include "mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { ADDRESS_BYTES = 16, V4_BYTES = 4, V4_AT = 12, V4_BITS = 96, TEXT_BYTES = 64 };

struct network {
    uint8_t bytes[ADDRESS_BYTES];
    unsigned bits; /* 0–128 */
};

struct networks {
    struct network *items;
    size_t count;
};

struct egress {
    struct networks allow;
    struct networks only;
};

/* Nobody means these when they name a mail server. 168.63.129.16, 100.100.100.200, 192.0.0.192: what Azure, Alibaba and
 * Oracle answer their virtual machines on, as 169.254.169.254 elsewhere. */
static const struct forbidden {
    const char *network;
    const char *what;
    bool loopback;
} forbidden[] = {
    {"127.0.0.0/8", "loopback", true},
    {"::1", "loopback", true},
    {"0.0.0.0/8", "unspecified", false},
    {"::", "unspecified", false},
    {"169.254.169.254", "a metadata service", false},
    {"168.63.129.16", "a metadata service", false},
    {"100.100.100.200", "a metadata service", false},
    {"192.0.0.192", "a metadata service", false},
    {"fd00:ec2::254", "a metadata service", false},
    {"fd20:ce::254", "a metadata service", false},
    {"169.254.0.0/16", "link-local", false},
    {"fe80::/10", "link-local", false},
    {"224.0.0.0/4", "multicast", false},
    {"ff00::/8", "multicast", false},
    {"240.0.0.0/4", "reserved", false},
    {"100::/64", "reserved", false},
};

static void put_v4(const void *v4, uint8_t out[ADDRESS_BYTES])
{
    memset(out, 0, ADDRESS_BYTES);
    out[10] = 0xFF;
    out[11] = 0xFF;
    memcpy(out + V4_AT, v4, V4_BYTES);
}

static bool parse_address(const char *text, uint8_t out[ADDRESS_BYTES], unsigned *bits)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        put_v4(&v4, out);
        *bits = 32;
        return true;
    }
    *bits = 128;
    if (inet_pton(AF_INET6, text, &v6) != 1) {
        return false;
    }
    memcpy(out, &v6, ADDRESS_BYTES);
    return true;
}

static bool in_network(const uint8_t address[ADDRESS_BYTES], const struct network *network)
{
    size_t whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    unsigned mask = rest == 0 ? 0 : 0xFFU << (8 - rest) & 0xFFU;
    return memcmp(address, network->bytes, whole) == 0 &&
           (mask == 0 || ((address[whole] ^ network->bytes[whole]) & mask) == 0);
}

static enum err parse_network(const char *text, struct network *out, struct err_text *why)
{
    char address[TEXT_BYTES];
    size_t len = strcspn(text, "/");
    unsigned most = 0;
    if (len >= sizeof address) {
        return err_set(why, ERR_CONFIG, "must be an IP network, as 192.0.2.0/24");
    }
    memcpy(address, text, len);
    address[len] = '\0';
    if (!parse_address(address, out->bytes, &most)) {
        return err_set(why, ERR_CONFIG,
                       "must be an IP network, as 192.0.2.0/24 or 2001:db8::/32");
    }
    unsigned long bits = most;
    if (text[len] == '/') {
        char *end = NULL;
        bits = strtoul(text + len + 1, &end, 10);
        if (text[len + 1] < '0' || text[len + 1] > '9' || *end != '\0' || bits > most) {
            return err_set(why, ERR_CONFIG, "the number behind / must be 0 to %u", most);
        }
    }
    out->bits = (unsigned)bits + (most == 32 ? V4_BITS : 0);
    struct network cut = *out;
    for (size_t i = 0; i < ADDRESS_BYTES; i++) {
        unsigned kept = out->bits > i * 8 ? out->bits - (unsigned)i * 8 : 0;
        cut.bytes[i] &= (uint8_t)(kept >= 8 ? 0xFF : 0xFF00 >> kept);
    }
    if (memcmp(cut.bytes, out->bytes, ADDRESS_BYTES) != 0) {
        return err_set(why, ERR_CONFIG, "has bits behind the first %lu", bits);
    }
    return ERR_OK;
}

enum err egress_check_network(const char *text, struct err_text *why)
{
    struct network network;
    return parse_network(text, &network, why);
}

static enum err read_networks(const char *const *texts, struct networks *out,
                              struct err_text *why)
{
    size_t count = 0;
    while (texts != NULL && texts[count] != NULL) {
        count++;
    }
    out->items = mem_zero(count + 1, sizeof *out->items);
    for (; out->count < count; out->count++) {
        if (parse_network(texts[out->count], &out->items[out->count], why) != ERR_OK) {
            return ERR_CONFIG;
        }
    }
    return ERR_OK;
}

enum err egress_new(const char *const *allow, const char *const *only, struct egress **out,
                    struct err_text *why)
{
    struct egress *egress = mem_zero(1, sizeof *egress);
    enum err err = read_networks(allow, &egress->allow, why);
    if (err == ERR_OK) {
        err = read_networks(only, &egress->only, why);
    }
    if (err != ERR_OK) {
        egress_free(&egress);
    }
    *out = egress;
    return err;
}

void egress_free(struct egress **egress_p)
{
    struct egress *egress = *egress_p;
    if (egress != NULL) {
        free(egress->allow.items);
        free(egress->only.items);
        free(egress);
        *egress_p = NULL;
    }
}

/* ---- an address ---- */

/* An address, and the IPv4 address that a packet to it ends up at; the same when there is none inside. */
struct target {
    uint8_t bytes[ADDRESS_BYTES];
    uint8_t inner[ADDRESS_BYTES];
};

/* RFC 6052 64:ff9b::/96, RFC 3056 2002::/16, RFC 4291 2.5.5.1 (but :: and ::1 are no IPv4 addresses). */
static void find_inner(struct target *target)
{
    static const uint8_t nat64[V4_AT] = {0x00, 0x64, 0xFF, 0x9B};
    static const uint8_t compatible[V4_AT] = {0};
    const uint8_t *bytes = target->bytes;
    bool is_compatible = memcmp(bytes, compatible, V4_AT) == 0 &&
                         (bytes[12] != 0 || bytes[13] != 0 || bytes[14] != 0);
    memcpy(target->inner, bytes, ADDRESS_BYTES);
    if (memcmp(bytes, nat64, V4_AT) == 0 || is_compatible) {
        put_v4(bytes + V4_AT, target->inner);
    } else if (bytes[0] == 0x20 && bytes[1] == 0x02) {
        put_v4(bytes + 2, target->inner);
    }
}

static bool take_address(const struct sockaddr *address, struct target *target)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        put_v4(&v4.sin_addr, target->bytes);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        memcpy(target->bytes, &v6.sin6_addr, ADDRESS_BYTES);
    } else {
        return false;
    }
    find_inner(target);
    return true;
}

static bool listed(const struct networks *networks, const struct target *target)
{
    for (size_t i = 0; i < networks->count; i++) {
        if (in_network(target->bytes, &networks->items[i]) ||
            in_network(target->inner, &networks->items[i])) {
            return true;
        }
    }
    return false;
}

/* The row that forbids it, or null. */
static const struct forbidden *forbidden_row(const struct target *target)
{
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        struct network network = {.bits = 0};
        if (parse_network(forbidden[i].network, &network, NULL) == ERR_OK &&
            (in_network(target->bytes, &network) || in_network(target->inner, &network))) {
            return &forbidden[i];
        }
    }
    return NULL;
}

static const char *address_text(const struct sockaddr *address, char out[INET6_ADDRSTRLEN])
{
    struct target target;
    (void)take_address(address, &target);
    bool v4 = address->sa_family == AF_INET;
    const char *text =
        inet_ntop(address->sa_family, target.bytes + (v4 ? V4_AT : 0), out, INET6_ADDRSTRLEN);
    return text != NULL ? text : "?";
}

enum err egress_check(const struct egress *egress, enum egress_trust trust,
                      const struct sockaddr *address, struct err_text *why)
{
    static const struct egress nothing = {.allow = {.count = 0}};
    const struct egress *rules = egress != NULL ? egress : &nothing;
    char text[INET6_ADDRSTRLEN];
    struct target target;
    if (!take_address(address, &target)) {
        return err_set(why, ERR_INVALID, "smtp_server: leads to no IP address");
    }
    if (listed(&rules->allow, &target)) {
        return ERR_OK;
    }
    if (rules->only.count > 0 && !listed(&rules->only, &target)) {
        return err_set(why, ERR_INVALID,
                       "smtp_server: leads to %s, which is not in egress.only of the worker",
                       address_text(address, text));
    }
    const struct forbidden *row = forbidden_row(&target);
    if (row == NULL || (row->loopback && trust == EGRESS_NAMES_LOOPBACK)) {
        return ERR_OK;
    }
    return err_set(
        why, ERR_INVALID,
        "smtp_server: leads to %s (%s), where this worker does not connect to unless "
        "egress.allow of worker.yaml has it",
        address_text(address, text), row->what);
}

enum egress_trust egress_trust_of(const struct settings_plan *plan)
{
    struct target target;
    unsigned bits = 0;
    if (plan->of_request) {
        return EGRESS_ANY;
    }
    if (strcasecmp(plan->server, "localhost") == 0) {
        return EGRESS_NAMES_LOOPBACK;
    }
    if (!parse_address(plan->server, target.bytes, &bits)) {
        return EGRESS_ANY;
    }
    find_inner(&target);
    const struct forbidden *row = forbidden_row(&target);
    return row != NULL && row->loopback ? EGRESS_NAMES_LOOPBACK : EGRESS_ANY;
}

/* ---- libcurl ---- */

/* CURLOPT_OPENSOCKETFUNCTION. Called for each address that is tried, the next one after a refusal. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct egress_door *door = arg;
    (void)purpose;
    if (egress_check(door->rules, door->trust, &address->addr, &door->refused) != ERR_OK) {
        return CURL_SOCKET_BAD;
    }
    door->opened++;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

CURLcode egress_guard(CURL *easy, struct egress_door *door)
{
    int code = CURLE_OK;
    code |= (int)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    code |= (int)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, door);
    code |= (int)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    code |= (int)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    return code == CURLE_OK ? CURLE_OK : CURLE_BAD_FUNCTION_ARGUMENT;
}

bool egress_shut(const struct egress_door *door)
{
    return door->opened == 0 && door->refused.code != ERR_OK;
}
