/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In front of <ghost/bpf_rbtree.h>: sometimes there is no memory for an object. */
#include_next <ghost/bpf_rbtree.h>

#undef bpf_obj_new
#define bpf_obj_new(type)						\
	(model.no_memory ? NULL :					\
	 (type *)bpf_obj_new_impl(bpf_core_type_id_local(type), NULL))
