/* Inside libtpn: protobuf structs as the public ones show them. */
#ifndef TPN_CONVERT_H
#define TPN_CONVERT_H

#include "tpn.h"

#include "pb.h"

/* Fill event (or status) from a message, whose texts it borrows. recipients of the result are
 * allocated: give the struct to convert_free_recipients when done. */
void convert_event(const PB(StatusEvent) *from, struct tpn_event *event);
void convert_status(const PB(RequestStatus) *from, struct tpn_status *status);
void convert_free_recipients(const struct tpn_recipient *recipients); /* accepts null */

#endif
