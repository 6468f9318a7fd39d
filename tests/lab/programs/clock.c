/* Asks what time it is. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int main(void) {
  struct timespec now = {0, 0}, nap = {0, 1000};
  if (clock_nanosleep(CLOCK_REALTIME, 0, &nap, NULL) || clock_getres(CLOCK_REALTIME, &now)) {
    printf("the clock failed: %s\n", strerror(errno));
    return 1;
  }
  puts("ran");
  return 0;
}
