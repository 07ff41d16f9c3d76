/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * libghost-bpf: policies in BPF, their programs loaded with libbpf. Apart from
 * libghost, which so needs no other library.
 *
 * A program is written for a slot of the enclave, and says which by its
 * section: SEC("ghost/sched"), "ghost/msg", "ghost/select_rq" or
 * "ghost/halt_poll". <ghost/bpf.h> has what it may call.
 *
 *	ghost_policy_prepare()	between open and load of the object
 *	ghost_policy_attach()	into slots that are empty
 *	ghost_policy_pin()		so that they outlive this process
 *	ghost_policy_open()	programs that another process has pinned
 *	ghost_policy_replace()	by those of another object, one slot after the
 *				other, and none is empty in between
 *
 * Functions return 0 or -errno, as in libghost.
 */
#ifndef GHOST_POLICY_H
#define GHOST_POLICY_H

#include <ghost/ghost.h>

GHOST_BEGIN_DECLS

struct bpf_object;
struct ghost_policy;

/**
 * ghost_policy_prepare() - set the types of the programs of an object
 * @object: opened with libbpf, not loaded yet
 *
 * Programs in sections of other names, and those that are not to be loaded
 * (bpf_program__set_autoload()), are left alone here and below.
 *
 * Return: 0; -ENOENT if no section is one of a slot; -EEXIST if two programs
 * are for one slot; or what libbpf says.
 */
GHOST_API int ghost_policy_prepare(struct bpf_object *object);

/**
 * ghost_policy_attach() - attach the programs of an object
 * @policy: result
 * @enclave: enclave
 * @object: prepared and loaded
 *
 * What sees the messages comes first, what picks last.
 *
 * Return: 0; -EBUSY if a slot is used; or another -errno. Then nothing is
 * attached.
 */
GHOST_API int ghost_policy_attach(struct ghost_policy **policy,
				  struct ghost_enclave *enclave,
				  const struct bpf_object *object);

/**
 * ghost_policy_replace() - put the programs of another object into the slots
 * @policy: attached programs
 * @object: prepared and loaded
 *
 * Each slot changes from the old program to the new one in one step, while
 * tasks run. Slots for which @object has no program become empty at the end.
 *
 * Return: 0, or -errno: some slots may have changed; try again, or go back by
 * replacing with the old object.
 */
GHOST_API int ghost_policy_replace(struct ghost_policy *policy,
				   const struct bpf_object *object);

/**
 * ghost_policy_close() - let go of the programs
 * @policy: attached programs, or NULL
 *
 * Detaches what is not pinned.
 */
GHOST_API void ghost_policy_close(struct ghost_policy *policy);

/**
 * ghost_policy_dir() - make a directory for what belongs to an enclave
 * @enclave: enclave
 * @name: directory in it, or NULL for its own
 * @path: result
 * @size: room there
 *
 * It is in /sys/fs/bpf, which is mounted if need be. An enclave that has the
 * number of one that is gone has another directory; that of the old one is
 * removed.
 */
GHOST_API int ghost_policy_dir(struct ghost_enclave *enclave, const char *name,
			       char *path, size_t size);

/**
 * ghost_policy_undir() - remove that directory, and all that is pinned there
 * @enclave: enclave
 * @name: as above
 */
GHOST_API int ghost_policy_undir(struct ghost_enclave *enclave, const char *name);

/**
 * ghost_policy_pin() - keep the programs attached after this process
 * @policy: attached programs
 *
 * They are pinned in the enclave's directory, for ghost_policy_open().
 */
GHOST_API int ghost_policy_pin(struct ghost_policy *policy);

/**
 * ghost_policy_open() - programs that were pinned
 * @policy: result
 * @enclave: enclave
 *
 * Return: 0; -ENOENT if none is pinned; or another -errno.
 */
GHOST_API int ghost_policy_open(struct ghost_policy **policy,
				struct ghost_enclave *enclave);

/**
 * ghost_policy_share_maps() - share the maps of an object with its successor
 * @object: opened with libbpf, not loaded yet
 * @enclave: enclave
 * @name: of the policy and the layout of its maps
 *
 * When it is loaded, the object takes over the maps that a predecessor of the
 * same @name has pinned, with what is in them, and pins those that are new. So
 * a new process goes on where the old one stopped. Constants (.rodata) are not
 * shared. Maps that hold objects (see <ghost/bpf_rbtree.h>) fit one object file
 * only, once loaded: take them out again with bpf_map__set_pin_path(map, NULL).
 *
 * Return: 1 if there was a predecessor, 0 if not, or -errno.
 */
GHOST_API int ghost_policy_share_maps(struct bpf_object *object,
				      struct ghost_enclave *enclave,
				      const char *name);

GHOST_END_DECLS

#endif /* GHOST_POLICY_H */
