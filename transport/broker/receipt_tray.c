/* Receipts, collected by the peer that waits for them.
 *
 * Knows how several become one message; what they say is the gate's business. */
#include "receipt_tray.h"

#include "broker.h"
#include "log.h"

static void send_pile(struct broker *broker, struct receipt_pile *pile)
{
    const char *data = buf_text(&pile->bytes);
    bool one = pile->count == 1;
    enum err err = one ? wire_send_packed(bus_socket(broker->submit), &pile->peer, WIRE_RECEIPT,
                                          data + pile->head, pile->bytes.len - pile->head)
                       : wire_send_packed(bus_socket(broker->submit), &pile->peer,
                                          WIRE_RECEIPTS, data, pile->bytes.len);
    if (err != ERR_OK) {
        log_debug("send", "verb=RECEIPTS count=%zu result=dropped", pile->count);
    }
    buf_reset(&pile->bytes);
    pile->count = 0;
}

/* The pile of a peer, a new one when it has none. */
static struct receipt_pile *pile_of(struct broker *broker, const struct wire_peer *peer)
{
    struct receipt_tray *tray = &broker->receipt_tray;
    for (size_t i = tray->used; i > 0; i--) { /* the last one is the likeliest */
        if (wire_peer_same(&tray->piles[i - 1].peer, peer)) {
            return &tray->piles[i - 1];
        }
    }
    if (tray->used == RECEIPT_TRAY_PEERS) {
        receipt_tray_send(broker);
    }
    struct receipt_pile *pile = &tray->piles[tray->used++];
    if (tray->used > tray->made) {
        buf_init(&pile->bytes, RECEIPT_TRAY_BYTES + RECEIPT_TRAY_LARGEST);
        tray->made = tray->used;
    }
    pile->peer = *peer;
    return pile;
}

void receipt_tray_put(struct broker *broker, const struct wire_peer *peer,
                      const PB(Receipt) *receipt)
{
    enum { FIELD = 1, KEY = FIELD << 3 | 2, VARINT_BYTES = 10 };
    struct receipt_pile *pile = pile_of(broker, peer);
    size_t len = protobuf_c_message_get_packed_size(&receipt->base);
    if (buf_reserve(&pile->bytes, 1 + VARINT_BYTES + len) != ERR_OK) {
        bug("a receipt of %zu bytes", len);
    }
    uint8_t *at = (uint8_t *)pile->bytes.data + pile->bytes.len;
    size_t head = 0;
    at[head++] = KEY;
    head += wire_put_varint(at + head, len);
    (void)protobuf_c_message_pack(&receipt->base, at + head);
    pile->bytes.len += head + len;
    pile->bytes.data[pile->bytes.len] = '\0';
    pile->head = pile->count++ == 0 ? head : pile->head;
    if (pile->count == RECEIPT_TRAY_MOST || pile->bytes.len >= RECEIPT_TRAY_BYTES) {
        send_pile(broker, pile);
    }
}

void receipt_tray_send(struct broker *broker)
{
    struct receipt_tray *tray = &broker->receipt_tray;
    for (size_t i = 0; i < tray->used; i++) {
        if (tray->piles[i].count > 0) {
            send_pile(broker, &tray->piles[i]);
        }
    }
    tray->used = 0;
}

void receipt_tray_fini(struct receipt_tray *tray)
{
    for (size_t i = 0; i < tray->made; i++) {
        buf_fini(&tray->piles[i].bytes);
    }
    tray->used = 0;
    tray->made = 0;
}
