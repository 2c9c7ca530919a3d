/*
 * How often something was tried lately, by key: a token bucket per key, the number of keys bounded.
 * Pure; when the table is full the key that was idle longest goes.
 */
#ifndef AUTHENTICATE_RATE_H
#define AUTHENTICATE_RATE_H

#include "common/base/map.h"
#include "common/base/view.h"

enum { RATE_KEYS_MAX = 10000 };

struct rate {
    struct map entries;
    uint32_t burst;     /* tries at once */
    uint64_t refill_ms; /* until one more is allowed */
};

void rate_init(struct rate *r, uint32_t burst, uint64_t refill_ms);
void rate_fini(struct rate *r);

/* Takes a try; false when there is none left. */
bool rate_take(struct rate *r, struct view key, uint64_t now_ms);

/*
 * What stands for the one who is at `address` ("192.0.2.1", "2001:db8::1"): ip_source of it.
 * Views into `buffer` or `address`.
 */
enum { RATE_ADDRESS_KEY = 16 };
struct view rate_address_key(const char *address, uint8_t buffer[RATE_ADDRESS_KEY]);

/* Gives everything back to a key that has proved itself. */
void rate_forgive(struct rate *r, struct view key);

#endif
