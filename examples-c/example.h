/*
 * What the two larger examples share: the options that describe an endpoint, opening one from them,
 * printing text that a stranger wrote, and stopping on Ctrl-C.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <steamnetmsg.h>

enum { EXAMPLE_MAX_PEERS = 16 };

struct options {
    uint64_t id;      /* our steam id */
    const char *bind; /* "ip:port" of our socket */
    struct {
        uint64_t id;
        const char *address; /* NULL: the signaling server knows */
    } peers[EXAMPLE_MAX_PEERS];
    int peer_count;
    const char *url;       /* of the signaling server, where peers are met by steam id; NULL: by their addresses */
    const char *ca;        /* a file, PEM: CAs that may vouch for servers, beside those the world trusts; NULL: none */
    const char *token;     /* a file with a login token for the server; NULL: none */
    const char *relay[3];  /* a relay of our own: URL, user name and password; NULL: those the server names */
    int relay_only;        /* never show peers an address of ours */
    const char *identity;  /* a folder with our identity.key and identity.cert; NULL: we only claim our steam id */
    const char *authority; /* public keys of those whose certificates we believe; NULL: nobody's */
    int allow_lan;       /* talk to machines other than this one without certificates */
    double loss_percent; /* injected in each direction */
    int lag_ms;          /* injected in each direction: twice this is added to the round trip */
};

#define OPTIONS_HELP                                                                   \
    "  --id N                our steam id (needed)\n"                                  \
    "  --bind IP:PORT        our socket (default 127.0.0.1:0, any free port)\n"        \
    "  --url URL             meet peers by this signaling server (steamnetmsg-server)\n" \
    "  --ca FILE             CAs, PEM, that may vouch for wss:// and turns: servers,\n"  \
    "                        beside those the world trusts\n"                         \
    "  --token FILE          a login token of the game's backend for that server\n"     \
    "  --relay URL USER PASS a TURN server, beside those the signaling server names\n"  \
    "  --relay-only          never show peers an address of ours\n"                  \
    "  --peer N@HOST:PORT    where steam id N is, or with --url just N; may be given\n" \
    "                        several times\n"                                        \
    "  --identity DIR        prove who we are, with the identity.key and identity.cert\n" \
    "                        there (made by the program steamnetmsg); with --token\n"  \
    "                        the key is enough\n"                                     \
    "  --authority PUBKEY    let in only whom this authority has certified\n"         \
    "  --allow-lan           talk to other machines, though nobody proves who he is\n" \
    "  --loss PERCENT        lose packets on purpose, in each direction\n"             \
    "  --lag MS              delay packets on purpose, in each direction\n"

/* Options as they are when nothing is said. */
struct options options_default(void);

/*
 * Takes argv[*at], and its value, if it is one of the options above: 1, with *at on the last word taken.
 * 0 if it is none of ours, -1 if its value is wrong, which has been said on stderr.
 */
int options_take(struct options *options, int argc, char **argv, int *at);

/*
 * Opens the endpoint the options describe and enters the peers in its address book. The config may already
 * hold further settings; it is destroyed. NULL when it did not work, which has been said on stderr.
 */
snm_endpoint *options_open(const struct options *options, snm_config *config);

/* Where the peer of a session is, for people. */
const char *whereabouts(const snm_connection_info *info);

/* A line on what an SNM_EVENT_SIGNALING tells: the server let us in, refused us, or cannot be reached. */
void say_signaling(const snm_event *event);

/* A steam id in decimal, or 0 (which is nobody) if the text is no number. */
uint64_t parse_steam_id(const char *text);

/* Prints text from the network; control characters, which could drive the terminal, become '?'. */
void print_safely(FILE *out, const void *text, size_t size);

/* From now on Ctrl-C and SIGTERM only make stop_requested() true. */
void catch_stop(void);
int stop_requested(void);

#endif
