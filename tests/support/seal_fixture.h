/* Certificates and keys made for one test: self-signed, on disk for readers that want paths. */
#ifndef TPN_SEAL_FIXTURE_H
#define TPN_SEAL_FIXTURE_H

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* A P-256 key, or RSA of 2048 bits. */
enum seal_kind { SEAL_EC, SEAL_RSA };

static inline X509 *seal_certificate(EVP_PKEY *key, long serial)
{
    enum { DAY = 86400 };
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), DAY);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"worker",
                                     -1, -1, 0);
    (void)X509_set_issuer_name(certificate, name);
    (void)X509_set_pubkey(certificate, key);
    (void)X509_sign(certificate, key, EVP_sha256());
    return certificate;
}

/* Write PATH.pem and PATH.key. Returns 0, or -1. */
static inline int seal_write_identity(const char *path, enum seal_kind kind, long serial)
{
    char name[256];
    EVP_PKEY *key = kind == SEAL_EC ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    X509 *certificate = key != NULL ? seal_certificate(key, serial) : NULL;
    (void)snprintf(name, sizeof name, "%s.pem", path);
    FILE *pem = fopen(name, "w");
    (void)snprintf(name, sizeof name, "%s.key", path);
    FILE *secret = fopen(name, "w");
    int good = certificate != NULL && pem != NULL && secret != NULL &&
               PEM_write_X509(pem, certificate) == 1 &&
               PEM_write_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;
    good = pem != NULL && fclose(pem) == 0 && good;
    good = secret != NULL && fclose(secret) == 0 && good;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good ? 0 : -1;
}

#endif
