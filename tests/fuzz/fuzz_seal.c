/* Sealed values: base64 and CMS, from anybody who may write a profile.
 *
 * Input: a byte. Even: the rest is taken as the text behind "sealed:". Odd: pairs of bytes (place, change) up to a pair
 * of zeroes alter a good value of a key made at the start, so that what lies behind the outermost parser is reached too. */
#include "fuzz.h"

#include "seal.h"
#include "seal_fixture.h"

#include "mem.h"
#include "path.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 512, KEY_BYTES = 4096, PAIR = 2, HEAD = 7 /* sealed: */ };
static const char secret[] = "open sesame";

struct key_ring {
    struct seal_keys *keys;
    struct buf good; /* a value sealed for it */
};

static void ring_make(struct key_ring *ring)
{
    char folder[] = "/tmp/tpn-fuzz-XXXXXX";
    char path[64];
    char certificate[80];
    char key[80];
    struct buf pem;
    struct seal_certificates *certificates = NULL;
    demand(mkdtemp(folder) != NULL, "mkdtemp");
    (void)snprintf(path, sizeof path, "%s/w", folder);
    (void)snprintf(certificate, sizeof certificate, "%s.pem", path);
    (void)snprintf(key, sizeof key, "%s.key", path);
    demand(seal_write_identity(path, SEAL_EC, 1) == 0, "no key");
    buf_init(&pem, KEY_BYTES);
    demand(path_read(key, &pem, NULL) == ERR_OK, "read");
    const char *const paths[] = {certificate, NULL};
    demand(seal_keys_add(&ring->keys, certificate, buf_text(&pem), NULL) == ERR_OK, "add");
    demand(seal_certificates_read(paths, &certificates, NULL) == ERR_OK, "certificates");
    buf_init(&ring->good, SEAL_TEXT_MAX_BYTES);
    demand(seal_make(certificates, secret, strlen(secret), &ring->good, NULL) == ERR_OK,
           "seal");
    seal_certificates_free(&certificates);
    buf_fini(&pem);
    (void)unlink(certificate);
    (void)unlink(key);
    (void)rmdir(folder);
}

/* A key an input would cost more than the parser: it stays, and changes nothing. */
static const struct key_ring *ring_shared(void)
{
    static struct key_ring ring;
    if (ring.keys == NULL) {
        ring_make(&ring);
    }
    return &ring;
}

static enum err try_text(const struct seal_keys *keys, const char *text)
{
    char out[ROOM];
    size_t len = 0;
    struct err_text why = {.code = ERR_OK};
    enum err err = seal_open(keys, text, out, sizeof out, &len, &why);
    demand(len <= sizeof out && (err == ERR_OK || len == 0), "%zu bytes", len);
    demand(err == ERR_OK || why.text[0] != '\0', "refused without a word");
    demand(seal_open(NULL, text, out, sizeof out, &len, &why) != ERR_OK, "opened by nobody");
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const struct key_ring *ring = ring_shared();
    if (size == 0) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        char *rest = fuzz_text(data + 1, size - 1);
        char *text = mem_format("sealed:%s", rest);
        (void)try_text(ring->keys, text);
        free(text);
        free(rest);
        return 0;
    }
    char *text = mem_text(buf_text(&ring->good));
    bool changed = false;
    for (size_t i = 1; i + 1 < size && (data[i] != 0 || data[i + 1] != 0); i += PAIR) {
        size_t at = HEAD + (data[i] * ring->good.len / 256) % (ring->good.len - HEAD);
        char now = digits[data[i + 1] % (sizeof digits - 1)];
        changed = changed || text[at] != now;
        text[at] = now;
    }
    enum err err = try_text(ring->keys, text);
    demand(changed || err == ERR_OK, "its own value does not open");
    free(text);
    return 0;
}
