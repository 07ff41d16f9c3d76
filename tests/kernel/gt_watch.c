// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What must not stay behind: memory of queues and regions, words in the log. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gt.h"

#define LOG_INFO	6

/*
 * Mappable memory that the kernel holds for ghost: it shows who asked for it,
 * for a region that is the write to ctl. The records of the last enclaves stay,
 * which is what is asked for, by the one or the other name, when one is created.
 */
static int count_areas(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "re");
	char line[512];
	int n = 0;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		if ((strstr(line, " ghost_") || strstr(line, " ctl_store")) &&
		    !strstr(line, " ghost_exit_alloc") &&
		    !strstr(line, " ghost_enclave_create"))
			n++;
	fclose(f);
	return n;
}

int gt_watch_begin(struct gt_watch *w)
{
	w->areas = count_areas();
	if (w->areas < 0)
		return w->areas;
	w->kmsg = gt_open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (w->kmsg < 0)
		return w->kmsg;
	return lseek(w->kmsg, 0, SEEK_END) < 0 ? -errno : 0;
}

bool gt_watch_freed(struct gt_watch *w)
{
	return gt_wait_for(count_areas() <= w->areas);
}

const char *gt_watch_log(struct gt_watch *w)
{
	static char line[2048];
	ssize_t n;

	/* "PRIORITY,NUMBER,TIME,FLAGS;TEXT"; EPIPE: overwritten meanwhile */
	while ((n = read(w->kmsg, line, sizeof(line) - 1)) > 0 ||
	       (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		line[n] = '\0';
		if (strstr(line, "ghost") && (atoi(line) & 7) < LOG_INFO)
			return line;
	}
	return NULL;
}

void gt_watch_end(struct gt_watch *w)
{
	close(w->kmsg);
}
