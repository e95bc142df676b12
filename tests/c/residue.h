/* What a process holds: descriptors, threads, memory. To see that nothing is left behind by what is done often. */
#ifndef RESIDUE_H
#define RESIDUE_H

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* What the allocator itself may hold back; a thousand times half a KiB is more. */
#define GROWTH_ALLOWED ((size_t)400 << 10)

typedef struct residue {
  int descriptors, threads;
  size_t heap; /* bytes allocated and not freed */
} residue;

static inline int entries_of(const char *folder) {
  int count = 0;
  DIR *entries = opendir(folder);
  if (entries == NULL) {
    perror(folder);
    exit(1);
  }
  for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) count += entry->d_name[0] != '.';
  closedir(entries);
  return count;
}

/* Call it first: with one arena for all threads, all memory is counted. */
static inline void count_all_memory(void) {
  mallopt(M_ARENA_MAX, 1);
}

static inline residue residue_now(void) {
  const struct mallinfo2 heap = mallinfo2();
  const residue r = { entries_of("/proc/self/fd"), entries_of("/proc/self/task"), heap.uordblks + heap.hblkhd };
  return r;
}

/* Ends the program if there is more than before. A joined thread is in the list of threads for a moment yet. */
static inline void expect_no_more_than(residue before, const char *what) {
  const struct timespec ms = { 0, 1000000 };
  residue now = residue_now();
  for (int patience = 5000; patience > 0 && now.threads > before.threads; patience--) {
    nanosleep(&ms, NULL);
    now = residue_now();
  }
  printf("%s: descriptors %d, then %d; threads %d, then %d; heap %zu, then %zu bytes\n", what, before.descriptors,
         now.descriptors, before.threads, now.threads, before.heap, now.heap);
  if (now.descriptors <= before.descriptors && now.threads <= before.threads &&
      now.heap <= before.heap + GROWTH_ALLOWED)
    return;
  fprintf(stderr, "%s: something was left behind\n", what);
  exit(1);
}

#endif
