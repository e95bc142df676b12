/* A peer that can be killed: B in a process of its own, which accepts whoever asks and reads what comes. */
#include "kit.h"
#include <signal.h>
#include <sys/wait.h>

static void live(int in, int out, int speaks_first) {
  char address[128];
  snm_endpoint *b;
  snm_message *message;
  snm_event event = SNM_EVENT_INIT;
  if (read(in, address, sizeof(address)) != (ssize_t)sizeof(address))
    _exit(0);
  b = endpoint_of(B_ID);
  CHECK(snm_add_peer_address(b, A_ID, address) == OK);
  CHECK(snm_endpoint_local_address(b, address, sizeof(address)) == OK);
  CHECK(write(out, address, sizeof(address)) == (ssize_t)sizeof(address));
  if (speaks_first)
    CHECK(send_text(b, A_ID, "here again", RELIABLE, 0) == OK);
  while (getppid() != 1) {
    if (snm_poll_event(b, &event) == 1 && event.type == SNM_EVENT_SESSION_REQUEST)
      (void)snm_accept_session_with_user(b, event.remote_steam_id);
    if (snm_receive_messages_on_channel(b, 0, &message, 1) == 1)
      snm_message_release(message);
    rest(2);
  }
  _exit(0);
}

peer_process fork_peer(int speaks_first) {
  int to[2], from[2];
  peer_process peer;
  CHECK(pipe(to) == 0 && pipe(from) == 0);
  peer.pid = fork();
  CHECK(peer.pid >= 0);
  if (peer.pid == 0) {
    close(to[1]);
    close(from[0]);
    live(to[0], from[1], speaks_first);
  }
  close(to[0]);
  close(from[1]);
  peer.to = to[1];
  peer.from = from[0];
  return peer;
}

void wake_peer(peer_process *peer, snm_endpoint *a) {
  char address[128] = { 0 };
  CHECK(snm_endpoint_local_address(a, address, sizeof(address)) == OK);
  CHECK(write(peer->to, address, sizeof(address)) == (ssize_t)sizeof(address));
  CHECK(read(peer->from, address, sizeof(address)) == (ssize_t)sizeof(address));
  CHECK(snm_add_peer_address(a, B_ID, address) == OK);
}

void kill_peer(peer_process *peer) {
  CHECK(kill(peer->pid, SIGKILL) == 0);
  CHECK(waitpid(peer->pid, NULL, 0) == peer->pid);
}
