/* Uses the library beside it. */
#include <stdio.h>

int answer(void);

int main(void) {
  printf("ran %d\n", answer());
  return 0;
}
