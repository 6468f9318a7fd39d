/* What libselinux before 2.1.1 did: SELinux is on if /proc/filesystems lists selinuxfs. Then it wants a label to work with. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  char all[4096] = "";
  int file = open("/proc/filesystems", O_RDONLY);
  if (read(file, all, sizeof all - 1) > 0 && strstr(all, "selinuxfs")) {
    if (access("/selinux/enforce", F_OK) && access("/sys/fs/selinux/enforce", F_OK)) {
      printf("failure while writing changes to /etc/passwd: %s\n", strerror(errno));
      return 1;
    }
  }
  puts("ran");
  return 0;
}
