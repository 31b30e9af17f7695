/* Networks of worker.yaml, and the addresses that they let through.
 *
 * Input: 16 bytes of an IPv6 address, then a network as text. A list of that one network must agree with itself: what is
 * allowed by name is allowed, and what the defaults refuse stays refused by a list that does not have it. */
#include "fuzz.h"

#include "egress.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_BYTES = 16 };

static enum err ask(const struct egress *egress, const struct sockaddr_in6 *address)
{
    struct err_text why = {.code = ERR_OK};
    enum err err = egress_check(egress, EGRESS_ANY, (const struct sockaddr *)address, &why);
    demand(err == ERR_OK || why.text[0] != '\0', "refused without a word");
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    struct egress *allowed = NULL;
    struct egress *fenced = NULL;
    struct err_text why = {.code = ERR_OK};
    if (size < ADDRESS_BYTES) {
        return 0;
    }
    memcpy(&address.sin6_addr, data, ADDRESS_BYTES);
    char *network = fuzz_text(data + ADDRESS_BYTES, size - ADDRESS_BYTES);
    const char *const list[] = {network, NULL};
    bool good = egress_check_network(network, &why) == ERR_OK;
    demand(good || why.text[0] != '\0', "refused without a word");
    demand((egress_new(list, NULL, &allowed, &why) == ERR_OK) == good, "allow: another answer");
    demand((egress_new(NULL, list, &fenced, &why) == ERR_OK) == good, "only: another answer");
    enum err plain = ask(NULL, &address);
    if (good) {
        enum err with = ask(allowed, &address);
        enum err within = ask(fenced, &address);
        demand(plain != ERR_OK || with == ERR_OK, "allowing more refuses");
        demand(plain == ERR_OK || within != ERR_OK, "a fence opens what is closed");
    }
    egress_free(&allowed);
    egress_free(&fenced);
    free(network);
    return 0;
}
