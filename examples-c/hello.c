/*
 * Two endpoints in one process say hello to each other over 127.0.0.1.
 *
 *     cc hello.c $(pkg-config --cflags --libs steamnetmsg) -o hello && ./hello
 *
 * With certificates, which the program steamnetmsg makes: ./hello FOLDER_OF_1001 FOLDER_OF_1002 AUTHORITY, where each
 * folder has an identity.key and an identity.cert, and AUTHORITY is the public key of who made them.
 *
 * Exits with 0 only if the greeting was delivered and answered.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <steamnetmsg.h>

#define ANNA UINT64_C(1001)
#define BERT UINT64_C(1002)

enum { CHANNEL = 0, PATIENCE_MS = 5000 };

/* Sets a setting to the first bytes of a file; in a key file the 32 of the key come first. */
static int set_from_file(snm_config *config, snm_config_key setting, const char *folder, const char *name, size_t size)
{
    char path[1024];
    uint8_t bytes[133];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    int right = file && fread(bytes, 1, size, file) == size
        && snm_config_set_bytes(config, setting, bytes, (uint32_t)size) == SNM_RESULT_OK;
    if (!right)
        fprintf(stderr, "cannot use %s\n", path);
    if (file)
        fclose(file);
    return right;
}

/*
 * An endpoint is one local identity: a steam id and its UDP socket. With a folder it proves its steam id, and lets in
 * only peers who prove theirs to the same authority.
 */
static snm_endpoint *open_endpoint(uint64_t steam_id, const char *folder, const char *authority)
{
    snm_endpoint *endpoint = NULL;
    snm_config *config = snm_config_create();

    snm_config_set_int(config, SNM_CONFIG_LOCAL_STEAM_ID, (int64_t)steam_id);
    snm_config_set_string(config, SNM_CONFIG_BIND_ADDRESS, "127.0.0.1:0"); /* a free port of our own machine */
    int right = !folder
        || (set_from_file(config, SNM_CONFIG_IDENTITY_KEY, folder, "identity.key", 32)
            && set_from_file(config, SNM_CONFIG_CERTIFICATE, folder, "identity.cert", 133)
            && snm_config_set_string(config, SNM_CONFIG_TRUSTED_AUTHORITIES, authority) == SNM_RESULT_OK);
    if (!right || snm_endpoint_create(config, &endpoint) != SNM_RESULT_OK)
        fprintf(stderr, "cannot open an endpoint for %" PRIu64 ": %s\n", steam_id, snm_last_error());
    snm_config_destroy(config);
    return endpoint;
}

/* Tells one endpoint where the owner of a steam id can be reached. */
static int introduce(snm_endpoint *to, snm_endpoint *peer, uint64_t peer_id)
{
    char address[128];

    if (snm_endpoint_local_address(peer, address, sizeof address) != SNM_RESULT_OK)
        return 0;
    printf("%" PRIu64 " is at %s\n", peer_id, address);
    return snm_add_peer_address(to, peer_id, address) == SNM_RESULT_OK;
}

static int say(snm_endpoint *endpoint, uint64_t to, const char *text)
{
    snm_result result = snm_send_message_to_user(endpoint, to, text, (uint32_t)strlen(text), SNM_SEND_RELIABLE, CHANNEL);

    if (result != SNM_RESULT_OK)
        fprintf(stderr, "cannot send to %" PRIu64 ": %s\n", to, snm_result_name(result));
    return result == SNM_RESULT_OK;
}

/*
 * Waits for one message, accepting whoever asks on the way. A game does the same once a frame, without waiting.
 * 1 when the message is the expected one.
 */
static int hear(snm_endpoint *endpoint, uint64_t me, const char *expected)
{
    const int64_t deadline = snm_time_now() + PATIENCE_MS * INT64_C(1000);
    snm_event event = SNM_EVENT_INIT;
    snm_message *message = NULL;

    while (snm_receive_messages_on_channel(endpoint, CHANNEL, &message, 1) == 0) {
        while (snm_poll_event(endpoint, &event)) {
            if (event.type == SNM_EVENT_SESSION_REQUEST) {
                printf("%" PRIu64 " is asked: %" PRIu64 " wants to talk; it accepts\n", me, event.remote_steam_id);
                snm_accept_session_with_user(endpoint, event.remote_steam_id);
            } else if (event.type == SNM_EVENT_SESSION_FAILED) {
                fprintf(stderr, "session with %" PRIu64 " failed: %s\n", event.remote_steam_id, event.debug_message);
                return 0;
            }
        }
        if (snm_time_now() >= deadline) {
            fprintf(stderr, "%" PRIu64 " heard nothing for %d ms\n", me, PATIENCE_MS);
            return 0;
        }
        snm_wait(endpoint, 100);
    }
    printf("%" PRIu64 " reads \"%.*s\" from %" PRIu64 "\n", me, (int)message->size, (const char *)message->payload,
           message->identity);
    int right = message->size == strlen(expected) && memcmp(message->payload, expected, message->size) == 0;
    snm_message_release(message); /* every received message is released exactly once */
    return right;
}

/* Whether the peer's steam id is more than a claim. */
static int is_certified(snm_endpoint *endpoint, uint64_t peer)
{
    snm_connection_info info = SNM_CONNECTION_INFO_INIT;

    return snm_get_session_connection_info(endpoint, peer, &info, NULL) == SNM_STATE_CONNECTED
        && !(info.info_flags & SNM_INFO_UNAUTHENTICATED);
}

int main(int argc, char **argv)
{
    if (argc != 1 && argc != 4) {
        fprintf(stderr, "usage: hello [FOLDER_OF_1001 FOLDER_OF_1002 AUTHORITY]\n");
        return 2;
    }
    const int certified = argc == 4;
    const char *authority = certified ? argv[3] : NULL;
    snm_endpoint *anna = open_endpoint(ANNA, certified ? argv[1] : NULL, authority);
    snm_endpoint *bert = open_endpoint(BERT, certified ? argv[2] : NULL, authority);

    int worked = anna && bert
        && introduce(anna, bert, BERT) && introduce(bert, anna, ANNA)
        && say(anna, BERT, "hello")                  /* opens the session and asks Bert */
        && hear(bert, BERT, "hello")                 /* Bert accepts, then reads */
        && say(bert, ANNA, "hello to you too")
        && hear(anna, ANNA, "hello to you too")      /* who sent first is not asked */
        && (!certified || (is_certified(anna, BERT) && is_certified(bert, ANNA)));

    snm_endpoint_destroy(anna); /* closes the session and tells Bert; NULL is fine */
    snm_endpoint_destroy(bert);
    puts(!worked ? "it does not work" : certified ? "it works, certified" : "it works");
    return worked ? 0 : 1;
}
