/* Facts of a certificate, as text. The bytes come from a server: whatever goes out is printable ASCII. */
#include "certificate.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

/* Append ", name" when all of it fits and is printable. */
static void add_name(char out[CERTIFICATE_NAMES_BYTES], const char *name, size_t len)
{
    size_t used = strlen(out);
    const char *comma = used > 0 ? ", " : "";
    bool plain = len > 0 && len < CERTIFICATE_NAMES_BYTES;
    for (size_t i = 0; plain && i < len; i++) {
        plain = name[i] > ' ' && name[i] < 0x7f;
    }
    if (plain && used + strlen(comma) + len < CERTIFICATE_NAMES_BYTES) {
        (void)snprintf(out + used, CERTIFICATE_NAMES_BYTES - used, "%s%.*s", comma, (int)len,
                       name);
    }
}

static void add_address(char out[CERTIFICATE_NAMES_BYTES], const unsigned char *bytes, int len)
{
    char text[INET6_ADDRSTRLEN];
    int family = len == 4 ? AF_INET : AF_INET6;
    if ((len == 4 || len == 16) && inet_ntop(family, bytes, text, sizeof text) != NULL) {
        add_name(out, text, strlen(text));
    }
}

static void read_names(const X509 *x509, char out[CERTIFICATE_NAMES_BYTES])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type = 0;
        const ASN1_STRING *value =
            GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        const unsigned char *bytes =
            type == GEN_DNS || type == GEN_IPADD ? ASN1_STRING_get0_data(value) : NULL;
        if (bytes != NULL && type == GEN_DNS) {
            add_name(out, (const char *)bytes, (size_t)ASN1_STRING_length(value));
        } else if (bytes != NULL) {
            add_address(out, bytes, ASN1_STRING_length(value));
        }
    }
    GENERAL_NAMES_free(names);
}

static void read_issuer(const X509 *x509, char out[CERTIFICATE_ISSUER_BYTES])
{
    const X509_NAME *issuer = X509_get_issuer_name(x509);
    if (X509_NAME_get_text_by_NID(issuer, NID_commonName, out, CERTIFICATE_ISSUER_BYTES) < 0 &&
        X509_NAME_get_text_by_NID(issuer, NID_organizationName, out, CERTIFICATE_ISSUER_BYTES) <
            0) {
        out[0] = '\0';
    }
    for (char *p = out; *p != '\0'; p++) {
        if (*p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }
}

static int64_t read_end(const X509 *x509)
{
    struct tm tm = {.tm_sec = 0};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(x509), &tm) != 1) {
        return 0;
    }
    return (int64_t)timegm(&tm) * 1000;
}

static void read_pin(const X509 *x509, char out[CERTIFICATE_PIN_BYTES])
{
    static const char prefix[] = "sha256//";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char *der = NULL;
    int der_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
    unsigned digest_len = 0;
    if (der_len > 0 &&
        EVP_Digest(der, (size_t)der_len, digest, &digest_len, EVP_sha256(), NULL) == 1) {
        memcpy(out, prefix, sizeof prefix);
        (void)EVP_EncodeBlock((unsigned char *)out + sizeof prefix - 1, digest,
                              (int)digest_len);
    }
    OPENSSL_free(der);
}

void certificate_read(const X509 *x509, struct certificate *out)
{
    *out = (struct certificate){.not_after_ms = 0};
    read_names(x509, out->names);
    read_issuer(x509, out->issuer);
    out->not_after_ms = read_end(x509);
    read_pin(x509, out->pin);
}
