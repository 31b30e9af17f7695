/* DKIM keys: PEM to EVP_PKEY, checked, kept for a short time.
 *
 * Knows nothing of mail. A key lies in memory as long as it is kept, as it must for signing; the PEM text only while it is
 * read. No message here has a part of a key. */
#include "dkim_key.h"

#include "mem.h"
#include "secret.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

struct kept {
    char *reference;
    struct dkim_key key;
    int64_t read_ms;
};

struct dkim_keys {
    const struct seal_keys *seal;
    struct kept items[DKIM_KEYS_MAX];
    size_t count;
};

struct dkim_keys *dkim_keys_new(const struct seal_keys *seal)
{
    struct dkim_keys *keys = mem_zero(1, sizeof *keys);
    keys->seal = seal;
    return keys;
}

static void forget(struct kept *item)
{
    EVP_PKEY_free(item->key.key);
    free(item->reference);
    *item = (struct kept){.reference = NULL};
}

void dkim_keys_free(struct dkim_keys **keys_p)
{
    struct dkim_keys *keys = *keys_p;
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        forget(&keys->items[i]);
    }
    free(keys);
    *keys_p = NULL;
}

/* Asked for the pass phrase of an encrypted key: there is nobody who could type it. */
static int no_phrase(char *out, int size, int writing, void *asked)
{
    (void)out;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static enum err refuse(struct err_text *why, const char *field, const char *rule)
{
    return err_set(why, ERR_CONFIG, "%s: %s", field, rule);
}

static enum err parse(const char *pem, const char *field, EVP_PKEY **out, struct err_text *why)
{
    bool encrypted = false;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    *out = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_phrase, &encrypted) : NULL;
    BIO_free(bio);
    ERR_clear_error(); /* libcurl reads the same queue */
    if (*out != NULL) {
        return ERR_OK;
    }
    if (encrypted) {
        return refuse(why, field, "the key is encrypted: store it without a pass phrase");
    }
    if (strstr(pem, "BEGIN PUBLIC KEY") != NULL) {
        return refuse(why, field, "is the public key: the private one signs");
    }
    return refuse(why, field, "is no private key in PEM (-----BEGIN PRIVATE KEY-----)");
}

static enum err judge(const char *field, struct dkim_key *key, struct err_text *why)
{
    int bits = EVP_PKEY_get_bits(key->key);
    if (EVP_PKEY_is_a(key->key, "ED25519")) {
        key->algorithm = DKIM_ED25519_SHA256;
        return ERR_OK;
    }
    if (!EVP_PKEY_is_a(key->key, "RSA")) {
        return refuse(why, field, "is neither an RSA nor an Ed25519 key");
    }
    if (bits < DKIM_RSA_LEAST_BITS || bits > DKIM_RSA_MOST_BITS) {
        return err_set(why, ERR_CONFIG,
                       "%s: an RSA key of %d bits: 2048 is usual, %d to %d work", field, bits,
                       (int)DKIM_RSA_LEAST_BITS, (int)DKIM_RSA_MOST_BITS);
    }
    key->algorithm = DKIM_RSA_SHA256;
    return ERR_OK;
}

static enum err read_key(const struct seal_keys *seal, const char *field, const char *reference,
                         struct dkim_key *out, struct err_text *why)
{
    char *pem = NULL;
    *out = (struct dkim_key){.key = NULL};
    if (secret_open_lines(seal, field, reference, &pem, why) != ERR_OK) {
        why->code = ERR_CONFIG;
        return ERR_CONFIG;
    }
    enum err err = parse(pem, field, &out->key, why);
    secret_free(&pem);
    if (err == ERR_OK) {
        err = judge(field, out, why);
    }
    if (err != ERR_OK) {
        EVP_PKEY_free(out->key);
        out->key = NULL;
    }
    return err;
}

static struct kept *find(struct dkim_keys *keys, const char *reference)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->items[i].reference, reference) == 0) {
            return &keys->items[i];
        }
    }
    return NULL;
}

/* A place for one more; when all are taken, that of the key that was read first. */
static struct kept *new_place(struct dkim_keys *keys)
{
    if (keys->count < DKIM_KEYS_MAX) {
        return &keys->items[keys->count++];
    }
    struct kept *oldest = &keys->items[0];
    for (size_t i = 1; i < keys->count; i++) {
        oldest = keys->items[i].read_ms < oldest->read_ms ? &keys->items[i] : oldest;
    }
    forget(oldest);
    return oldest;
}

enum err dkim_keys_get(struct dkim_keys *keys, const char *field, const char *reference,
                       int64_t now_ms, struct dkim_key *out, struct err_text *why)
{
    struct kept *item = find(keys, reference);
    if (item != NULL && now_ms - item->read_ms < DKIM_KEY_FRESH_MS) {
        *out = item->key;
        return ERR_OK;
    }
    enum err err = read_key(keys->seal, field, reference, out, why);
    if (err != ERR_OK) {
        return err;
    }
    if (item != NULL) {
        EVP_PKEY_free(item->key.key);
    } else {
        item = new_place(keys);
        item->reference = mem_text(reference);
    }
    item->key = *out;
    item->read_ms = now_ms;
    return ERR_OK;
}
