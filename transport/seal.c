/* CMS by OpenSSL (CMS_encrypt(3), CMS_decrypt(3)); base64 and the limits are ours.
 *
 * The size of a value is limited before anything is parsed. A wrong key is told from a broken value by the recipients'
 * names, not by trying: CMS_decrypt without a certificate would answer a stranger's value with random bytes (MMA). */
#include "seal.h"

#include "mem.h"
#include "path.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static const char prefix[] = "sealed:";
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { PREFIX_BYTES = sizeof prefix - 1, PEM_MAX_BYTES = 1 << 20, TEXT_BYTES = 120 };

struct seal_certificates {
    STACK_OF(X509) * items;
};

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

struct seal_keys {
    struct identity items[SEAL_CERTIFICATES_MAX];
    size_t count;
};

/* OpenSSL's last complaint, without the parts that name its own sources; the queue is empty afterwards. */
static const char *openssl_text(char out[TEXT_BYTES])
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    (void)snprintf(out, TEXT_BYTES, "%s", reason != NULL ? reason : "no reason given");
    ERR_clear_error();
    return out;
}

bool seal_is_sealed(const char *text)
{
    if (strncmp(text, prefix, PREFIX_BYTES) != 0) {
        return false;
    }
    size_t len = strspn(text + PREFIX_BYTES, digits);
    return len > 0 && text[PREFIX_BYTES + len + strspn(text + PREFIX_BYTES + len, "=")] == '\0';
}

/* ---- certificates ---- */

static BIO *read_pem(const char *path, struct buf *room, enum err *err, struct err_text *why)
{
    buf_init(room, PEM_MAX_BYTES);
    *err = path_read(path, room, why);
    return *err == ERR_OK ? BIO_new_mem_buf(room->data, (int)room->len) : NULL;
}

static enum err check_usable(const X509 *certificate, const char *path, struct err_text *why)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    int type = key != NULL ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
    if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC) {
        return err_set(why, ERR_CONFIG, "%s: the certificate's key must be RSA or EC", path);
    }
    return ERR_OK;
}

static enum err add_certificates(struct seal_certificates *all, const char *path,
                                 struct err_text *why)
{
    struct buf room;
    enum err err = ERR_OK;
    BIO *bio = read_pem(path, &room, &err, why);
    int before = sk_X509_num(all->items);
    while (bio != NULL && err == ERR_OK) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (certificate == NULL) {
            break;
        }
        err = check_usable(certificate, path, why);
        if (err == ERR_OK && sk_X509_num(all->items) == SEAL_CERTIFICATES_MAX) {
            err = err_set(why, ERR_CONFIG, "%s: more than %d certificates", path,
                          (int)SEAL_CERTIFICATES_MAX);
        }
        if (err != ERR_OK || sk_X509_push(all->items, certificate) == 0) {
            X509_free(certificate);
        }
    }
    ERR_clear_error(); /* the end of a PEM file is an error to OpenSSL */
    if (err == ERR_OK && sk_X509_num(all->items) == before) {
        err = err_set(why, ERR_CONFIG, "%s: has no certificate in PEM", path);
    }
    BIO_free(bio);
    buf_fini(&room);
    return err;
}

enum err seal_certificates_read(const char *const *paths, struct seal_certificates **out,
                                struct err_text *why)
{
    struct seal_certificates *all = mem_zero(1, sizeof *all);
    enum err err = ERR_OK;
    all->items = sk_X509_new_null();
    for (size_t i = 0; paths[i] != NULL && err == ERR_OK; i++) {
        err = add_certificates(all, paths[i], why);
    }
    if (err != ERR_OK) {
        seal_certificates_free(&all);
    }
    *out = all;
    return err;
}

void seal_certificates_free(struct seal_certificates **certificates)
{
    if (*certificates != NULL) {
        sk_X509_pop_free((*certificates)->items, X509_free);
        free(*certificates);
        *certificates = NULL;
    }
}

/* ---- sealing ---- */

/* One more recipient. PKCS#1 v1.5 is OpenSSL's default for RSA; OAEP has no oracle. */
static bool add_recipient(CMS_ContentInfo *cms, X509 *certificate)
{
    bool rsa = EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) == EVP_PKEY_RSA;
    CMS_RecipientInfo *recipient =
        CMS_add1_recipient_cert(cms, certificate, rsa ? CMS_KEY_PARAM : 0);
    if (recipient == NULL || !rsa) {
        return recipient != NULL;
    }
    EVP_PKEY_CTX *context = CMS_RecipientInfo_get0_pkey_ctx(recipient);
    return context != NULL && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) > 0;
}

static void add_base64(struct buf *out, const unsigned char *der, size_t len)
{
    size_t room = (len + 2) / 3 * 4 + 1;
    char *text = mem_zero(room, 1);
    (void)EVP_EncodeBlock((unsigned char *)text, der, (int)len);
    buf_add_text(out, prefix);
    buf_add_text(out, text);
    free(text);
}

/* Encrypt to DER; *der is OpenSSL's to free. Returns its length, or 0. */
static size_t make_der(const struct seal_certificates *certificates, const char *clear,
                       size_t len, unsigned char **der)
{
    bool good = true;
    BIO *in = BIO_new_mem_buf(clear, (int)len);
    CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), CMS_BINARY | CMS_PARTIAL);
    for (int i = 0; i < sk_X509_num(certificates->items) && cms != NULL && good; i++) {
        good = add_recipient(cms, sk_X509_value(certificates->items, i));
    }
    int der_len = 0;
    if (in != NULL && cms != NULL && good && CMS_final(cms, in, NULL, CMS_BINARY) == 1) {
        der_len = i2d_CMS_ContentInfo(cms, der);
    }
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    return der_len > 0 ? (size_t)der_len : 0;
}

enum err seal_make(const struct seal_certificates *certificates, const char *clear, size_t len,
                   struct buf *out, struct err_text *why)
{
    if (len == 0) {
        return err_set(why, ERR_INVALID, "the secret is empty");
    }
    if (len > SEAL_CLEAR_MAX_BYTES) {
        return err_set(why, ERR_LIMIT, "the secret is longer than %d bytes",
                       (int)SEAL_CLEAR_MAX_BYTES);
    }
    char text[TEXT_BYTES];
    unsigned char *der = NULL;
    size_t der_len = make_der(certificates, clear, len, &der);
    enum err err = ERR_OK;
    if (der_len == 0) {
        err = err_set(why, ERR_IO, "cannot seal: %s", openssl_text(text));
    } else if (PREFIX_BYTES + (der_len + 2) / 3 * 4 > SEAL_TEXT_MAX_BYTES) {
        err = err_set(why, ERR_LIMIT,
                      "the sealed value is longer than %d bytes: fewer certificates, or a "
                      "shorter secret",
                      (int)SEAL_TEXT_MAX_BYTES);
    } else {
        add_base64(out, der, der_len);
    }
    OPENSSL_free(der);
    return err;
}

/* ---- keys ---- */

/* PEM_read_bio_PrivateKey would ask the terminal for a pass phrase. */
static int no_pass_phrase(char *room, int size, int writing, void *arg)
{
    (void)room;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static enum err read_key(const char *pem, EVP_PKEY **out, struct err_text *why)
{
    char text[TEXT_BYTES];
    BIO *bio = BIO_new_mem_buf(pem, -1);
    *out = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;
    BIO_free(bio);
    if (*out == NULL) {
        return err_set(why, ERR_CONFIG, "no private key in PEM without a pass phrase (%s)",
                       openssl_text(text));
    }
    return ERR_OK;
}

enum err seal_keys_add(struct seal_keys **keys_p, const char *certificate, const char *key,
                       struct err_text *why)
{
    const char *const paths[] = {certificate, NULL};
    struct seal_certificates *read = NULL;
    EVP_PKEY *pkey = NULL;
    enum err err = seal_certificates_read(paths, &read, why);
    if (err == ERR_OK) {
        err = read_key(key, &pkey, why);
    }
    if (err != ERR_OK) {
        goto out;
    }
    if (*keys_p == NULL) {
        *keys_p = mem_zero(1, sizeof **keys_p);
    }
    X509 *first = sk_X509_value(read->items, 0);
    if (X509_check_private_key(first, pkey) != 1) {
        ERR_clear_error();
        err =
            err_set(why, ERR_CONFIG, "the key is not that of the certificate %s", certificate);
        goto out;
    }
    if ((*keys_p)->count == SEAL_CERTIFICATES_MAX) {
        err = err_set(why, ERR_CONFIG, "more than %d keys", (int)SEAL_CERTIFICATES_MAX);
        goto out;
    }
    struct identity *identity = &(*keys_p)->items[(*keys_p)->count++];
    identity->certificate = X509_up_ref(first) == 1 ? first : NULL;
    identity->key = pkey;
    pkey = NULL;
out:
    EVP_PKEY_free(pkey);
    seal_certificates_free(&read);
    return err != ERR_OK ? ERR_CONFIG : ERR_OK;
}

void seal_keys_free(struct seal_keys **keys)
{
    if (*keys == NULL) {
        return;
    }
    for (size_t i = 0; i < (*keys)->count; i++) {
        X509_free((*keys)->items[i].certificate);
        EVP_PKEY_free((*keys)->items[i].key);
    }
    free(*keys);
    *keys = NULL;
}

/* ---- opening ---- */

/* The bytes of the base64; the caller frees. Null when it is none. */
static unsigned char *decode(const char *text, size_t *len)
{
    size_t chars = strlen(text);
    size_t padding = chars > 0 && text[chars - 1] == '=' ? 1 : 0;
    padding += chars > 1 && padding == 1 && text[chars - 2] == '=' ? 1 : 0;
    if (chars == 0 || chars % 4 != 0 || strspn(text, digits) != chars - padding) {
        return NULL;
    }
    unsigned char *bytes = mem_zero(chars / 4 * 3 + 1, 1);
    int got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)chars);
    if (got < (int)padding) {
        free(bytes);
        return NULL;
    }
    *len = (size_t)got - padding;
    return bytes;
}

static bool is_enveloped(const CMS_ContentInfo *cms)
{
    int type = OBJ_obj2nid(CMS_get0_type(cms));
    return type == NID_pkcs7_enveloped || type == NID_id_smime_ct_authEnvelopedData;
}

/* Is the certificate one of the recipients? */
static bool is_for(CMS_ContentInfo *cms, X509 *certificate)
{
    STACK_OF(CMS_RecipientInfo) *all = CMS_get0_RecipientInfos(cms);
    for (int i = 0; i < sk_CMS_RecipientInfo_num(all); i++) {
        CMS_RecipientInfo *recipient = sk_CMS_RecipientInfo_value(all, i);
        int type = CMS_RecipientInfo_type(recipient);
        if (type == CMS_RECIPINFO_TRANS &&
            CMS_RecipientInfo_ktri_cert_cmp(recipient, certificate) == 0) {
            return true;
        }
        STACK_OF(CMS_RecipientEncryptedKey) *keys =
            type == CMS_RECIPINFO_AGREE ? CMS_RecipientInfo_kari_get0_reks(recipient) : NULL;
        for (int k = 0; k < sk_CMS_RecipientEncryptedKey_num(keys); k++) {
            CMS_RecipientEncryptedKey *key = sk_CMS_RecipientEncryptedKey_value(keys, k);
            if (CMS_RecipientEncryptedKey_cert_cmp(key, certificate) == 0) {
                return true;
            }
        }
    }
    return false;
}

static const struct identity *identity_for(const struct seal_keys *keys, CMS_ContentInfo *cms)
{
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        if (is_for(cms, keys->items[i].certificate)) {
            return &keys->items[i];
        }
    }
    return NULL;
}

static enum err decrypt(CMS_ContentInfo *cms, const struct identity *identity, char *out,
                        size_t room, size_t *len, struct err_text *why)
{
    char text[TEXT_BYTES];
    char *data = NULL;
    enum err err = ERR_OK;
    BIO *clear = BIO_new(BIO_s_secmem());
    if (clear == NULL ||
        CMS_decrypt(cms, identity->key, identity->certificate, NULL, clear, CMS_BINARY) != 1) {
        err = err_set(why, ERR_IO, "sealed for this worker, but it does not decrypt: %s",
                      openssl_text(text));
        goto out;
    }
    long got = BIO_get_mem_data(clear, &data);
    if (got < 0 || (size_t)got > room) {
        err = err_set(why, ERR_LIMIT, "sealed, and longer than %zu bytes", room);
        goto out;
    }
    memcpy(out, data, (size_t)got);
    *len = (size_t)got;
out:
    BIO_free(clear); /* secure memory is wiped */
    return err;
}

enum err seal_open(const struct seal_keys *keys, const char *text, char *out, size_t room,
                   size_t *len, struct err_text *why)
{
    size_t der_len = 0;
    unsigned char *der = NULL;
    CMS_ContentInfo *cms = NULL;
    enum err err = ERR_OK;
    *len = 0;
    if (strnlen(text, SEAL_TEXT_MAX_BYTES + 1) > SEAL_TEXT_MAX_BYTES) {
        return err_set(why, ERR_INVALID, "sealed, and longer than %d bytes",
                       (int)SEAL_TEXT_MAX_BYTES);
    }
    if (seal_is_sealed(text)) {
        der = decode(text + PREFIX_BYTES, &der_len);
    }
    const unsigned char *at = der;
    cms = der != NULL ? d2i_CMS_ContentInfo(NULL, &at, (long)der_len) : NULL;
    if (cms == NULL || at != der + der_len || !is_enveloped(cms)) {
        err = err_set(why, ERR_INVALID,
                      "what stands behind sealed: is no base64 of a CMS EnvelopedData in DER");
        goto out;
    }
    if (keys == NULL) {
        err =
            err_set(why, ERR_NOT_FOUND,
                    "sealed, but this worker has no key (sealed.certificate and sealed.key of "
                    "worker.yaml)");
        goto out;
    }
    const struct identity *identity = identity_for(keys, cms);
    if (identity == NULL) {
        err = err_set(why, ERR_NOT_FOUND,
                      "sealed for another certificate than this worker's: seal it anew");
        goto out;
    }
    err = decrypt(cms, identity, out, room, len, why);
out:
    ERR_clear_error();
    CMS_ContentInfo_free(cms);
    free(der);
    if (err != ERR_OK) {
        OPENSSL_cleanse(out, room);
    }
    return err;
}
