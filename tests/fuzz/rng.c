// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Chance. */
#include "fuzz.h"

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t rng_next(struct rng *r)
{
	r->state += 0x9e3779b97f4a7c15ULL;
	return mix(r->state);
}

struct rng rng_at(uint64_t seed, uint64_t n)
{
	return (struct rng){ mix(seed + 1) + mix(n + 1) };
}

unsigned int below(struct rng *r, unsigned int n)
{
	return n ? rng_next(r) % n : 0;
}

uint64_t value(struct rng *r)
{
	switch (below(r, 8)) {
	case 0:
		return 0;
	case 1:
		return -1 - (int64_t)below(r, 4);
	case 2 ... 4:
		return below(r, 16);
	case 5:
		return (1ULL << below(r, 64)) - 1 + below(r, 3);
	case 6:
		return (uint32_t)rng_next(r);
	default:
		return rng_next(r);
	}
}
