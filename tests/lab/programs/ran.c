/* Says that it ran. */
#include <stdio.h>

int main(void) {
  puts("ran");
  return 0;
}
