/* Opens a library at run time. */
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **words) {
  if (count < 2 || !dlopen(words[1], RTLD_NOW)) {
    printf("dlopen failed: %s\n", dlerror());
    return 1;
  }
  puts("ran");
  return 0;
}
