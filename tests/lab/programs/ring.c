/* Sets up an io_uring with liburing. */
#include <liburing.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  struct io_uring ring;
  int error = io_uring_queue_init(8, &ring, 0);
  if (error) {
    printf("io_uring_queue_init: %s\n", strerror(-error));
    return 1;
  }
  puts("ran");
  return 0;
}
