/* What a runtime does to give a pod users of its own: a user namespace, and a tmpfs that is seen through it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what) {
  printf("failed to %s: %s\n", what, strerror(errno));
  return 1;
}

static int put(const char *path, const char *text) {
  int file = open(path, O_WRONLY);
  int done = file >= 0 && write(file, text, strlen(text)) > 0;
  close(file);
  return done;
}

int main(void) {
  struct { unsigned long long set, clear, propagation, user; } attributes = {0x00100000, 0, 0, 0};
  char path[64], told = 0;
  int line[2], space, tree;
  pid_t child;
  if (pipe(line)) return fail("make a pipe");
  child = fork();
  if (!child) {
    if (unshare(CLONE_NEWUSER)) told = errno;
    if (write(line[1], &told, 1) == 1) pause();
    exit(0);
  }
  if (read(line[0], &told, 1) != 1 || told) {
    errno = told;
    return fail("make a user namespace");
  }
  snprintf(path, sizeof path, "/proc/%d/uid_map", child);
  if (!put(path, "0 100000 65536")) return fail("map users");
  snprintf(path, sizeof path, "/proc/%d/gid_map", child);
  if (!put(path, "0 100000 65536")) return fail("map groups");
  snprintf(path, sizeof path, "/proc/%d/ns/user", child);
  space = open(path, O_RDONLY);
  if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL)) return fail("mount");
  tree = syscall(428, AT_FDCWD, "/tmp", 1 /* OPEN_TREE_CLONE */);
  if (tree < 0) return fail("open_tree");
  attributes.user = space;
  if (syscall(442, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes)) return fail("set MOUNT_ATTR_IDMAP");
  kill(child, SIGKILL);
  puts("ran");
  return 0;
}
