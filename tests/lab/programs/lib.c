/* A library; its notes and marks are what matters. */
int answer(void) { return 42; }
