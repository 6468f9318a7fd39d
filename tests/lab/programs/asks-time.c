/* A program of that age. */
long time(long *where);
long write(int file, const char *text, unsigned long size);
void exit(int code);

void _start(void) {
  __asm__ volatile("and $-16, %rsp");
  if (time(0) > 1000) write(1, "ran\n", 4);
  exit(0);
}
