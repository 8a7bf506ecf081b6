// For libvirtd (LD_PRELOAD): TPMs' folders are on shared storage, as on NFS. libvirt knows that by
// the file system's number alone, and these tests have none of its kind.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/vfs.h>

enum { nfs_super_magic = 0x6969 };

static const char folder[] = "/var/lib/libvirt/swtpm";

int statfs(const char* path, struct statfs* found) {
  int (*real)(const char*, struct statfs*) = dlsym(RTLD_NEXT, "statfs");
  const int result = real(path, found);
  if (result == 0 && strncmp(path, folder, sizeof folder - 1) == 0) {
    found->f_type = nfs_super_magic;
  }
  return result;
}

int statfs64(const char* path, struct statfs64* found) {
  int (*real)(const char*, struct statfs64*) = dlsym(RTLD_NEXT, "statfs64");
  const int result = real(path, found);
  if (result == 0 && strncmp(path, folder, sizeof folder - 1) == 0) {
    found->f_type = nfs_super_magic;
  }
  return result;
}
