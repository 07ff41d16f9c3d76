// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * demo-sleepers THREADS ROUNDS - many threads that sleep a little, work a
 * little, and sleep again. Ends with one line that says how many rounds were
 * done, and fails unless every thread did all of its rounds.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct sleeper {
	pthread_t thread;
	unsigned int seed;
	unsigned int done;
};

static unsigned int rounds;

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	while (s->done < rounds) {
		struct timespec nap = {
			.tv_nsec = 1000000 + rand_r(&s->seed) % 9000000,
		};

		nanosleep(&nap, NULL);
		for (volatile int spin = 0; spin < 20000; spin++)
			;
		s->done++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long total = 0;
	unsigned int threads, i;
	struct sleeper *s;

	threads = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	rounds = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	if (!threads || !rounds) {
		fprintf(stderr, "usage: demo-sleepers THREADS ROUNDS\n");
		return 2;
	}
	s = calloc(threads, sizeof(*s));
	if (!s) {
		fprintf(stderr, "demo-sleepers: no memory for %u threads\n", threads);
		return 1;
	}
	for (i = 0; i < threads; i++) {
		int err;

		s[i].seed = i;
		err = pthread_create(&s[i].thread, NULL, sleeper_main, &s[i]);
		if (err) {
			fprintf(stderr, "demo-sleepers: thread %u: %s\n", i, strerror(err));
			return 1;
		}
	}
	for (i = 0; i < threads; i++) {
		pthread_join(s[i].thread, NULL);
		total += s[i].done;
	}
	free(s);
	printf("sleepers: %lu of %lu rounds done\n", total,
	       (unsigned long)threads * rounds);
	return total != (unsigned long)threads * rounds;
}
