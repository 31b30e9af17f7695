/* Where this machine may connect to: looked at after the name was resolved, for each address that is tried.
 *
 *   address                                       may be connected to
 *   listed in egress.allow (worker.yaml)          yes
 *   loopback, link-local, metadata of a cloud,    no; but loopback when a profile of the administrator names it by its
 *   unspecified, multicast, reserved              own name or literal ("localhost", 127.0.0.1, ::1): the relay next door
 *   any other                                     yes, unless egress.only is given and does not list it
 *
 * So neither settings inside a request nor a name server that answers 127.0.0.1 or 169.254.169.254 makes a worker talk
 * to what trusts it for being near. IPv4 inside IPv6 (mapped, compatible, NAT64, 6to4) counts as the IPv4 address.
 * Source: RFC 6890; CURLOPT_OPENSOCKETFUNCTION(3). */
#ifndef TPN_EGRESS_H
#define TPN_EGRESS_H

#include "err.h"
#include "settings.h"

#include <stdbool.h>
#include <sys/socket.h>

#include <curl/curl.h>

struct egress;

/* Read the lists of worker.yaml; each null-terminated, or null for none. The caller frees.
 * ERR_CONFIG with the rule in why. */
enum err egress_new(const char *const *allow, const char *const *only, struct egress **out,
                    struct err_text *why) NODISCARD;
/* Accepts null. */
void egress_free(struct egress **egress);

/* One network as the lists have it: 192.0.2.0/24, 2001:db8::/32, or one address. ERR_CONFIG with the rule. */
enum err egress_check_network(const char *text, struct err_text *why) NODISCARD;

enum egress_trust {
    EGRESS_ANY,           /* somebody said so: a request, or a name that was resolved */
    EGRESS_NAMES_LOOPBACK /* the administrator wrote down this machine */
};

/* What the plan's server says about itself. */
enum egress_trust egress_trust_of(const struct settings_plan *plan);

/* May this address be connected to?
 *  egress  null = the lists are empty
 * Returns ERR_OK, or ERR_INVALID with the address and the rule in why. */
enum err egress_check(const struct egress *egress, enum egress_trust trust,
                      const struct sockaddr *address, struct err_text *why) NODISCARD;

/* The door of one easy handle: lives as long as the handle. Set rules and trust. */
struct egress_door {
    const struct egress *rules;
    enum egress_trust trust;
    unsigned opened;         /* sockets that were allowed */
    struct err_text refused; /* the last refusal; code ERR_OK = none */
};

/* Let the handle open its sockets through the door, and take no proxy from the environment.
 * Returns CURLE_OK or what libcurl says. */
CURLcode egress_guard(CURL *easy, struct egress_door *door) NODISCARD;

/* Nothing was tried because every address was refused: door->refused says why, and libcurl's own text does not. */
bool egress_shut(const struct egress_door *door);

#endif
