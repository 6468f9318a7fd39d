/* Uses AVX without asking whether it is there. */
#include <immintrin.h>
#include <stdio.h>

int main(int count, char **words) {
  (void)words;
  __m256d many = _mm256_set1_pd(count);
  many = _mm256_add_pd(many, many);
  printf("ran %d\n", (int)many[0]);
  return 0;
}
