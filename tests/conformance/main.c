/*
 * Runs the cases, each in a process of its own with a time limit, several at a time, and prints the table:
 * id, passed or FAILED, file, sentence. What a failed case said stands below its row. Ends with 1 after a
 * failure. Arguments: ids of the cases to run instead of all; one that ends in "-" means all that begin so.
 */
#include "kit.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

enum { MOST_CASES = 400, AT_A_TIME = 10, LIMIT_SECONDS = 90, LONGEST_TEXT = 400 };

typedef struct one {
  char id[48], sentence[LONGEST_TEXT];
  const char *file;
  void (*run)(int part);
  int part, is_long, listed, wanted, passed;
  pid_t pid;
  FILE *said;
} one;

static one cases[MOST_CASES];
static int count;

void list_case(const char *id, const char *sentence, const char *file, void (*run)(int part), int part, int is_long) {
  one *c = &cases[count];
  CHECK(count < MOST_CASES && strlen(id) < sizeof(c->id) && strlen(sentence) < sizeof(c->sentence));
  strcpy(c->id, id);
  strcpy(c->sentence, sentence);
  c->file = file;
  c->run = run;
  c->part = part;
  c->is_long = is_long;
  c->listed = count++;
}

/* The numbered ones first, then the table of states, the flags, the limits and the info. */
static int section(const one *c) {
  static const char order[] = "TFLI";
  const char *at = strchr(order, c->id[0]);
  return at == NULL ? 0 : 1 + (int)(at - order);
}

static int in_order(const void *left, const void *right) {
  const one *l = left, *r = right;
  if (section(l) != section(r))
    return section(l) - section(r);
  return section(l) == 0 ? atoi(l->id) - atoi(r->id) : l->listed - r->listed;
}

static int is_asked_for(const one *c, const char *argument) {
  size_t length = strlen(argument);
  return length > 0 && argument[length - 1] == '-' ? strncmp(c->id, argument, length) == 0 : strcmp(c->id, argument) == 0;
}

static void start(one *c) {
  c->said = tmpfile();
  CHECK(c->said != NULL);
  c->pid = fork();
  CHECK(c->pid >= 0);
  if (c->pid == 0) {
    CHECK(setpgid(0, 0) == 0);
    CHECK(dup2(fileno(c->said), STDERR_FILENO) >= 0);
    alarm(LIMIT_SECONDS); /* a hang ends by a signal */
    c->run(c->part);
    _exit(0);
  }
}

/* The next one to start: the long ones go first. */
static one *next_to_start(void) {
  int n, is_long;
  for (is_long = 1; is_long >= 0; is_long--) {
    for (n = 0; n < count; n++) {
      if (cases[n].wanted && cases[n].pid == 0 && cases[n].is_long == is_long)
        return &cases[n];
    }
  }
  return NULL;
}

static void finish(one *c, int status) {
  c->passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (WIFSIGNALED(status))
    fprintf(c->said, "ended by signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
  (void)kill(-c->pid, SIGKILL); /* peers it forked */
}

static void report(one *c) {
  const char *file = strrchr(c->file, '/');
  char line[512];
  printf("%s | %s | %s | %s\n", c->id, c->passed ? "passed" : "FAILED", file ? file + 1 : c->file, c->sentence);
  rewind(c->said);
  while (!c->passed && fgets(line, sizeof(line), c->said) != NULL)
    printf("     %s", line);
  fclose(c->said);
}

int main(int argc, char **argv) {
  int running = 0, failed = 0, i, n;
  qsort(cases, (size_t)count, sizeof(*cases), in_order);
  for (n = 0; n < count; n++) {
    cases[n].wanted = argc == 1;
    for (i = 1; i < argc; i++)
      cases[n].wanted |= is_asked_for(&cases[n], argv[i]);
  }
  for (;;) {
    int status;
    pid_t pid;
    one *next;
    while (running < AT_A_TIME && (next = next_to_start()) != NULL) {
      start(next);
      running++;
    }
    if (running == 0)
      break;
    pid = wait(&status);
    CHECK(pid > 0);
    for (n = 0; n < count; n++) {
      if (cases[n].pid == pid) {
        finish(&cases[n], status);
        running--;
      }
    }
  }
  for (n = 0; n < count; n++) {
    if (cases[n].wanted) {
      report(&cases[n]);
      failed += !cases[n].passed;
    }
  }
  return failed > 0;
}
