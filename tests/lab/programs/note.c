/* An ABI note like those of Qt: this library wants Linux MAJOR.MINOR. */
__attribute__((section(".note.ABI-tag"), aligned(4), used)) static const struct {
  int name_size, size, type;
  char name[4];
  int system, major, minor, patch;
} note = {4, 16, 1, "GNU", 0, MAJOR, MINOR, 0};
