"""Stands in the server's place under the unit of the service and tries once what each rule of the sandbox forbids.

Prints a line for each: `refused RULE: how` or `OPEN RULE`, and `works THING` or `BROKEN THING` for what the server needs.
"""

import ctypes
import errno
import os
import platform
import resource
import socket
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": {"mount": 165, "init_module": 175, "syslog": 103, "clock_settime": 227, "sethostname": 170, "unshare": 272, "bpf": 321,
               "personality": 135, "keyctl": 250, "setuid": 105, "reboot": 169, "swapon": 167, "ptrace": 101,
               "chroot": 161, "kexec_load": 246, "io_uring_setup": 425, "perf_event_open": 298, "mknod": 133, "sched_setparam": 142},
    "aarch64": {"mount": 40, "init_module": 105, "syslog": 116, "clock_settime": 112, "sethostname": 161, "unshare": 97, "bpf": 280,
                "personality": 92, "keyctl": 219, "setuid": 146, "reboot": 142, "swapon": 224, "ptrace": 117, "sched_setparam": 118,
                "chroot": 51, "kexec_load": 104, "io_uring_setup": 425, "perf_event_open": 241},
}[platform.machine()]
CLONE_NEWUSER = 0x10000000
PROT_READ_WRITE_EXECUTE = 7
MAP_PRIVATE_ANONYMOUS = 0x22


def call(name, *arguments):
    """A system call by name; raises OSError as the kernel says."""
    ctypes.set_errno(0)
    if libc.syscall(NUMBERS[name], *arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def forbidden(rule, attempt):
    """The attempt must fail, and for want of permission, not for a mistake in the attempt."""
    try:
        attempt()
    except OSError as error:
        expected = (errno.EPERM, errno.EACCES, errno.EROFS, errno.EAFNOSUPPORT, errno.ENOENT, errno.ENXIO)
        word = "refused" if error.errno in expected else "OPEN"
        print(f"{word} {rule}: {errno.errorcode.get(error.errno, error.errno)}")
    else:
        print(f"OPEN {rule}")


def holds(rule, fact):
    print(f"refused {rule}: as it should be" if fact else f"OPEN {rule}")


def needed(thing, attempt):
    try:
        attempt()
        print(f"works {thing}")
    except OSError as error:
        print(f"BROKEN {thing}: {error}")


def writes(path):
    return lambda: open(path, "w").close()


def reads(path):
    return lambda: open(path, "rb").read(1)


def map_executable():
    libc.mmap.restype = ctypes.c_void_p
    if libc.mmap(None, 4096, PROT_READ_WRITE_EXECUTE, MAP_PRIVATE_ANONYMOUS, -1, 0) == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")


def open_socket(family, kind, port=None, protocol=0):
    with socket.socket(family, kind, protocol) as opened:
        if port is not None:
            opened.bind(("", port))


def set_id_bit():
    path = "/var/lib/sluice/program"
    writes(path)()
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)


def status(name):
    with open("/proc/self/status") as lines:
        return next(line.split()[1] for line in lines if line.startswith(name + ":"))


def files():
    forbidden("ProtectSystem=strict, /etc", writes("/etc/planted"))
    forbidden("ProtectSystem=strict, /usr", writes("/usr/planted"))
    forbidden("ProtectSystem=strict, /var/tmp of others", writes("/var/planted"))
    forbidden("/etc/sluice is not for writing", writes("/etc/sluice/planted"))
    forbidden("ProtectHome", reads("/home/somebody/secret"))
    forbidden("PrivateTmp", reads("/tmp/of-another"))
    forbidden("PrivateDevices", reads("/dev/mem"))
    forbidden("DevicePolicy=closed", reads("/dev/loop-control"))
    forbidden("NoExecPaths", lambda: os.execv("/bin/sh", ["sh", "-c", "true"]))
    forbidden("RestrictSUIDSGID", set_id_bit)
    forbidden("ProtectProc=invisible", lambda: os.listdir("/proc/1"))
    path = "/var/lib/sluice/file"
    writes(path)()
    holds("UMask=0077", stat.S_IMODE(os.stat(path).st_mode) == 0o600)
    os.unlink(path)


def kernel():
    forbidden("ProtectKernelTunables", writes("/proc/sys/kernel/domainname"))
    forbidden("ProtectControlGroups", lambda: os.mkdir("/sys/fs/cgroup/planted"))
    forbidden("ProtectKernelModules", lambda: call("init_module", 0, 0, 0))
    forbidden("ProtectKernelLogs", lambda: call("syslog", 3, 0, 0))
    forbidden("ProtectClock", lambda: call("clock_settime", 0, 0))
    forbidden("ProtectHostname", lambda: call("sethostname", b"planted", 7))
    forbidden("RestrictNamespaces", lambda: call("unshare", CLONE_NEWUSER))
    forbidden("RestrictRealtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    forbidden("LockPersonality", lambda: call("personality", 8))
    forbidden("MemoryDenyWriteExecute", map_executable)
    forbidden("KeyringMode and filter, keyctl", lambda: call("keyctl", 0, -3, 0))
    for name in ("mount", "setuid", "reboot", "swapon", "ptrace", "chroot", "kexec_load", "bpf", "perf_event_open", "sched_setparam"):
        forbidden(f"SystemCallFilter, {name}", lambda name=name: call(name, 0, 0, 0, 0, 0))
    forbidden("SystemCallFilter, chown", lambda: os.chown("/var/lib/sluice", 0, 0))


def rights():
    holds("CapabilityBoundingSet", int(status("CapBnd"), 16) == 0)
    holds("AmbientCapabilities", int(status("CapAmb"), 16) == 0)
    holds("NoNewPrivileges", status("NoNewPrivs") == "1")
    holds("User", os.getuid() not in (0, 65534))
    forbidden("LimitNICE", lambda: os.setpriority(os.PRIO_PROCESS, 0, -12))
    holds("LimitCORE", resource.getrlimit(resource.RLIMIT_CORE) == (0, 0))
    with open("/proc/self/uid_map") as ranges:
        holds("PrivateUsers", ranges.read().split()[2] != "4294967295")
    forbidden("RestrictAddressFamilies, packets", lambda: open_socket(socket.AF_PACKET, socket.SOCK_RAW))
    forbidden("RestrictAddressFamilies, vsock", lambda: open_socket(socket.AF_VSOCK, socket.SOCK_STREAM))
    forbidden("no capability, raw sockets", lambda: open_socket(socket.AF_INET, socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP))
    forbidden("no capability, a port below 1024", lambda: open_socket(socket.AF_INET, socket.SOCK_STREAM, 81))


def server_needs():
    parameters = ctypes.create_string_buffer(120)
    needed("io_uring", lambda: call("io_uring_setup", 8, ctypes.byref(parameters)))
    needed("UDP", lambda: open_socket(socket.AF_INET, socket.SOCK_DGRAM, 10999))
    needed("UDP over IPv6", lambda: open_socket(socket.AF_INET6, socket.SOCK_DGRAM, 10999))
    needed("TCP", lambda: open_socket(socket.AF_INET, socket.SOCK_STREAM, 10999))
    needed("list of addresses (netlink)", lambda: socket.if_nameindex())
    needed("pinning to a core", lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))
    # A container without the right to raise limits grants less than the -11 of the unit; the filter must let it through all the same.
    priority = min(0, max(-11, 20 - resource.getrlimit(resource.RLIMIT_NICE)[0]))
    needed(f"priority of media threads, nice {priority}", lambda: os.setpriority(os.PRIO_PROCESS, 0, priority))
    needed("settings", reads("/etc/sluice/sluice.toml"))
    needed("state directory", lambda: (writes("/var/lib/sluice/file")(), os.unlink("/var/lib/sluice/file")))
    needed("kernel settings for reading", reads("/proc/sys/kernel/osrelease"))
    # More than the usual 1,024; what the machine around the container allows is less than the unit asks for.
    needed("LimitNOFILE", lambda: [os.close(end) for end in [os.dup(0) for _ in range(12_000)]])


for group in (files, kernel, rights, server_needs):
    group()
sys.stdout.flush()
