/* Listens on port 80. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void) {
  struct sockaddr_in all = {.sin_family = AF_INET, .sin_port = htons(80)};
  int port = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(port, (struct sockaddr *)&all, sizeof all)) {
    printf("bind() to 0.0.0.0:80 failed (%d: %s)\n", errno, strerror(errno));
    return 1;
  }
  puts("ran");
  return 0;
}
