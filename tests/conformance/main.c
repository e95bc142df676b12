/*
 * Runs the sixty cases, each in a process of its own with a time limit, several at a time, and prints the table:
 * number, passed or FAILED, file, sentence. What a failed case said stands below its row. Ends with 1 after a
 * failure. Arguments: numbers of the cases to run instead of all.
 */
#include "kit.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define SIXTY(X)                                                                                            \
  X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19)  \
  X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32) X(33) X(34) X(35) X(36)     \
  X(37) X(38) X(39) X(40) X(41) X(42) X(43) X(44) X(45) X(46) X(47) X(48) X(49) X(50) X(51) X(52) X(53)     \
  X(54) X(55) X(56) X(57) X(58) X(59) X(60)

#define DECLARE(n)                       \
  extern const char *const promise_##n;  \
  extern const char *const place_##n;    \
  void case_##n(void);
SIXTY(DECLARE)

enum { CASES = 60, AT_A_TIME = 10, LIMIT_SECONDS = 90 };

typedef struct one {
  int number;
  void (*run)(void);
  const char *promise, *place;
  int wanted, passed;
  pid_t pid;
  FILE *said;
} one;

static one cases[CASES];

static void start(one *c) {
  c->said = tmpfile();
  CHECK(c->said != NULL);
  c->pid = fork();
  CHECK(c->pid >= 0);
  if (c->pid == 0) {
    CHECK(setpgid(0, 0) == 0);
    CHECK(dup2(fileno(c->said), STDERR_FILENO) >= 0);
    alarm(LIMIT_SECONDS); /* a hang ends by a signal */
    c->run();
    _exit(0);
  }
}

static void finish(one *c, int status) {
  c->passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (WIFSIGNALED(status))
    fprintf(c->said, "ended by signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
  (void)kill(-c->pid, SIGKILL); /* peers it forked */
}

static void report(one *c) {
  const char *file = strrchr(c->place, '/');
  char line[512];
  printf("%2d | %s | %s | %s\n", c->number, c->passed ? "passed" : "FAILED", file ? file + 1 : c->place, c->promise);
  rewind(c->said);
  while (!c->passed && fgets(line, sizeof(line), c->said) != NULL)
    printf("     %s", line);
  fclose(c->said);
}

int main(int argc, char **argv) {
  int next = 0, running = 0, failed = 0, i, n;
#define LIST(k)                       \
  cases[(k) - 1].number = (k);        \
  cases[(k) - 1].run = case_##k;      \
  cases[(k) - 1].promise = promise_##k; \
  cases[(k) - 1].place = place_##k;
  SIXTY(LIST)
  for (n = 0; n < CASES; n++) {
    cases[n].wanted = argc == 1;
    for (i = 1; i < argc; i++)
      cases[n].wanted |= atoi(argv[i]) == n + 1;
  }
  for (;;) {
    int status;
    pid_t pid;
    for (; next < CASES && running < AT_A_TIME; next++) {
      if (cases[next].wanted) {
        start(&cases[next]);
        running++;
      }
    }
    if (running == 0)
      break;
    pid = wait(&status);
    CHECK(pid > 0);
    for (n = 0; n < CASES; n++) {
      if (cases[n].pid == pid) {
        finish(&cases[n], status);
        running--;
      }
    }
  }
  for (n = 0; n < CASES; n++) {
    if (cases[n].wanted) {
      report(&cases[n]);
      failed += !cases[n].passed;
    }
  }
  return failed > 0;
}
