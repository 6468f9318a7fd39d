/* Makes a thread. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void *work(void *nothing) { return nothing; }

int main(void) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, work, NULL);
  if (error) {
    printf("pthread_create failed: %s\n", strerror(error));
    return 1;
  }
  pthread_join(thread, NULL);
  puts("ran");
  return 0;
}
