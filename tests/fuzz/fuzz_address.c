/* Addresses and host names: what is let through must be harmless in an envelope and in a header.
 *
 * Input: an address. Its bytes are also tried as a host name. */
#include "fuzz.h"

#include "address.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Nothing that ends a command or a header, whatever the form. */
static void demand_harmless(const char *text, bool ascii)
{
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        demand(c >= 0x20 && c != 0x7f, "control byte %u", (unsigned)c);
        demand(!ascii || c < 0x80, "byte %u in an ASCII form", (unsigned)c);
    }
}

static void try_address(const char *address)
{
    struct err_text why = {0};
    char ascii[ADDRESS_MAX_BYTES + 1];
    char again[ADDRESS_MAX_BYTES + 1];
    bool utf8 = false;
    bool utf8_again = false;
    if (address_check(address, &why) != ERR_OK) {
        demand(why.text[0] != '\0', "refused without a rule");
        return;
    }
    demand_harmless(address, false);
    demand(address[0] != '-', "a leading hyphen");
    if (address_to_ascii(address, ascii, &utf8, &why) != ERR_OK) {
        return;
    }
    demand_harmless(ascii, !utf8);
    demand_harmless(address_domain(ascii), true);
    demand(strpbrk(address_domain(ascii), " <>\"\\@,;()") == NULL, "domain %s", ascii);
    demand(address_check(ascii, &why) == ERR_OK, "the wire form is refused: %s", why.text);
    demand(address_to_ascii(ascii, again, &utf8_again, &why) == ERR_OK, "not again: %s",
           why.text);
    demand(strcmp(ascii, again) == 0 && utf8 == utf8_again, "%s becomes %s", ascii, again);
}

static void try_host(const uint8_t *data, size_t size)
{
    struct err_text why = {0};
    char host[ADDRESS_DOMAIN_MAX_BYTES + 1];
    char again[ADDRESS_DOMAIN_MAX_BYTES + 1];
    if (address_host_to_ascii((const char *)data, size, host, &why) != ERR_OK) {
        demand(why.text[0] != '\0', "refused without a rule");
        return;
    }
    demand(host[0] != '\0', "an empty host");
    for (const char *p = host; *p != '\0'; p++) {
        demand(isalnum((unsigned char)*p) || strchr("-_.", *p) != NULL, "host %s", host);
    }
    demand(address_host_to_ascii(host, strlen(host), again, &why) == ERR_OK, "not again: %s",
           why.text);
    demand(strcmp(host, again) == 0, "%s becomes %s", host, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *address = fuzz_text(data, size);
    try_address(address);
    try_host(data, size);
    free(address);
    return 0;
}
