/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#ifndef GHOST_API_H
#define GHOST_API_H

/* Everything else in the library is hidden. */
#define GHOST_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define GHOST_BEGIN_DECLS extern "C" {
#define GHOST_END_DECLS }
#else
#define GHOST_BEGIN_DECLS
#define GHOST_END_DECLS
#endif

#endif /* GHOST_API_H */
