// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The programs of a policy, in the slots of an enclave. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ghost/bpf.h>

#include "internal.h"

/* In the order in which they are attached. */
static const struct slot {
	const char *name;
	unsigned int attach;
} slots[NR_SLOTS] = {
	{ "msg", BPF_GHOST_MSG_SEND },
	{ "select_rq", BPF_GHOST_SELECT_RQ },
	{ "halt_poll", BPF_GHOST_HALT_POLL },
	{ "sched", BPF_GHOST_SCHED_PNT },
};

#define SECTION		"ghost/"

/* Slot of a program, or -1. */
static int slot_of(const struct bpf_program *prog)
{
	const char *section = bpf_program__section_name(prog);
	int i;

	if (strncmp(section, SECTION, strlen(SECTION)))
		return -1;
	for (i = 0; i < NR_SLOTS; i++)
		if (!strcmp(section + strlen(SECTION), slots[i].name))
			return i;
	return -1;
}

/* Beyond the enumerations of libbpf, which passes them on as they are. */
static int set_types(struct bpf_program *prog, unsigned int attach)
{
	unsigned int type = GHOST_BPF_PROG_TYPE(attach);
	unsigned int expected = GHOST_BPF_EXPECTED_ATTACH_TYPE(attach);
	int err = bpf_program__set_type(prog, (enum bpf_prog_type)type);

	if (err)
		return err;
	return bpf_program__set_expected_attach_type(prog,
					(enum bpf_attach_type)expected);
}

int ghost_policy_prepare(struct bpf_object *object)
{
	bool seen[NR_SLOTS] = { false };
	struct bpf_program *prog;
	int err = -ENOENT;

	bpf_object__for_each_program(prog, object) {
		int i = slot_of(prog);

		if (i < 0 || !bpf_program__autoload(prog))
			continue;
		if (seen[i])
			return -EEXIST;
		seen[i] = true;
		err = set_types(prog, slots[i].attach);
		if (err)
			return err;
	}
	return err;
}

static struct ghost_policy *new_policy(struct ghost_enclave *e)
{
	struct ghost_policy *p = calloc(1, sizeof(*p));
	int i;

	if (!p)
		return NULL;
	p->enclave = e;
	for (i = 0; i < NR_SLOTS; i++)
		p->links[i] = -1;
	return p;
}

void ghost_policy_close(struct ghost_policy *p)
{
	int i;

	if (!p)
		return;
	/* What picks goes first. */
	for (i = NR_SLOTS - 1; i >= 0; i--)
		if (p->links[i] >= 0)
			close(p->links[i]);
	free(p);
}

/* The program that @object has for slot @i, or -1. */
static int program(const struct bpf_object *object, int i)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, object)
		if (slot_of(prog) == i && bpf_program__autoload(prog))
			return bpf_program__fd(prog);
	return -1;
}

static int attach(struct ghost_policy *p, int i, int prog)
{
	int link = ghost_bpf_attach(ghost_enclave_ctl(p->enclave), prog,
				    slots[i].attach);

	if (link < 0)
		return link;
	p->links[i] = link;
	return 0;
}

int ghost_policy_attach(struct ghost_policy **policy, struct ghost_enclave *e,
			const struct bpf_object *object)
{
	struct ghost_policy *p = new_policy(e);
	int i, err = 0;

	if (!p)
		return -ENOMEM;
	for (i = 0; i < NR_SLOTS && !err; i++) {
		int prog = program(object, i);

		if (prog >= 0)
			err = attach(p, i, prog);
	}
	if (err) {
		ghost_policy_close(p);
		return err;
	}
	*policy = p;
	return 0;
}

/* The kernel wants to know which program is replaced. */
static int replace(int link, int prog)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	int err, old;

	err = bpf_obj_get_info_by_fd(link, &info, &len);
	if (err)
		return err;
	old = bpf_prog_get_fd_by_id(info.prog_id);
	if (old < 0)
		return old;
	err = ghost_bpf_replace(link, prog, old);
	close(old);
	return err;
}

int ghost_policy_replace(struct ghost_policy *p, const struct bpf_object *object)
{
	int i, err = 0;

	for (i = 0; i < NR_SLOTS && !err; i++) {
		int prog = program(object, i);

		if (prog < 0)
			continue;
		if (p->links[i] < 0)
			err = attach(p, i, prog);
		else
			err = replace(p->links[i], prog);
	}
	for (i = NR_SLOTS - 1; i >= 0 && !err; i--) {
		if (p->links[i] < 0 || program(object, i) >= 0)
			continue;
		err = unpin_link(p, slots[i].name);
		close(p->links[i]);
		p->links[i] = -1;
	}
	return err;
}

int ghost_policy_pin(struct ghost_policy *p)
{
	char path[PATH_SIZE];
	int i, err = 0;

	for (i = 0; i < NR_SLOTS && !err; i++) {
		if (p->links[i] < 0)
			continue;
		err = link_path(p->enclave, slots[i].name, path, sizeof(path));
		if (!err)
			err = bpf_obj_pin(p->links[i], path);
		/* Pinned before this one replaced what was in it. */
		if (err == -EEXIST)
			err = 0;
	}
	return err;
}

int ghost_policy_open(struct ghost_policy **policy, struct ghost_enclave *e)
{
	struct ghost_policy *p = new_policy(e);
	char path[PATH_SIZE];
	int i, err = 0, found = 0;

	if (!p)
		return -ENOMEM;
	for (i = 0; i < NR_SLOTS && !err; i++) {
		int link;

		err = link_path(e, slots[i].name, path, sizeof(path));
		if (err)
			break;
		link = bpf_obj_get(path);
		if (link >= 0) {
			p->links[i] = link;
			found++;
		} else if (link != -ENOENT) {
			err = link;
		}
	}
	if (!err && !found)
		err = -ENOENT;
	if (err) {
		ghost_policy_close(p);
		return err;
	}
	*policy = p;
	return 0;
}
