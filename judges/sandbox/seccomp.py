"""A seccomp filter for the boxes: system calls that plain programs do not need and that reach around the limits.

Memory that no resource limit counts (memfd, System V shared memory and message queues, attributes of files, rings for
asynchronous input and output), other processes' memory,
new namespaces, sockets, and the parts of the kernel in which most of its holes were found. They fail with EPERM, so a
program sees an ordinary error. The filter is classic BPF (linux/filter.h), made here because it is thirty lines.
"""

from __future__ import annotations

import platform
import struct

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|…|K, BPF_RET|K
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000  # SECCOMP_RET_…
_EPERM, _ENOSYS = 1, 38
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # struct seccomp_data, little endian
_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_CLONE3 = 435

_SINCE_2019 = {  # one table for all architectures
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "memfd_secret": 447,
    "setxattrat": 463,
}
# In the order: add_key bpf chroot fanotify_init fsetxattr io_setup io_submit lsetxattr setxattr
# kcmp keyctl kexec_load memfd_create mount mq_open msgget msgsnd
# name_to_handle_at open_by_handle_at perf_event_open personality pivot_root process_vm_readv process_vm_writev ptrace
# request_key semget setns shmat shmget socket swapon umount2 unshare userfaultfd
_X86_64 = (
    *(248, 321, 161, 300, 190, 206, 209, 189, 188, 312, 250, 246, 319, 165, 240, 68, 69),
    *(303, 304, 298, 135, 155, 310, 311, 101),
    *(249, 64, 308, 30, 29, 41, 167, 166, 272, 323),
)
_AARCH64 = (
    *(217, 280, 51, 262, 7, 0, 2, 6, 5, 272, 219, 104, 279, 40, 180, 186, 189),
    *(264, 265, 241, 92, 41, 270, 271, 117),
    *(218, 190, 268, 196, 194, 198, 224, 39, 97, 282),
)
_MACHINES = {  # AUDIT_ARCH_…, the number of clone, what is refused
    "x86_64": (0xC000003E, 56, _X86_64),
    "aarch64": (0xC00000B7, 220, _AARCH64),
}


def program(machine: str | None = None) -> bytes | None:
    """The filter for `bwrap --seccomp`, or None for a machine whose system calls are not listed here."""
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    architecture, clone, refused = known
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _ERROR | _EPERM),
    ]
    for number in sorted({*refused, *_SINCE_2019.values()}):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | _EPERM)]
    # clone3 keeps its flags in memory, where a filter cannot look; without it the C library uses clone.
    steps += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    steps += [
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _ERROR | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
