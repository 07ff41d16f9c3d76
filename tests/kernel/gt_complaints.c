// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* What the kernel complains of, by the words that run-tests has, too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <string.h>
#include <unistd.h>

#include "gt.h"

#define COMPLAINTS	"/usr/lib/ghost/complaints"

static int kmsg = -1;
static regex_t words;

int gt_complaints_begin(void)
{
	char buf[4096], *at;
	int ret = gt_read_file(COMPLAINTS, buf, sizeof(buf));

	if (ret <= 0)
		return ret ? ret : -ENODATA;
	buf[strlen(buf) - 1] = '\0';
	while ((at = strchr(buf, '\n')))
		*at = '|';
	if (regcomp(&words, buf, REG_EXTENDED | REG_NOSUB))
		return -EINVAL;
	kmsg = gt_open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (kmsg < 0)
		return kmsg;
	return lseek(kmsg, 0, SEEK_END) < 0 ? -errno : 0;
}

const char *gt_complaint(void)
{
	static char line[2048];
	char *text;
	ssize_t n;

	/* "PRIORITY,NUMBER,TIME,FLAGS;TEXT"; EPIPE: overwritten meanwhile */
	while ((n = read(kmsg, line, sizeof(line) - 1)) > 0 ||
	       (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		line[n] = '\0';
		text = strchr(line, ';');
		if (text && !regexec(&words, text, 0, NULL, 0))
			return text + 1;
	}
	return NULL;
}
