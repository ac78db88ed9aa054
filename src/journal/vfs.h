/* vfs.h - the file layer under SQLite: a commit's log frames reach the kernel in one write. */
#ifndef JOURNAL_VFS_H
#define JOURNAL_VFS_H

#define JOURNAL_VFS "pcs-journal"

/* Registers JOURNAL_VFS with SQLite, once in a process; any thread. An SQLite code. */
int journal_vfs_register(void);

#endif
