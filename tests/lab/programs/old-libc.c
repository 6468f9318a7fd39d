/* The part of glibc 2.12 that matters: its version, and a time() that calls the page at a fixed address. */
const char version[] = "GNU C Library stable release version 2.12, a stand-in.";

long time(long *where) {
  long (*page)(long *) = (long (*)(long *))0xffffffffff600400;
  return page(where);
}

static long call(long number, long first, long second, long third) {
  long answer;
  __asm__ volatile("syscall" : "=a"(answer) : "a"(number), "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
  return answer;
}

long write(int file, const char *text, unsigned long size) { return call(1, file, (long)text, (long)size); }

void exit(int code) {
  for (;;) call(231, code, 0, 0);
}
