/* Asks what time it is. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int main(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now)) {
    printf("the clock failed: %s\n", strerror(errno));
    return 1;
  }
  puts("ran");
  return 0;
}
