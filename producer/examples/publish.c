/* Publish one notification and wait for its receipt, then ask how it stands.
 *
 *   publish PROFILE FROM TO
 *
 * The broker is the one of TPN_SUBMIT, else the library's default.
 *
 * Built with the tests, so that it stays right. Compile it yourself with: cc publish.c $(pkg-config --cflags --libs tpn) */
#include <tpn.h>

#include <stdio.h>
#include <stdlib.h>

static void print_status(void *arg, const struct tpn_status *status)
{
    (void)arg;
    printf("%s is %s\n", status->id, tpn_state_word(status->state));
}

static struct tpn_request *make_request(char *const argv[])
{
    struct tpn_request *mail = tpn_request_new();
    tpn_request_text(mail, TPN_PROFILE, argv[1]);
    tpn_request_mailbox(mail, TPN_FROM, "TrackPro", argv[2]);
    tpn_request_mailbox(mail, TPN_TO, NULL, argv[3]);
    tpn_request_text(mail, TPN_SUBJECT, "Calibration due");
    tpn_request_text(mail, TPN_TEXT, "Torque wrench TW-17 is due on 1 December.\n");
    tpn_request_label(mail, "asset", "TW-17");
    return mail;
}

int main(int argc, char *argv[])
{
    struct tpn_client *client = NULL;
    struct tpn_options options;
    struct tpn_receipt receipt;
    struct tpn_why why;
    char id[TPN_ID_BYTES];
    int status = EXIT_FAILURE;

    if (argc != 4) {
        (void)fprintf(stderr, "usage: publish PROFILE FROM TO\n");
        return EXIT_FAILURE;
    }
    const char *submit = getenv("TPN_SUBMIT"); // NOLINT(concurrency-mt-unsafe): one thread
    tpn_options_init(&options);
    if (submit != NULL) {
        options.submit_endpoint = submit;
    }
    struct tpn_request *mail = make_request(argv);
    if (tpn_open(&client, &options, &why) != TPN_OK ||
        tpn_publish(client, mail, id, &why) != TPN_OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        goto out;
    }
    /* The deadline of the handle (60 s) ends this wait with NOT_KNOWN at the latest. */
    while (tpn_wait(client, id, 1000, &receipt) == TPN_TIMEOUT) {
        printf("waiting for the broker\n");
    }
    printf("%s: %s %s %s\n", receipt.id, tpn_receipt_word(receipt.status), receipt.field,
           receipt.reason);
    if (receipt.status == TPN_RECEIPT_ACCEPTED || receipt.status == TPN_RECEIPT_DUPLICATE) {
        const char *const ids[] = {id};
        (void)tpn_query(client, ids, 1, 5000, print_status, NULL, NULL);
        status = EXIT_SUCCESS;
    }
out:
    tpn_request_free(&mail);
    tpn_close(&client);
    return status;
}
