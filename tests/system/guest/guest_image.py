"""The guest: Debian's cloud kernel with its efivarfs, and an initramfs of busybox, tpm2-tools and
nvloop.

Nothing is installed and nothing needs root: the kernel is taken out of its package, the initramfs is
written here byte by byte. The result is kept in build/guest/ under a key of everything that went into
it, so only the first test of a clone waits for it. Run as a program, it prints the two paths.
"""

import contextlib
import fcntl
import hashlib
import lzma
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
KERNEL_PACKAGE = "linux-image-cloud-amd64"
# A storage network within the guest: an iSCSI target with a LUN, and who logs in to it; in the order in which they are
# loaded. A kernel that has one of them built in has no file for it.
SAN_MODULES = ("configfs", "scsi_common", "scsi_mod", "sd_mod", "target_core_mod", "target_core_file", "libcrc32c",
               "iscsi_target_mod", "scsi_transport_iscsi", "libiscsi", "libiscsi_tcp", "iscsi_tcp")
# An NFS server within the guest, hosts that mount from it, and a disk for what it exports.
NFS_MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk",
               "veth", "sunrpc", "auth_rpcgss", "grace", "nfs_localio", "lockd", "nfs_acl", "nfsd", "dns_resolver",
               "netfs", "fscache", "nfs", "nfsv3", "nfsv4")
# What logical volumes are made of.
VOLUME_MODULES = ("dm-mod",)
MODULES = ("efivarfs", *SAN_MODULES, *NFS_MODULES, *VOLUME_MODULES)
# What logs in without a daemon, as an initramfs does that boots from iSCSI; and a library of its own.
ISCSI_PACKAGES = ("open-iscsi", "libopeniscsiusr")
# Which would start a server on this host, too, if they were installed.
NFS_PACKAGES = ("nfs-kernel-server", "nfs-common")
NFS_PROGRAMS = ("exportfs", "mount.nfs", "nfsdcld", "rpc.mountd", "rpc.nfsd")
TPM2_TOOLS = "/usr/bin/tpm2"
TCTI_DEVICE = "/usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0"
BUSYBOX = "/bin/busybox"
CHATTR = "/usr/bin/chattr"  # For UEFI variables, which Linux protects from a careless `rm -r`.
TPM2_VERBS = (
    "createprimary create load evictcontrol unseal readpublic getrandom getcap pcrread pcrextend "
    "nvdefine nvincrement nvread nvwrite nvreadpublic startauthsession flushcontext policypcr"
).split()


class GuestImage(NamedTuple):
    kernel: pathlib.Path
    initramfs: pathlib.Path


class Newc:
    """A cpio archive in the format that the kernel unpacks; everything in it belongs to root."""

    def __init__(self):
        self._parts = []
        self._inode = 0
        self._folders = set()

    def file(self, path, content, mode=0o755):
        self._parents(path)
        self._entry(path, stat.S_IFREG | mode, content)

    def link(self, path, target):
        self._parents(path)
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path, major, minor):
        self._parents(path)
        self._entry(path, stat.S_IFCHR | 0o600, b"", major, minor)

    def finished(self):
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _parents(self, path):
        for folder in reversed(pathlib.PurePosixPath(path).parents):
            name = str(folder)
            if name not in self._folders and name != ".":
                self._folders.add(name)
                self._entry(name, stat.S_IFDIR | 0o755, b"")

    def _entry(self, path, mode, content, major=0, minor=0):
        self._inode += 1
        name = path.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self._parts.append(head + bytes(-len(head) % 4))
        self._parts.append(content + bytes(-len(content) % 4))


@contextlib.contextmanager
def locked_cache():
    """The folder of what is built once for all tests, for one process at a time."""
    cache = pathlib.Path(os.environ.get("VNVRAM_GUEST_CACHE", REPOSITORY / "build" / "guest"))
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache


def guest_image():
    """Both files, built if they are not there. Safe to call from many tests at once."""
    with locked_cache() as cache:
        kernel = _kernel(cache)
        return GuestImage(kernel, _initramfs(cache, _module_of(kernel, "efivarfs")))


def module_files(names):
    """The kernel's modules: {path in the guest: content}. Empty ones are built in, or not needed."""
    with locked_cache() as cache:
        kernel = _kernel(cache)
        return {f"lib/modules/{name}.ko": _module_of(kernel, name).read_bytes() for name in names}


def san_files():
    """What a guest needs beside guest_image() for a storage network of its own: {path in the guest: content}."""
    folder = _unpacked("iscsi", ISCSI_PACKAGES)
    (program,) = folder.rglob("sbin/iscsistart")
    own = [library for library in folder.rglob("lib*.so.*") if library.is_file()]
    paths = {"LD_LIBRARY_PATH": ":".join(sorted({str(library.parent) for library in own}))}
    libraries = {library.name: library for library in own} | {
        pathlib.Path(path).name: path for path in libraries_of(program, env={**os.environ, **paths})}
    return {"bin/iscsistart": program.read_bytes(), **module_files(SAN_MODULES),
            **{f"lib/x86_64-linux-gnu/{name}": pathlib.Path(path).read_bytes()
               for name, path in libraries.items()}}


def nfs_files():
    """The same for an NFS server and its clients."""
    folder = _unpacked("nfs", NFS_PACKAGES)
    programs = [next(path for path in folder.rglob(f"sbin/{name}") if not path.is_symlink()) for name in NFS_PROGRAMS]
    return {**module_files(NFS_MODULES), **program_files(*programs),
            "etc/netconfig": pathlib.Path("/etc/netconfig").read_bytes()}


def _unpacked(name, packages):
    """A folder with what is in packages that are not installed."""
    with locked_cache() as cache:
        folder = cache / name
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix=f"{name}-") as scratch:
                for package in packages:
                    with tempfile.TemporaryDirectory(dir=scratch) as unpacked:
                        unpack_package(lambda _options, found=package: found, unpacked)
                        shutil.copytree(unpacked, pathlib.Path(scratch, "root"), symlinks=True,
                                        dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.deb", "lists", "archives"))
                os.replace(pathlib.Path(scratch, "root"), folder)
        return folder


def program_files(*programs):
    """Programs of this build, and what the linker loads for them: {path in the guest: content}."""
    found = {f"bin/{pathlib.Path(program).name}": program for program in programs}
    found |= {path.lstrip("/"): path for path in libraries_of(*programs)}
    return {path: pathlib.Path(source).read_bytes() for path, source in found.items()}


def with_files(image, files, target):
    """The same guest, with more files. `target` is where its initramfs goes."""
    archive = Newc()
    for path, content in files.items():
        archive.file(path, content)
    target.write_bytes(image.initramfs.read_bytes() + archive.finished())
    return GuestImage(image.kernel, target)


def cache_key(paths, content=()):
    """Of files, in this order; `content` has those that have been read already."""
    key = hashlib.sha256()
    for path in paths:
        data = content[path] if path in content else pathlib.Path(path).read_bytes()
        key.update(b"%s %d\n" % (os.fsencode(path), len(data)) + data)
    return key.hexdigest()[:16]


def run_tool(*command, **options):
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"guest image: {' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def _kernel(cache):
    """The newest kernel that was taken out; delete build/guest to get a newer one."""
    kept = sorted((kernel for kernel in cache.glob("vmlinuz-*")
                   if all(_module_of(kernel, name).exists() for name in MODULES)),
                  key=os.path.getmtime)
    if kept:
        return kept[-1]
    with tempfile.TemporaryDirectory(dir=cache, prefix="kernel-") as scratch:
        unpack_package(_kernel_package, scratch)
        (kernel,) = pathlib.Path(scratch, "boot").glob("vmlinuz-*")
        kernel.chmod(0o644)
        target = cache / kernel.name
        for name in MODULES:
            module = pathlib.Path(scratch, "module")
            module.write_bytes(_module(scratch, name))
            os.replace(module, _module_of(target, name))
        os.replace(kernel, target)
        return target


def _module(root, name):
    """A module's content. Debian 13 has its modules below /usr, and compressed. Nothing if there is none: other kernels
    have some of those for storage built in, or do without; a boot says what is missing."""
    for folder in ("lib/modules", "usr/lib/modules"):
        for module in pathlib.Path(root, folder).glob(f"*/kernel/**/{name}.ko*"):
            data = module.read_bytes()
            return lzma.decompress(data) if module.suffix == ".xz" else data
    if name != "efivarfs":
        return b""
    raise RuntimeError(f"guest image: the kernel's package has no {name}")


def _module_of(kernel, name):
    """Where one of the kernel's modules is kept."""
    return kernel.with_name(kernel.name.replace("vmlinuz", name, 1))


def _own_package_lists(scratch):
    lists, archives = pathlib.Path(scratch, "lists"), pathlib.Path(scratch, "archives")
    (lists / "partial").mkdir(parents=True)
    (archives / "partial").mkdir(parents=True)
    options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={scratch}",
               "-o", f"Dir::Cache::Archives={archives}", "-o", "APT::Sandbox::User="]
    run_tool("apt-get", *options, "update")
    return options


def unpack_package(name, folder):
    """A package's files, in `folder`; nothing is installed. name(options) is asked with apt's options."""
    try:
        package = _download(name, [], folder)
    except RuntimeError:
        # No package lists on this machine, or older ones than the mirror's: fetch our own.
        package = _download(name, _own_package_lists(folder), folder)
    run_tool("dpkg-deb", "-x", str(package), folder)


def _download(name, options, folder):
    found = name(options)
    run_tool("apt-get", *options, "-o", "APT::Sandbox::User=", "download", found, cwd=folder)
    (package,) = pathlib.Path(folder).glob(f"{found}_*.deb")
    return package


def _kernel_package(options):
    depends = run_tool("apt-cache", *options, "depends", KERNEL_PACKAGE)
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if not found:
        raise RuntimeError(f"guest image: {KERNEL_PACKAGE} names no kernel:\n{depends}")
    return found.group(1)


def libraries_of(*programs, **options):
    """What the dynamic linker loads for them, the linker itself included."""
    found = set()
    for program in programs:
        found.update(re.findall(r"(/\S+) \(0x", run_tool("ldd", str(program), **options)))
    return sorted(found)


def _initramfs(cache, efivarfs):
    content = {path: pathlib.Path(path).read_bytes()
               for path in [TPM2_TOOLS, TCTI_DEVICE, CHATTR,
                            *libraries_of(TPM2_TOOLS, TCTI_DEVICE, CHATTR)]}
    content[BUSYBOX] = pathlib.Path(BUSYBOX).read_bytes()
    content["/lib/efivarfs.ko"] = efivarfs.read_bytes()
    sources = [HERE / "init", HERE / "nvloop.c", HERE / "tpm_commands.c",
               HERE / "tpm_commands.h", pathlib.Path(__file__)]
    kept = cache / f"initramfs-{cache_key([*sources, *sorted(content)], content)}"
    if not kept.exists():
        _write_initramfs(kept, content, cache)
    return kept


def _write_initramfs(target, content, cache):
    archive = Newc()
    archive.character_device("dev/console", 5, 1)
    archive.character_device("dev/null", 1, 3)
    archive.file("init", (HERE / "init").read_bytes())
    with tempfile.TemporaryDirectory(dir=cache, prefix="initramfs-") as scratch:
        program = pathlib.Path(scratch, "nvloop")
        run_tool("cc", "-std=c11", "-O2", "-static", "-Wall", "-Wextra", "-Wconversion", "-Werror",
             "-s", "-o", str(program), str(HERE / "nvloop.c"), str(HERE / "tpm_commands.c"))
        archive.file("bin/nvloop", program.read_bytes())
        for path, data in content.items():
            archive.file(path.lstrip("/"), data)
        for verb in TPM2_VERBS:
            archive.link(f"usr/bin/tpm2_{verb}", "tpm2")
        finished = pathlib.Path(scratch, "initramfs")
        finished.write_bytes(archive.finished())
        for old in cache.glob("initramfs-*"):
            if old.is_file():
                old.unlink()
        os.replace(finished, target)


if __name__ == "__main__":
    missing = [tool for tool in ("cc", "apt-get", "dpkg-deb", "ldd") if not shutil.which(tool)]
    if missing:
        raise SystemExit(f"guest image: {', '.join(missing)} missing: run scripts/install-deps.sh")
    for built in guest_image():
        print(built)
