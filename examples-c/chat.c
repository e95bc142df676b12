/*
 * A terminal chat by steam id.
 *
 *     chat --id 1001 --bind 127.0.0.1:7001 --peer 1002@127.0.0.1:7002
 *     chat --id 1002 --bind 127.0.0.1:7002
 *
 * A line goes to every peer; the first one opens the session, and the other side is asked. Works from a pipe too: at
 * the end of input what was said is still delivered. Exits with 1 if something said could not be delivered.
 */
#define _POSIX_C_SOURCE 200809L
#include "example.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { CHANNEL = 0, FRAME_MS = 16, LINE_SIZE = 1024, QUIT_PATIENCE_MS = 1000, END_PATIENCE_MS = 15000 };

struct member {
    uint64_t id;
    snm_connection_state state; /* when we last looked */
};

struct chat {
    snm_endpoint *endpoint;
    uint64_t me;
    struct member members[EXAMPLE_MAX_PEERS];
    int member_count;
    uint64_t asking[EXAMPLE_MAX_PEERS]; /* who waits for our answer; the user is asked about the first */
    int asking_count;
    char line[LINE_SIZE]; /* what has been typed of the current line */
    size_t line_length;
    int input_ended;
    int quitting;
    int undelivered; /* lines refused and sessions failed */
};

static int has_session(snm_connection_state state)
{
    return state == SNM_STATE_CONNECTING || state == SNM_STATE_FINDING_ROUTE || state == SNM_STATE_CONNECTED;
}

static struct member *find_member(struct chat *chat, uint64_t id)
{
    for (int i = 0; i < chat->member_count; i++)
        if (chat->members[i].id == id)
            return &chat->members[i];
    return NULL;
}

static int add_member(struct chat *chat, uint64_t id)
{
    if (find_member(chat, id))
        return 1;
    if (chat->member_count == EXAMPLE_MAX_PEERS)
        return 0;
    chat->members[chat->member_count].id = id;
    chat->members[chat->member_count].state = SNM_STATE_NONE;
    chat->member_count++;
    return 1;
}

/* Callers. */

static void ask(const struct chat *chat)
{
    if (chat->asking_count > 0)
        printf("%" PRIu64 " wants to talk. accept? [y/n]\n", chat->asking[0]);
}

/* Comes again every few seconds while the caller waits, so one that finds the list full is not lost. */
static void on_request(struct chat *chat, uint64_t caller)
{
    for (int i = 0; i < chat->asking_count; i++)
        if (chat->asking[i] == caller)
            return;
    if (chat->asking_count == EXAMPLE_MAX_PEERS)
        return;
    chat->asking[chat->asking_count++] = caller;
    if (chat->asking_count == 1)
        ask(chat);
}

/* The first caller on the list gets the answer in the line. */
static void answer(struct chat *chat, const char *line)
{
    const uint64_t caller = chat->asking[0];

    if (strcmp(line, "y") != 0 && strcmp(line, "n") != 0) {
        ask(chat);
        return;
    }
    memmove(chat->asking, chat->asking + 1, (size_t)--chat->asking_count * sizeof chat->asking[0]);
    if (*line == 'n') {
        snm_close_session_with_user(chat->endpoint, caller); /* tells the caller */
        printf("* %" PRIu64 " is refused\n", caller);
    } else if (!add_member(chat, caller)) {
        snm_close_session_with_user(chat->endpoint, caller);
        printf("* %" PRIu64 " is refused: the room is full\n", caller);
    } else if (!snm_accept_session_with_user(chat->endpoint, caller)) {
        printf("* %" PRIu64 " does not wait any more\n", caller);
    } else {
        printf("* %" PRIu64 " is let in\n", caller);
    }
    ask(chat);
}

/* Sessions. */

static void on_failed(struct chat *chat, const snm_event *event)
{
    printf("! session with %" PRIu64 " failed: %s (%" PRId32 ", %s): ", event->remote_steam_id,
           snm_end_reason_name(event->reason), event->reason, snm_connection_state_name(event->connection_state));
    print_safely(stdout, event->debug_message, strlen(event->debug_message));
    putchar('\n');
    chat->undelivered++;
}

static void take_events(struct chat *chat)
{
    snm_event event = SNM_EVENT_INIT;

    while (snm_poll_event(chat->endpoint, &event)) {
        if (event.type == SNM_EVENT_SESSION_REQUEST)
            on_request(chat, event.remote_steam_id);
        else if (event.type == SNM_EVENT_SESSION_FAILED)
            on_failed(chat, &event);
        else if (event.type == SNM_EVENT_SIGNALING)
            say_signaling(&event);
    }
}

/* Tells of sessions that have come to stand or ended. That a peer left is no event: one sees it in the state. */
static void watch(struct chat *chat)
{
    for (int i = 0; i < chat->member_count; i++) {
        struct member *member = &chat->members[i];
        snm_connection_info info = SNM_CONNECTION_INFO_INIT;
        snm_connection_state state = snm_get_session_connection_info(chat->endpoint, member->id, &info, NULL);

        if (state == SNM_STATE_CONNECTED && member->state != SNM_STATE_CONNECTED)
            printf("* connected with %" PRIu64 " at %s, %s\n", member->id, whereabouts(&info),
                   info.info_flags & SNM_INFO_UNAUTHENTICATED ? "who only says so" : "certified");
        else if (member->state == SNM_STATE_CONNECTED && !has_session(state))
            printf("* %" PRIu64 " is gone\n", member->id);
        member->state = state;
    }
}

static void hear(struct chat *chat)
{
    snm_message *messages[16];
    int32_t count = snm_receive_messages_on_channel(chat->endpoint, CHANNEL, messages, 16);

    for (int32_t i = 0; i < count; i++) {
        printf("%" PRIu64 ": ", messages[i]->identity);
        print_safely(stdout, messages[i]->payload, messages[i]->size);
        putchar('\n');
    }
    if (count > 0)
        snm_messages_release(messages, count);
}

/* What the user types. */

static void say(struct chat *chat, const char *line)
{
    /* A session that failed starts afresh with the next line. */
    const int32_t flags = SNM_SEND_RELIABLE | SNM_SEND_NO_NAGLE | SNM_SEND_AUTO_RESTART_BROKEN_SESSION;

    if (chat->member_count == 0)
        printf("nobody is here yet\n");
    else if (!isatty(STDIN_FILENO))
        printf("%" PRIu64 ": %s\n", chat->me, line); /* a pipe does not echo */
    for (int i = 0; i < chat->member_count; i++) {
        snm_result result = snm_send_message_to_user(chat->endpoint, chat->members[i].id, line, (uint32_t)strlen(line),
                                                     flags, CHANNEL);
        if (result != SNM_RESULT_OK) {
            printf("! not sent to %" PRIu64 ": %s\n", chat->members[i].id, snm_result_name(result));
            chat->undelivered++;
        }
    }
}

static void show_info(struct chat *chat)
{
    char story[8192];

    for (int i = 0; i < chat->member_count; i++) {
        const uint64_t id = chat->members[i].id;
        snm_connection_info info = SNM_CONNECTION_INFO_INIT;
        snm_realtime_status status = SNM_REALTIME_STATUS_INIT;
        snm_connection_state state = snm_get_session_connection_info(chat->endpoint, id, &info, &status);

        printf("%" PRIu64 ": %s %s", id, snm_connection_state_name(state), whereabouts(&info));
        if (state == SNM_STATE_CONNECTED)
            printf(", ping %" PRId32 " ms, quality %.2f here %.2f there (-1: not known yet)%s", status.ping,
                   (double)status.local_quality, (double)status.remote_quality,
                   info.info_flags & SNM_INFO_UNAUTHENTICATED ? ", encrypted, unauthenticated" : ", encrypted, certified");
        else if (info.end_reason != 0)
            printf(", %s (%" PRId32 ")", snm_end_reason_name(info.end_reason), info.end_reason);
        putchar('\n');
        int32_t length = snm_explain_session(chat->endpoint, id, story, sizeof story);
        if (length > 0 && (size_t)length < sizeof story)
            printf("  %s\n", story);
    }
}

static void close_sessions(struct chat *chat, const char *who)
{
    const uint64_t id = parse_steam_id(who);

    if (*who != '\0' && !find_member(chat, id))
        printf("there is no %s here\n", who);
    for (int i = 0; i < chat->member_count; i++)
        if ((*who == '\0' || chat->members[i].id == id)
            && snm_close_session_with_user(chat->endpoint, chat->members[i].id)) {
            printf("* session with %" PRIu64 " closed\n", chat->members[i].id);
            chat->members[i].state = SNM_STATE_NONE;
        }
}

static void take_line(struct chat *chat, const char *line)
{
    if (strcmp(line, "/quit") == 0)
        chat->quitting = 1;
    else if (strcmp(line, "/info") == 0)
        show_info(chat);
    else if (strcmp(line, "/close") == 0)
        close_sessions(chat, "");
    else if (strncmp(line, "/close ", 7) == 0)
        close_sessions(chat, line + 7);
    else if (*line == '/')
        printf("commands: /info, /close [steam id], /quit; any other line is said to everybody\n");
    else if (chat->asking_count > 0)
        answer(chat, line);
    else if (*line != '\0')
        say(chat, line);
}

static void end_line(struct chat *chat)
{
    chat->line[chat->line_length] = '\0';
    chat->line_length = 0;
    take_line(chat, chat->line);
}

/* Waits up to a frame for input, and takes the lines that are complete. A line too long is taken in pieces. */
static void read_input(struct chat *chat)
{
    struct pollfd input = {.fd = chat->input_ended ? -1 : STDIN_FILENO, .events = POLLIN}; /* poll skips -1 */
    char bytes[256];

    if (poll(&input, 1, FRAME_MS) <= 0 || input.revents == 0)
        return;
    ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR)
        return;
    for (ssize_t i = 0; i < count; i++) {
        if (bytes[i] != '\n')
            chat->line[chat->line_length++] = bytes[i];
        if (bytes[i] == '\n' || chat->line_length == LINE_SIZE - 1)
            end_line(chat);
    }
    if (count <= 0) {
        chat->input_ended = 1;
        if (chat->line_length > 0) /* the last line may lack its newline */
            end_line(chat);
    }
}

/* One turn, as a game would take once a frame. No call of the library waits for the network. */
static void frame(struct chat *chat)
{
    read_input(chat);
    take_events(chat);
    watch(chat);
    hear(chat);
}

/* Whether some session still holds what was said. */
static int delivering(struct chat *chat)
{
    for (int i = 0; i < chat->member_count; i++) {
        snm_realtime_status status = SNM_REALTIME_STATUS_INIT;
        snm_connection_state state = snm_get_session_connection_info(chat->endpoint, chat->members[i].id, NULL, &status);

        if (has_session(state) && status.pending_reliable + status.send_unacknowledged_reliable > 0)
            return 1;
    }
    return 0;
}

static void usage(void)
{
    fprintf(stderr, "usage: chat --id N [options]\n%s", OPTIONS_HELP);
}

int main(int argc, char **argv)
{
    struct options options = options_default();
    struct chat chat;

    for (int i = 1; i < argc; i++) {
        int taken = options_take(&options, argc, argv, &i);
        if (taken == 0)
            usage();
        if (taken != 1)
            return 2;
    }
    if (options.id == 0) {
        usage();
        return 2;
    }

    setvbuf(stdout, NULL, _IOLBF, 0); /* whole lines at once, also into a pipe */
    catch_stop();
    memset(&chat, 0, sizeof chat);
    chat.me = options.id;
    chat.endpoint = options_open(&options, snm_config_create());
    if (!chat.endpoint)
        return 1;
    for (int i = 0; i < options.peer_count; i++)
        add_member(&chat, options.peers[i].id);

    char address[128] = "";
    snm_endpoint_local_address(chat.endpoint, address, sizeof address);
    printf("* %" PRIu64 " listens at %s\n", chat.me, address);

    while (!chat.quitting && !chat.input_ended && !stop_requested())
        frame(&chat);

    /* Closing drops what is still queued, so first see it delivered. */
    int64_t deadline = snm_time_now() + (chat.quitting ? QUIT_PATIENCE_MS : END_PATIENCE_MS) * INT64_C(1000);
    chat.input_ended = 1;
    while (delivering(&chat) && snm_time_now() < deadline && !stop_requested())
        frame(&chat);
    if (delivering(&chat)) {
        printf("! the last lines were not delivered\n");
        chat.undelivered++;
    }
    snm_endpoint_destroy(chat.endpoint); /* closes every session and tells the peers */
    return chat.undelivered > 0;
}
