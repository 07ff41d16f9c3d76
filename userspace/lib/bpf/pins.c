// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What outlives the process, in the file system of BPF:
 *
 *	ghost/ENCLAVE-INODE/SLOT	links
 *	ghost/ENCLAVE-INODE/NAME/MAP	maps of the policy NAME
 *
 * The inode is that of the enclave's ctl: numbers are used again.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <bpf/libbpf.h>

#include "internal.h"

#define BPF_FS		"/sys/fs/bpf"
#define TOP		BPF_FS "/ghost"

static int make_dir(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

static int mount_bpf_fs(void)
{
	struct statfs fs;

	if (statfs(BPF_FS, &fs))
		return -errno;
	if (fs.f_type == BPF_FS_MAGIC)
		return 0;
	return mount("bpf", BPF_FS, "bpf", 0, "mode=0700") ? -errno : 0;
}

static int print_path(char *path, size_t size, struct ghost_enclave *e,
		      const char *name)
{
	struct stat st;
	int len;

	if (fstat(ghost_enclave_ctl(e), &st))
		return -errno;
	len = snprintf(path, size, TOP "/%lu-%lu%s%s", ghost_enclave_id(e),
		       (unsigned long)st.st_ino, name ? "/" : "",
		       name ? name : "");
	return len < (int)size ? 0 : -ENAMETOOLONG;
}

/* Remove a directory of pins, and the directories of pins in it. */
static int remove_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (unlinkat(fd, entry->d_name, 0) && errno == EISDIR)
			remove_dir(fd, entry->d_name);
	}
	closedir(dir);
	return unlinkat(parent, name, AT_REMOVEDIR) ? -errno : 0;
}

/* The number was that of an enclave that is gone. */
static void remove_others(const char *ours)
{
	const char *name = strrchr(ours, '/') + 1;
	size_t number = strcspn(name, "-") + 1;
	struct dirent *entry;
	DIR *dir = opendir(TOP);

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, name, number) &&
		    strcmp(entry->d_name, name))
			remove_dir(dirfd(dir), entry->d_name);
	closedir(dir);
}

int ghost_policy_dir(struct ghost_enclave *e, const char *name, char *path,
		     size_t size)
{
	char own[PATH_SIZE];
	int err;

	err = mount_bpf_fs();
	if (!err)
		err = make_dir(TOP);
	if (!err)
		err = print_path(own, sizeof(own), e, NULL);
	if (err)
		return err;
	remove_others(own);
	err = make_dir(own);
	if (!err)
		err = print_path(path, size, e, name);
	if (!err && name)
		err = make_dir(path);
	return err;
}

int ghost_policy_undir(struct ghost_enclave *e, const char *name)
{
	char path[PATH_SIZE];
	int err = print_path(path, sizeof(path), e, name);

	return err ? err : remove_dir(AT_FDCWD, path);
}

int link_path(struct ghost_enclave *e, const char *slot, char *path,
	      size_t size)
{
	int err = ghost_policy_dir(e, NULL, path, size);

	return err ? err : print_path(path, size, e, slot);
}

int unpin_link(struct ghost_policy *p, const char *slot)
{
	char path[PATH_SIZE];
	int err = print_path(path, sizeof(path), p->enclave, slot);

	if (err)
		return err;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

int ghost_policy_share_maps(struct bpf_object *object, struct ghost_enclave *e,
			    const char *name)
{
	char dir[PATH_SIZE], path[PATH_SIZE];
	struct bpf_map *map;
	int err, found = 0;

	err = ghost_policy_dir(e, name, dir, sizeof(dir));
	if (err)
		return err;
	bpf_object__for_each_map(map, object) {
		const char *map_name = bpf_map__name(map);
		size_t i;

		if (strstr(map_name, ".rodata"))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, map_name) >=
		    (int)sizeof(path))
			return -ENAMETOOLONG;
		/* Names in that file system have no point. */
		for (i = strlen(dir); path[i]; i++)
			if (path[i] == '.')
				path[i] = '_';
		found |= !access(path, F_OK);
		err = bpf_map__set_pin_path(map, path);
		if (err)
			return err;
	}
	return found;
}
